//! The best rows of each query, over several queries and threads.

use std::num::NonZero;
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::accumulator::Accumulator;
use crate::dense::index::{Neighbours, delivered};
use crate::kernels::select::TopK;
use crate::segment::View;

/// Gathers the best rows of one query, segment after segment.
#[derive(Debug)]
pub(crate) struct Best {
    top: TopK<f64>,
    /// Rows of the segments that were taken.
    base: usize,
}

impl Best {
    /// Takes the sums of the next segment, which has `n_rows` rows.
    pub(crate) fn take(&mut self, sums: &mut Accumulator, n_rows: usize) {
        sums.drain(|row, score| self.top.push(score, self.base + row));
        self.base += n_rows;
    }
}

/// The up to `k` best rows of `view` for each of `m` queries. `one` scores one query, and has the sums of each segment
/// taken. Queries are split over at most `threads` threads, and never more than there are processors.
pub(crate) fn answer<S, F>(view: &View<S>, m: usize, k: usize, threads: usize, one: F) -> Neighbours
where
    S: Send + Sync,
    F: Fn(usize, &mut Accumulator, &mut Best) + Sync,
{
    let columns = k.min(view.len());
    let mut found =
        Neighbours { ids: vec![-1; m * columns], scores: vec![f32::NEG_INFINITY; m * columns], columns };
    if found.ids.is_empty() {
        return found;
    }
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = threads.clamp(1, processors).min(m);
    let places = found.ids.chunks_exact_mut(columns).zip(found.scores.chunks_exact_mut(columns));
    let queue = Mutex::new(places.enumerate());
    let work = || {
        let mut sums = Accumulator::default();
        loop {
            // Taken in a statement of its own: the lock is free again while the query is worked on.
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((query, (ids, scores))) = next else { return };
            let mut best = Best { top: TopK::new(columns), base: 0 };
            one(query, &mut sums, &mut best);
            for (c, (score, position)) in best.top.into_sorted().into_iter().enumerate() {
                ids[c] = id_at(view, position);
                scores[c] = delivered(score);
            }
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
    found
}

/// The id of a row, counted over all segments.
fn id_at<S>(view: &View<S>, position: usize) -> i64 {
    let mut row = position;
    for part in view.parts() {
        match row.checked_sub(part.ids().len()) {
            None => return part.ids()[row],
            Some(rest) => row = rest,
        }
    }
    unreachable!("position {position} is behind all segments")
}
