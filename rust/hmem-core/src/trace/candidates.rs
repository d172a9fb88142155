//! Which memories may answer a cue: the best by energy and the best by words, each with both scores.
//!
//! The energy of a memory is `(1/beta) · ln Σ exp(beta · s)` over the cosines `s` of its keys. `contenders` names the
//! memories that may be among the best; they are scored in float64, and the answer is that of scoring all in float64.
//!
//! Every number is a function of the memories that are there: sums run over ascending ids, or over the order of the
//! sample, which the ids fix. What was added and removed before does not show, not even in the last bit.

use std::cmp::Ordering;

use super::contenders::{Open, Search};
use super::index::Cue;
use super::moments::Moments;
use super::segment::TraceSegment;
use super::worded::Worded;
use crate::attractor::energy;
use crate::bitmap::Bitmap;
use crate::dense::query::Query;
use crate::dense::{Metric, NormalRows};
use crate::kernels::isa::Isa;
use crate::kernels::prefetch::prefetch;
use crate::kernels::select::TopK;
use crate::segment::{Part, View};
use crate::sparse::bm25::Bm25;

/// How many memories ahead keys are asked for.
const AHEAD: usize = 2;

/// Memories that may answer a cue, by ascending id.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Candidates {
    /// Ids of the memories.
    pub ids: Vec<i64>,
    /// Pooled score of each memory's keys; −∞ where there are none.
    pub energy: Vec<f64>,
    /// BM25 of each memory's words; 0 where none is shared.
    pub bm25: Vec<f64>,
    /// Id of each memory's closest key, the first of several; −1 where there are none.
    pub best_key: Vec<i64>,
    /// Its cosine; −∞ where there are none.
    pub best_score: Vec<f64>,
    /// Of the energies of a sample of the memories that have keys.
    pub energy_moments: Moments,
    /// Of the BM25 scores of all memories, zeros among them.
    pub bm25_moments: Moments,
}

/// A memory, and the closest of its keys.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BestKey {
    /// Of the memory.
    pub(crate) id: i64,
    /// Which of the view's parts it is in.
    pub(crate) part: usize,
    /// Which of the part's keys it is.
    pub(crate) key: usize,
    /// Its cosine.
    pub(crate) score: f64,
}

/// A memory, where it stands, and one of its scores.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scored {
    pub(super) score: f64,
    pub(super) id: i64,
    pub(super) part: usize,
    pub(super) row: usize,
}

impl Scored {
    /// Larger scores first, of equal ones the smaller id.
    fn order(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then(self.id.cmp(&other.id))
    }
}

/// The `n` best, in any order.
pub(super) fn best<T>(memories: &mut Vec<T>, n: usize, scored: impl Fn(&T) -> &Scored) {
    if n < memories.len() {
        memories.select_nth_unstable_by(n, |a, b| scored(a).order(scored(b)));
        memories.truncate(n);
    }
}

/// What a memory's keys say about a cue.
#[derive(Debug, Clone, Copy)]
struct Pooled {
    energy: f64,
    best_key: i64,
    /// Where that key stands in its segment.
    best_at: usize,
    best_score: f64,
}

impl Pooled {
    const NONE: Self =
        Self { energy: f64::NEG_INFINITY, best_key: -1, best_at: 0, best_score: f64::NEG_INFINITY };
}

/// Cosines of keys with one cue.
pub(super) struct Cosines<'a> {
    isa: Isa,
    query: Query<'a>,
}

impl<'a> Cosines<'a> {
    pub(super) fn new(isa: Isa, cue: &'a Cue) -> Self {
        Self::of(isa, cue.normal(), 0)
    }

    /// With row `row` of `cues`.
    pub(super) fn of(isa: Isa, cues: &'a NormalRows, row: usize) -> Self {
        Self { isa, query: Query::new(Metric::Cosine, cues, row) }
    }

    /// The cosine of one key, in float64.
    pub(super) fn exact(&self, segment: &TraceSegment, key: usize) -> f64 {
        self.query.score(self.isa, segment.keys().rows(), key)
    }

    fn pooled(&self, segment: &TraceSegment, row: usize, beta: f64, scores: &mut Vec<f64>) -> Pooled {
        let keys = segment.keys_of(row);
        scores.clear();
        scores.extend(keys.clone().map(|key| self.exact(segment, key)));
        let mut pooled = Pooled { energy: energy(scores.iter().copied(), beta), ..Pooled::NONE };
        for (key, &score) in keys.zip(&*scores) {
            if score > pooled.best_score {
                (pooled.best_key, pooled.best_at, pooled.best_score) = (segment.key_ids()[key], key, score);
            }
        }
        pooled
    }
}

/// A question to the memories.
pub(super) struct Question<'a> {
    pub(super) view: &'a View<TraceSegment>,
    pub(super) cosines: Option<Cosines<'a>>,
    pub(super) beta: f64,
    pub(super) bm25: Bm25,
    pub(super) terms: &'a [String],
}

