//! The best rows of each query, over several queries and threads.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::thread;

use super::accumulator::Accumulator;

/// The answers to several queries: for each of them `columns` hits, best first.
#[derive(Debug, Clone, PartialEq)]
pub struct Hits {
    /// Ids; -1 where there is no further hit.
    pub ids: Vec<i64>,
    /// Scores; -inf where there is no further hit.
    pub scores: Vec<f32>,
    /// Hits a query.
    pub columns: usize,
}

/// A row with its score. Larger is better; of equal scores the row that was added first.
#[derive(Debug, Clone, Copy)]
struct Ranked {
    score: f64,
    place: (usize, usize),
    id: i64,
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.place.cmp(&self.place))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ranked {}

/// The `k` best rows seen so far.
#[derive(Debug)]
pub(crate) struct Best {
    k: usize,
    /// The worst is on top.
    heap: BinaryHeap<Reverse<Ranked>>,
}

impl Best {
    fn new(k: usize) -> Self {
        Self { k, heap: BinaryHeap::new() }
    }

    /// Considers a row; `place` is its segment and its row there.
    pub(crate) fn offer(&mut self, score: f64, place: (usize, usize), id: i64) {
        // -0 and 0 are equal scores.
        let row = Ranked { score: score + 0.0, place, id };
        if self.heap.len() < self.k {
            self.heap.push(Reverse(row));
        } else if let Some(mut worst) = self.heap.peek_mut()
            && row > worst.0
        {
            *worst = Reverse(row);
        }
    }

    /// Writes the rows out, best first, and starts anew.
    fn write(&mut self, ids: &mut [i64], scores: &mut [f32]) {
        ids.fill(-1);
        scores.fill(f32::NEG_INFINITY);
        let mut rows: Vec<_> = self.heap.drain().map(|Reverse(row)| row).collect();
        rows.sort_unstable_by(|a, b| b.cmp(a));
        for (row, (id, score)) in rows.iter().zip(ids.iter_mut().zip(scores)) {
            *id = row.id;
            *score = rounded(row.score);
        }
    }
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "rows are ranked by float64, scores handed out as float32"
)]
fn rounded(score: f64) -> f32 {
    score as f32
}

/// Answers `m` queries with up to `columns` rows each. `one` scores one query; what it leaves in the accumulator must
/// be drained. The queries are shared out evenly among `threads`.
pub(crate) fn answer<F>(m: usize, columns: usize, threads: usize, one: F) -> Hits
where
    F: Fn(usize, &mut Accumulator, &mut Best) + Sync,
{
    let mut hits = Hits { ids: vec![-1; m * columns], scores: vec![f32::NEG_INFINITY; m * columns], columns };
    if m * columns == 0 {
        return hits;
    }
    let some = |first: usize, ids: &mut [i64], scores: &mut [f32]| {
        let (mut sums, mut best) = (Accumulator::default(), Best::new(columns));
        for (query, (ids, scores)) in
            (first..).zip(ids.chunks_exact_mut(columns).zip(scores.chunks_exact_mut(columns)))
        {
            one(query, &mut sums, &mut best);
            best.write(ids, scores);
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let share = m.div_ceil(threads.clamp(1, cores));
    if share == m {
        some(0, &mut hits.ids, &mut hits.scores);
        return hits;
    }
    thread::scope(|scope| {
        let shares = hits.ids.chunks_mut(share * columns).zip(hits.scores.chunks_mut(share * columns));
        for (i, (ids, scores)) in shares.enumerate() {
            let some = &some;
            scope.spawn(move || some(i * share, ids, scores));
        }
    });
    hits
}
