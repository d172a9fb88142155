//! The memories that share a word with a question, and how well their words answer it.

use super::candidates::{Scored, best};
use super::index::texts_of;
use super::moments::Moments;
use super::segment::TraceSegment;
use crate::bitmap::Bitmap;
use crate::kernels::select::Kth;
use crate::segment::{Segment, View};
use crate::sparse::accumulator::Accumulator;
use crate::sparse::bm25::Bm25;

/// BM25 of all memories that share a word with a question, by ascending id.
#[derive(Debug, Default)]
pub(super) struct Worded {
    ids: Vec<i64>,
    scores: Vec<f64>,
}

impl Worded {
    pub(super) fn new(view: &View<TraceSegment>, bm25: Bm25, terms: &[String]) -> Self {
        let parts = view.parts();
        let query = bm25.query(parts.iter().map(texts_of).collect(), terms);
        let mut worded = Self::default();
        for (p, part) in parts.iter().enumerate() {
            let mut sums = Accumulator::kept(part.segment().n_rows());
            query.score(p, None, &mut sums);
            sums.drain(|row, score| {
                worded.ids.push(part.ids()[row]);
                worded.scores.push(score);
            });
        }
        if !worded.ids.is_sorted() {
            let mut pairs: Vec<_> = worded.ids.iter().copied().zip(worded.scores).collect();
            pairs.sort_unstable_by_key(|&(id, _)| id);
            (worded.ids, worded.scores) = pairs.into_iter().unzip();
        }
        worded
    }

    /// Over all `count` memories, also those that share no word.
    pub(super) fn moments(&self, count: usize) -> Moments {
        Moments::new(self.scores.iter().copied(), count)
    }

    /// The score of a memory.
    pub(super) fn score_of(&self, id: i64) -> f64 {
        self.ids.binary_search(&id).map_or(0.0, |at| self.scores[at])
    }

    /// The `n` best among `allowed`, or among all, in any order.
    pub(super) fn best(
        &self,
        view: &View<TraceSegment>,
        allowed: Option<&[Bitmap]>,
        n: usize,
    ) -> Vec<Scored> {
        let may = |id: i64| {
            allowed.is_none_or(|rows| view.locate(id).is_some_and(|(part, row)| rows[part].contains(row)))
        };
        let mut kth = Kth::rarely(n);
        let mut least = f64::NEG_INFINITY;
        for (&id, &score) in self.ids.iter().zip(&self.scores) {
            if score > least && may(id) {
                least = kth.push(score).unwrap_or(least);
            }
        }
        let least = kth.find().unwrap_or(f64::NEG_INFINITY);
        let reaching = self.ids.iter().zip(&self.scores).filter(|&(&id, &score)| score >= least && may(id));
        let mut found: Vec<_> = reaching
            .map(|(&id, &score)| {
                let (part, row) = view.locate(id).expect("the view has what was found in it");
                Scored { score, id, part, row }
            })
            .collect();
        best(&mut found, n, |memory| memory);
        found
    }
}
