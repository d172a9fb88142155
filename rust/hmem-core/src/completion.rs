//! Completion: a cue is compared with all that is stored, and settles among the nearest. Two stages, one answer.
//!
//! The first stage is exact. The second moves to what resembles the cue among them; where nothing was found, the cue stays where it is
//! and its energy is −∞.

use crate::attractor::{Patterns, check_beta};
use crate::dense::index::delivered;
use crate::dense::{Metric, NormalRows};
use crate::error::InputError;
use crate::kernels::isa::Isa;

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

/// Something that was found: a row in normal form, the id that is answered, and the cosine with the cue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found<'a> {
    pub(crate) rows: &'a NormalRows,
    pub(crate) row: usize,
    pub(crate) id: i64,
    pub(crate) score: f64,
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
    pub(crate) fn with_capacity(m: usize, columns: usize, d: usize) -> Self {
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
    pub(crate) fn push(
        &mut self,
        isa: Isa,
        cues: &NormalRows,
        cue: usize,
        found: &[Found<'_>],
        by: Settling,
    ) {
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
