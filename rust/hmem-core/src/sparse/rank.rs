//! The best rows of each query, over several queries and threads.

use std::num::NonZero;
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::dense::index::{Neighbours, delivered};
use crate::kernels::select::TopK;
use crate::segment::View;

/// The up to `k` best rows of `view` for each of `m` queries. `one` offers the rows of one query, by their positions over
/// all segments. Queries are split over at most `threads` threads, and never more than there are processors.
pub(crate) fn answer<S, F>(view: &View<S>, m: usize, k: usize, threads: usize, one: F) -> Neighbours
where
    S: Send + Sync,
    F: Fn(usize, &mut TopK<f64>) + Sync,
{
    let columns = k.min(view.len());
    let mut found =
        Neighbours { ids: vec![-1; m * columns], scores: vec![f32::NEG_INFINITY; m * columns], columns };
    if found.ids.is_empty() {
        return found;
    }
    let places = found.ids.chunks_exact_mut(columns).zip(found.scores.chunks_exact_mut(columns));
    let queue = Mutex::new(places.enumerate());
    let work = || {
        loop {
            // Taken in a statement of its own: the lock is free again while the query is worked on.
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((query, (ids, scores))) = next else { return };
            let mut best = TopK::new(columns);
            one(query, &mut best);
            for (c, (score, position)) in best.into_sorted().into_iter().enumerate() {
                ids[c] = id_at(view, position);
                scores[c] = delivered(score);
            }
        }
    };
    match threads.min(m) {
        1 => work(),
        threads => thread::scope(|scope| {
            // Asking how many processors there are takes longer than a query.
            let processors = thread::available_parallelism().map_or(1, NonZero::get);
            for _ in 1..threads.min(processors) {
                // Where the system gives no further thread, the ones there are do the work.
                if thread::Builder::new().spawn_scoped(scope, work).is_err() {
                    break;
                }
            }
            work();
        }),
    }
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