impl Question<'_> {
    /// The `n` best by energy and the `n` best by BM25 among `allowed`, or among all.
    pub(super) fn candidates(&self, allowed: Option<&[Bitmap]>, n: usize) -> Candidates {
        let rows = self.rows(allowed);
        let worded = Worded::new(self.view, self.bm25, self.terms);
        let mut answer = Candidates {
            energy_moments: self.energy_moments(),
            bm25_moments: worded.moments(self.view.len()),
            ..Candidates::default()
        };

        let mut chosen = self.best_by_energy(&rows, n);
        chosen.sort_unstable_by_key(|(memory, _)| memory.id);
        let known = chosen.len();
        let mut by_words = worded.best(self.view, allowed, n);
        by_words.retain(|memory| {
            chosen[..known].binary_search_by_key(&memory.id, |(memory, _)| memory.id).is_err()
        });
        let places: Vec<_> = by_words.iter().map(|memory| (memory.part, memory.row)).collect();
        self.pool(&places, |i, pooled| {
            chosen.push((by_words[i], pooled));
            true
        });
        chosen.sort_unstable_by_key(|(memory, _)| memory.id);
        for (Scored { id, .. }, pooled) in chosen {
            answer.ids.push(id);
            answer.energy.push(pooled.energy);
            answer.bm25.push(worded.score_of(id));
            answer.best_key.push(pooled.best_key);
            answer.best_score.push(pooled.best_score);
        }
        answer
    }

    /// The `n` best by energy among `allowed`, or among all, best first: each with the closest of its keys.
    pub(super) fn best_keys(&self, allowed: Option<&[Bitmap]>, n: usize) -> Vec<BestKey> {
        let mut best = self.best_by_energy(&self.rows(allowed), n);
        best.sort_unstable_by(|(a, _), (b, _)| a.order(b));
        let key = |&(Scored { part, id, .. }, Pooled { best_at, best_score, .. }): &(Scored, Pooled)| {
            BestKey { id, part, key: best_at, score: best_score }
        };
        best.iter().map(key).collect()
    }

    fn rows<'b>(&'b self, allowed: Option<&'b [Bitmap]>) -> Vec<&'b Bitmap> {
        match allowed {
            Some(allowed) => allowed.iter().collect(),
            None => self.view.parts().iter().map(Part::live).collect(),
        }
    }

    fn best_by_energy(&self, rows: &[&Bitmap], n: usize) -> Vec<(Scored, Pooled)> {
        let Some(Cosines { isa, query }) = self.cosines else { return Vec::new() };
        let mut open = Vec::with_capacity(rows.len());
        let mut first = 0;
        for (part, &rows) in self.view.parts().iter().zip(rows) {
            open.push(Open { segment: part.segment(), rows, first });
            first += rows.len();
        }
        let contenders = Search { isa, query, beta: self.beta, n }.contenders(&open);
        let place = |&(_, position): &(f64, usize)| {
            let part = open.partition_point(|open| open.first <= position) - 1;
            (part, position - open[part].first)
        };
        let places: Vec<_> = contenders.iter().map(place).collect();
        let (mut found, mut energies) = (Vec::with_capacity(places.len()), TopK::new(n));
        self.pool(&places, |i, pooled| {
            let ((upper, position), (part, row)) = (contenders[i], places[i]);
            // The others are no better: nobody that is left can enter.
            if energies.threshold().is_some_and(|threshold| upper < threshold) {
                return false;
            }
            energies.push(pooled.energy, position);
            let id = self.view.parts()[part].ids()[row];
            found.push((Scored { score: pooled.energy, id, part, row }, pooled));
            true
        });
        best(&mut found, n, |(scored, _)| scored);
        found
    }

    /// Calls with what the keys of each memory say, one after the other, until it is told to stop.
    fn pool(&self, places: &[(usize, usize)], mut each: impl FnMut(usize, Pooled) -> bool) {
        let mut scores = Vec::new();
        let segment = |part: usize| self.view.parts()[part].segment();
        for (i, &(part, row)) in places.iter().enumerate() {
            let Some(cosines) = &self.cosines else {
                each(i, Pooled::NONE);
                continue;
            };
            if let Some(&(part, row)) = places.get(i + AHEAD) {
                let keys = segment(part).keys_of(row);
                prefetch(segment(part).keys().rows().rows_between(keys.start, keys.end).data());
            }
            if !each(i, cosines.pooled(segment(part), row, self.beta, &mut scores)) {
                return;
            }
        }
    }

    fn energy_moments(&self) -> Moments {
        self.cosines.as_ref().map_or_else(Moments::default, |Cosines { isa, query }| {
            Moments::of_energy(*isa, query, self.view, self.beta)
        })
    }
}
