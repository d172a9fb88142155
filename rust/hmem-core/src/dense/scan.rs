//! Exact search: a fast float32 scan with a proved error bound, then float64 for the few rows that may matter.
//!
//! Every product of the scan comes with a bound on its error ([`error_bound`]), so each row has a lower and an upper
//! limit for its true score. The k-th largest lower limit is a score that at least k rows reach. A row whose upper limit
//! is below it cannot be among the best k; all others are scored again in float64. The answer, its order included, is
//! that of a float64 scan over all rows: scores are [`dot64`] of the stored forms, times the powers of two under dot,
//! divided by the product of the norms under cosine; equal scores keep the order of the rows.
//!
//! Queries are taken `QUERIES` at a time through blocks of `ROWS` rows, so that a block comes from memory once and
//! from the cache for the others. A block without an allowed row is skipped.

use std::num::NonZero;
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::segment::{DenseSegment, Metric, power_of_two};
use crate::kernels::dot::{dot_rows, dot64, error_bound};
use crate::kernels::isa::Isa;
use crate::kernels::select::TopK;
use crate::segment::{Live, Segment};

/// Rows that are scanned together: 64 of 384 numbers fill 96 KiB.
const ROWS: usize = 64;

/// Queries that share a block of rows.
const QUERIES: usize = 8;

/// A row that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// Which of the parts.
    pub part: usize,
    /// Which of its rows.
    pub row: usize,
    /// Its score in float64; larger is closer.
    pub score: f64,
}

/// The best `k` of the rows that `parts` let through, best first, for each query. Equal scores come in order of part and
/// row. Queries are split over at most `threads` threads, and never more than there are processors; the answer is the
/// same for any number.
#[must_use]
pub fn search(
    isa: Isa,
    metric: Metric,
    parts: &[Live<'_, DenseSegment>],
    queries: &DenseSegment,
    k: usize,
    threads: usize,
) -> Vec<Vec<Hit>> {
    let scan = Scan { isa, metric, parts, queries, k };
    let m = queries.n_rows();
    let n: usize = parts.iter().map(|part| part.segment.n_rows()).sum();
    let mut answers = vec![Vec::new(); m];
    if k == 0 || n == 0 {
        return answers;
    }
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = threads.clamp(1, processors).min(m.div_ceil(QUERIES).max(1));
    let share = m.div_ceil(threads).max(1);
    let shares = Mutex::new(answers.chunks_mut(share).enumerate());
    let work = || {
        loop {
            // Taken in a statement of its own: the lock is free again while the share is worked on.
            let next = shares.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((i, answers)) = next else { return };
            scan.answer(i * share, answers);
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            // Where the system gives no further thread, the ones there are do the work.
            if thread::Builder::new().spawn_scoped(scope, work).is_err() {
                break;
            }
        }
        work();
    });
    answers
}

#[derive(Clone, Copy)]
struct Scan<'a> {
    isa: Isa,
    metric: Metric,
    parts: &'a [Live<'a, DenseSegment>],
    queries: &'a DenseSegment,
    k: usize,
}

