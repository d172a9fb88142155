//! Which memories may answer a cue: the best by energy and the best by words, each with both scores.
//!
//! The energy of a memory, `(1/beta) · ln Σ exp(beta · s)` over the cosines `s` of its keys, lies between the largest of
//! them and that plus `ln(keys) / beta`. A float32 scan with a proved error bound gives limits for each cosine, hence for
//! each energy. The `n`-th largest lower limit is an energy that at least `n` memories reach, so only memories whose upper
//! limit is as large are scored again, in float64. The answer is that of scoring all in float64.
//!
//! Every number is a function of the memories that are there: sums run over ascending ids, or over the order of the
//! sample, which the ids fix. What was added and removed before does not show, not even in the last bit.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::index::Cue;
use super::segment::{TraceSegment, sample_order};
use crate::attractor::energy;
use crate::bitmap::Bitmap;
use crate::dense::Metric;
use crate::dense::query::Query;
use crate::kernels::dot::dot_rows;
use crate::kernels::isa::Isa;
use crate::kernels::select::TopK;
use crate::segment::{Live, Part, View};
use crate::sparse::accumulator::Accumulator;
use crate::sparse::bm25::Bm25;

/// Memories over which the moments of the energy are taken.
pub const SAMPLE: usize = 1024;

/// Mean and population deviation; both 0 over nothing.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Moments {
    /// Sum over count.
    pub mean: f64,
    /// Root of the mean squared distance from the mean.
    pub deviation: f64,
}

impl Moments {
    /// Of `values`, and of zeros that fill up to `count` numbers.
    fn new(values: &[f64], count: usize) -> Self {
        if count == 0 {
            return Self::default();
        }
        let mean = values.iter().sum::<f64>() / count as f64;
        let zeros = (count - values.len()) as f64;
        let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() + zeros * mean.powi(2);
        Self { mean, deviation: (squares / count as f64).sqrt() }
    }
}

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

/// A memory, where it stands, and one of its scores.
#[derive(Debug, Clone, Copy)]
struct Scored {
    score: f64,
    id: i64,
    part: usize,
    row: usize,
}

impl Scored {
    /// Larger scores first, of equal ones the smaller id.
    fn order(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then(self.id.cmp(&other.id))
    }
}

/// The `n` best, in any order.
fn best(mut memories: Vec<Scored>, n: usize) -> Vec<Scored> {
    if n < memories.len() {
        memories.select_nth_unstable_by(n, Scored::order);
        memories.truncate(n);
    }
    memories
}

/// What a memory's keys say about a cue.
#[derive(Debug, Clone, Copy)]
struct Pooled {
    energy: f64,
    best_key: i64,
    best_score: f64,
}

impl Pooled {
    const NONE: Self = Self { energy: f64::NEG_INFINITY, best_key: -1, best_score: f64::NEG_INFINITY };
}

/// Cosines of keys with one cue.
pub(super) struct Cosines<'a> {
    isa: Isa,
    query: Query<'a>,
}

impl<'a> Cosines<'a> {
    pub(super) fn new(isa: Isa, cue: &'a Cue) -> Self {
        Self { isa, query: Query::new(Metric::Cosine, cue.normal(), 0) }
    }

    /// The cosine of one key, in float64.
    pub(super) fn exact(&self, segment: &TraceSegment, key: usize) -> f64 {
        self.query.score(self.isa, segment.keys().rows(), key)
    }

    fn pooled(&self, segment: &TraceSegment, row: usize, beta: f64) -> Pooled {
        let keys = segment.keys_of(row);
        let scores: Vec<f64> = keys.clone().map(|key| self.exact(segment, key)).collect();
        let mut pooled = Pooled { energy: energy(scores.iter().copied(), beta), ..Pooled::NONE };
        for (key, &score) in keys.zip(&scores) {
            if score > pooled.best_score {
                (pooled.best_key, pooled.best_score) = (segment.key_ids()[key], score);
            }
        }
        pooled
    }

    /// The memories among `rows` of each part whose energy may be one of the `n` largest.
    fn contenders(
        &self,
        view: &View<TraceSegment>,
        rows: &[&Bitmap],
        beta: f64,
        n: usize,
    ) -> Vec<(usize, usize)> {
        let mut lower = TopK::new(n);
        let mut floor = f64::NEG_INFINITY;
        let mut contenders = Vec::new();
        let mut products = Vec::new();
        for (p, part) in view.parts().iter().enumerate() {
            let segment = part.segment();
            products.clear();
            products.resize(segment.key_ids().len(), 0f32);
            for run in runs(rows[p]) {
                let keys = segment.keys_of(run.start).start..segment.keys_of(run.end - 1).end;
                let stored = segment.keys().rows().rows_between(keys.start, keys.end);
                dot_rows(self.isa, stored, self.query.numbers(), &mut products[keys]);
            }
            for row in rows[p].iter() {
                let keys = segment.keys_of(row);
                if keys.is_empty() {
                    continue;
                }
                let spread = libm::log(keys.len() as f64) / beta;
                let (mut least, mut most) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
                for key in keys {
                    let limit = self.query.limit(segment.keys().rows(), key, products[key]);
                    least = least.max(limit.lower);
                    most = most.max(limit.upper);
                }
                // The margin covers the rounding of `energy` itself, which counts where beta is tiny.
                let most = most + spread;
                let most = most + 1e-12 * (1.0 + most.abs());
                let least = least - 1e-12 * (1.0 + least.abs() + spread);
                if most >= floor {
                    contenders.push((most, (p, row)));
                    lower.push(least, 0);
                    floor = lower.threshold().unwrap_or(floor);
                }
            }
        }
        contenders.into_iter().filter(|&(most, _)| most >= floor).map(|(_, place)| place).collect()
    }
}

