//! Completion: a cue is compared with all that is stored, and settles among the nearest. Two stages, one answer.
//!
//! The first stage is exact. The second moves to what resembles the cue among them; where nothing was found, the cue stays where it is
//! and its energy is −∞.

use crate::attractor::{Patterns, check_beta};
use crate::dense::index::delivered;
use crate::dense::scan::Wish;
use crate::dense::{DenseIndex, Metric, NormalRows};
use crate::error::InputError;
use crate::kernels::isa::Isa;
use crate::rows::Rows;
use crate::segment::Allowed;
use crate::trace::TraceIndex;

/// How cues settle.
#[derive(Debug, Clone, Copy)]
pub struct Settling {
    beta: f64,
    steps: usize,
}

impl Settling {
    /// With `beta` as inverse temperature, `steps` updates at most.
    ///
    /// # Errors
    /// [`InputError::Range`] for a `beta` that is not above 0.
    pub fn new(beta: f64, steps: usize) -> Result<Self, InputError> {
        check_beta(beta)?;
        Ok(Self { beta, steps })
    }
}

/// Lets each query settle among the `k` rows of an index that are closest to it.
///
/// # Errors
/// [`InputError`]; also where the index is not one of cosines.
pub fn among_rows(
    index: &DenseIndex,
    queries: Rows<'_, f32>,
    allowed: Option<&Allowed<'_>>,
    k: usize,
    by: Settling,
) -> Result<Completed, InputError> {
    if index.metric() != Metric::Cosine {
        let got = format!("{:?}", index.metric().name());
        return Err(InputError::Range { argument: "metric", wanted: "\"cosine\" to settle by", got });
    }
    queries.check_dim("queries", index.dim())?;
    let cues = NormalRows::new("queries", queries, Metric::Cosine)?;
    let view = index.view();
    let columns = k.min(view.len());
    let answers = index.hits(&view, &cues, allowed, Wish { k: columns, exact: true, threads: 1 })?;
    let mut completed = Completed::with_capacity(cues.len(), columns, index.dim());
    for (cue, hits) in answers.iter().enumerate() {
        let found = hits.iter().map(|hit| {
            let part = &view.parts()[hit.part];
            Found { rows: part.segment().rows(), row: hit.row, id: part.ids()[hit.row], score: hit.score }
        });
        completed.push(index.isa(), &cues, cue, &found.collect::<Vec<_>>(), by);
    }
    Ok(completed)
}

/// Lets each query settle among the closest keys of the `k` memories whose closest keys are closest to it.
///
/// # Errors
/// [`InputError`].
pub fn among_memories(
    index: &TraceIndex,
    queries: Rows<'_, f32>,
    allowed: Option<&Allowed<'_>>,
    k: usize,
    by: Settling,
) -> Result<Completed, InputError> {
    queries.check_dim("queries", index.dim())?;
    let cues = NormalRows::new("queries", queries, Metric::Cosine)?;
    let view = index.view();
    let allowed = allowed.map(|allowed| view.filter(allowed)).transpose()?;
    let columns = k.min(view.len());
    let mut completed = Completed::with_capacity(cues.len(), columns, index.dim());
    for cue in 0..cues.len() {
        let best = index.best_keys(&view, &cues, cue, allowed.as_deref(), columns);
        let found = best.iter().map(|best| {
            let keys = view.parts()[best.part].segment().keys();
            Found { rows: keys.rows(), row: best.key, id: best.id, score: best.score }
        });
        completed.push(index.coder().isa(), &cues, cue, &found.collect::<Vec<_>>(), by);
    }
    Ok(completed)
}

/// Something that was found: a row in normal form, the id that is answered, and the cosine with the cue.
#[derive(Debug, Clone, Copy)]
struct Found<'a> {
    rows: &'a NormalRows,
    row: usize,
    id: i64,
    score: f64,
}

/// Where cues came to rest, and what was nearest to them where they started: `columns` a cue.
#[derive(Debug, Clone, PartialEq)]
pub struct Completed {
    /// The states, of unit length, one after the other.
    pub vectors: Vec<f32>,
    /// Ids of the nearest, best first; −1 where a filter left fewer.
    pub ids: Vec<i64>,
    /// Their cosines with the cue; −∞ where the id is −1.
    pub scores: Vec<f32>,
    /// Their cosines with the state; −∞ where the id is −1.
    pub settled_scores: Vec<f32>,
    /// The energy of each state over the nearest; −∞ where there are none.
    pub energies: Vec<f64>,
    /// Updates that were made for each.
    pub steps: Vec<usize>,
    /// Nearest a cue.
    pub columns: usize,
}

impl Completed {
    /// No cue yet, and room for `m`.
    fn with_capacity(m: usize, columns: usize, d: usize) -> Self {
        Self {
            vectors: Vec::with_capacity(m * d),
            ids: Vec::with_capacity(m * columns),
            scores: Vec::with_capacity(m * columns),
            settled_scores: Vec::with_capacity(m * columns),
            energies: Vec::with_capacity(m),
            steps: Vec::with_capacity(m),
            columns,
        }
    }

    /// Lets row `cue` of `cues` settle among what was found, best first and at most `columns` of them.
    fn push(&mut self, isa: Isa, cues: &NormalRows, cue: usize, found: &[Found<'_>], by: Settling) {
        let rows = found.iter().map(|found| found.rows.rows().row(found.row)).collect();
        let norms = found.iter().map(|found| found.rows.norms()[found.row]).collect();
        let state = cues.vector(cue, Metric::Cosine).collect();
        let (settled, cosines) = Patterns::new(rows, norms).settle(isa, state, by.beta, by.steps);
        self.vectors.extend_from_slice(&settled.vector);
        self.ids.extend(found.iter().map(|found| found.id));
        self.scores.extend(found.iter().map(|found| delivered(found.score)));
        self.settled_scores.extend(cosines.into_iter().map(delivered));
        self.energies.push(settled.energy);
        self.steps.push(settled.steps);
        let all = self.energies.len() * self.columns;
        self.ids.resize(all, -1);
        self.scores.resize(all, f32::NEG_INFINITY);
        self.settled_scores.resize(all, f32::NEG_INFINITY);
    }
}