impl Scan<'_> {
    /// Answers the queries from number `first` on.
    fn answer(&self, first: usize, answers: &mut [Vec<Hit>]) {
        let n: usize = self.parts.iter().map(|part| part.segment.n_rows()).sum();
        let mut scores = vec![0f32; n * answers.len().min(QUERIES)];
        for (group, answers) in answers.chunks_mut(QUERIES).enumerate() {
            let first = first + group * QUERIES;
            let scores = &mut scores[..n * answers.len()];
            self.score(first, scores, n);
            for (i, answer) in answers.iter_mut().enumerate() {
                *answer = self.choose(first + i, &scores[i * n..(i + 1) * n]);
            }
        }
    }

    /// Float32 products of a group of queries with all rows of blocks that have an allowed one; query by query.
    fn score(&self, first: usize, scores: &mut [f32], n: usize) {
        let queries = self.queries.rows();
        let mut base = 0;
        for part in self.parts {
            let n_rows = part.segment.n_rows();
            for start in (0..n_rows).step_by(ROWS) {
                let end = n_rows.min(start + ROWS);
                if !(start..end).any(|row| part.rows.contains(row)) {
                    continue;
                }
                let rows = part.segment.rows_between(start, end);
                for (i, scores) in scores.chunks_exact_mut(n).enumerate() {
                    dot_rows(self.isa, rows, queries.row(first + i), &mut scores[base + start..base + end]);
                }
            }
            base += n_rows;
        }
    }

    /// The best rows for one query, given its float32 products.
    fn choose(&self, query: usize, scores: &[f32]) -> Vec<Hit> {
        let limits = Limits::new(self.metric, self.queries, query);
        let mut lower = TopK::new(self.k);
        let mut floor = f64::NEG_INFINITY;
        self.for_each_allowed(|position, part, row| {
            let limit = limits.of(part, row, scores[position]).lower;
            if limit > floor {
                lower.push(limit, position);
                floor = lower.threshold().unwrap_or(floor);
            }
        });
        let mut best = TopK::new(self.k);
        let numbers = self.queries.rows().row(query);
        self.for_each_allowed(|position, part, row| {
            if limits.of(part, row, scores[position]).upper >= floor {
                let product = dot64(part.rows().row(row), numbers);
                best.push(limits.score(part, row, product), position);
            }
        });
        best.into_sorted().into_iter().map(|(score, position)| self.hit(position, score)).collect()
    }

    /// Calls with the number among all rows, the segment and the number in it.
    fn for_each_allowed(&self, mut call: impl FnMut(usize, &DenseSegment, usize)) {
        let mut base = 0;
        for part in self.parts {
            for row in part.rows.iter() {
                call(base + row, part.segment, row);
            }
            base += part.segment.n_rows();
        }
    }

    fn hit(&self, position: usize, score: f64) -> Hit {
        let mut row = position;
        for (part, live) in self.parts.iter().enumerate() {
            match row.checked_sub(live.segment.n_rows()) {
                None => return Hit { part, row, score },
                Some(rest) => row = rest,
            }
        }
        unreachable!("position {position} is behind all parts")
    }
}

/// Scores of one query, and limits of what its float32 products stand for.
pub(crate) struct Limits {
    metric: Metric,
    /// Norm of the query's stored form.
    query_norm: f64,
    /// Its power of two.
    query_scale: f64,
    /// Error of a float32 product, a unit of the row's norm …
    relative: f64,
    /// … and on top.
    absolute: f64,
}

pub(crate) struct Limit {
    pub(crate) lower: f64,
    pub(crate) upper: f64,
}

impl Limits {
    pub(crate) fn new(metric: Metric, queries: &DenseSegment, query: usize) -> Self {
        let bound = error_bound(queries.rows().dim());
        let query_norm = queries.norms()[query];
        // A thousandth more than proved: it covers the rounding of all float64 arithmetic here and in `score`, which is
        // smaller by far (2^-53 a step instead of 2^-24).
        Self {
            metric,
            query_norm,
            query_scale: power_of_two(i32::from(queries.exponents()[query])),
            relative: bound.relative * 1.001 * query_norm,
            absolute: bound.absolute,
        }
    }

    /// Between which scores the row's true one lies; in units of the query's norm or scale, which are the same for all.
    #[inline]
    pub(crate) fn of(&self, segment: &DenseSegment, row: usize, product: f32) -> Limit {
        let norm = segment.norms()[row];
        let error = self.relative * norm + self.absolute;
        let product = f64::from(product);
        let (lower, upper) = (product - error, product + error);
        match self.metric {
            Metric::Cosine => Limit { lower: lower / norm, upper: upper / norm },
            Metric::Dot => {
                let scale = power_of_two(i32::from(segment.exponents()[row]));
                Limit { lower: lower * scale, upper: upper * scale }
            }
        }
    }

    /// The score for a float64 product.
    pub(crate) fn score(&self, segment: &DenseSegment, row: usize, product: f64) -> f64 {
        match self.metric {
            Metric::Cosine => product / (segment.norms()[row] * self.query_norm),
            Metric::Dot => product * (power_of_two(i32::from(segment.exponents()[row])) * self.query_scale),
        }
    }
}