/// Maximal runs of consecutive rows in the set.
fn runs(rows: &Bitmap) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
    let mut rows = rows.iter().peekable();
    std::iter::from_fn(move || {
        let start = rows.next()?;
        let mut end = start + 1;
        while rows.next_if_eq(&end).is_some() {
            end += 1;
        }
        Some(start..end)
    })
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
        let parts = self.view.parts();
        let rows: Vec<&Bitmap> = match allowed {
            Some(allowed) => allowed.iter().collect(),
            None => parts.iter().map(Part::live).collect(),
        };
        let worded = self.worded();
        let scores: Vec<f64> = worded.iter().map(|memory| memory.score).collect();
        let mut answer = Candidates {
            energy_moments: self.energy_moments(),
            bm25_moments: Moments::new(&scores, self.view.len()),
            ..Candidates::default()
        };

        let mut chosen = self.best_by_energy(&rows, n);
        let may = worded.iter().filter(|memory| rows[memory.part].contains(memory.row)).copied();
        chosen.extend(best(may.collect(), n));
        chosen.sort_unstable_by_key(|memory| memory.id);
        chosen.dedup_by_key(|memory| memory.id);
        for Scored { id, part, row, .. } in chosen {
            let pooled = self.pooled(part, row);
            let shared = worded.binary_search_by_key(&id, |memory| memory.id);
            answer.ids.push(id);
            answer.energy.push(pooled.energy);
            answer.bm25.push(shared.map_or(0.0, |at| worded[at].score));
            answer.best_key.push(pooled.best_key);
            answer.best_score.push(pooled.best_score);
        }
        answer
    }

    /// All memories that share a word with the question, and their BM25, by ascending id.
    fn worded(&self) -> Vec<Scored> {
        let parts = self.view.parts();
        let words = parts.iter().map(|part| Live { segment: part.segment().words(), rows: part.live() });
        let query = self.bm25.query(words.collect(), self.terms);
        let mut sums = Accumulator::default();
        let mut worded = Vec::new();
        for (p, part) in parts.iter().enumerate() {
            query.score(p, part.live(), &mut sums);
            sums.drain(|row, score| worded.push(Scored { score, id: part.ids()[row], part: p, row }));
        }
        worded.sort_unstable_by_key(|memory| memory.id);
        worded
    }

    fn best_by_energy(&self, rows: &[&Bitmap], n: usize) -> Vec<Scored> {
        let Some(cosines) = &self.cosines else { return Vec::new() };
        let contenders = cosines.contenders(self.view, rows, self.beta, n).into_iter();
        let scored = contenders.map(|(part, row)| Scored {
            score: self.pooled(part, row).energy,
            id: self.view.parts()[part].ids()[row],
            part,
            row,
        });
        best(scored.collect(), n)
    }

    fn pooled(&self, part: usize, row: usize) -> Pooled {
        let segment = self.view.parts()[part].segment();
        self.cosines.as_ref().map_or(Pooled::NONE, |cosines| cosines.pooled(segment, row, self.beta))
    }

    /// Over the live memories with keys that come first in [`sample_order`].
    fn energy_moments(&self) -> Moments {
        if self.cosines.is_none() {
            return Moments::default();
        }
        let next = |part: usize, from: usize| {
            let view = &self.view.parts()[part];
            let rows = &view.segment().sample()[from..];
            let skipped = rows.iter().position(|&row| view.live().contains(row as usize))?;
            let at = from + skipped;
            let row = view.segment().sample()[at] as usize;
            Some(Reverse((sample_order(view.ids()[row]), part, row, at)))
        };
        let mut heads: BinaryHeap<_> =
            (0..self.view.parts().len()).filter_map(|part| next(part, 0)).collect();
        let mut energies = Vec::with_capacity(SAMPLE);
        while energies.len() < SAMPLE
            && let Some(Reverse((_, part, row, at))) = heads.pop()
        {
            energies.push(self.pooled(part, row).energy);
            heads.extend(next(part, at + 1));
        }
        Moments::new(&energies, energies.len())
    }
}
