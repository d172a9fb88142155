//! The `k` largest of many scores.
//!
//! Larger scores come first; equal scores come in the order of their positions, so the answer does not depend on how the
//! scores were cut into blocks. Positive and negative zero are equal. NaN never enters.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A bounded heap: holds the best `k` of what was pushed.
#[derive(Debug, Clone)]
pub struct TopK<S> {
    k: usize,
    /// The worst of the best is on top.
    heap: BinaryHeap<Hit<S>>,
}

/// A score and where it stood. `Ord` has the *worse* hit as the greater one.
#[derive(Debug, Clone, Copy)]
struct Hit<S> {
    score: S,
    position: usize,
}

impl<S: PartialOrd> Ord for Hit<S> {
    fn cmp(&self, other: &Self) -> Ordering {
        // NaN was kept out, so scores always compare.
        let by_score = other.score.partial_cmp(&self.score).unwrap_or(Ordering::Equal);
        by_score.then(self.position.cmp(&other.position))
    }
}

impl<S: PartialOrd> PartialOrd for Hit<S> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<S: PartialOrd> PartialEq for Hit<S> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<S: PartialOrd> Eq for Hit<S> {}

impl<S: PartialOrd + Copy> TopK<S> {
    /// Keeps the best `k`. Memory grows with what is pushed, so `k` may be anything.
    #[must_use]
    pub fn new(k: usize) -> Self {
        Self { k, heap: BinaryHeap::new() }
    }

    /// Offers a score. Positions may come in any order, each once.
    #[inline]
    pub fn push(&mut self, score: S, position: usize) {
        #[allow(clippy::eq_op, reason = "only NaN differs from itself")]
        if score != score {
            return;
        }
        let hit = Hit { score, position };
        if self.heap.len() < self.k {
            self.heap.push(hit);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && hit < *worst
        {
            *worst = hit;
        }
    }

    /// The `k`-th best score so far; `None` while fewer than `k` were pushed. A lower score cannot enter.
    #[inline]
    #[must_use]
    pub fn threshold(&self) -> Option<S> {
        (self.heap.len() == self.k).then(|| self.heap.peek().map(|worst| worst.score)).flatten()
    }

    /// Scores and positions, best first.
    #[must_use]
    pub fn into_sorted(self) -> Vec<(S, usize)> {
        self.heap.into_sorted_vec().into_iter().map(|hit| (hit.score, hit.position)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn top_k(scores: &[f64], k: usize) -> Vec<(f64, usize)> {
        let mut top = TopK::new(k);
        scores.iter().enumerate().for_each(|(position, &score)| top.push(score, position));
        top.into_sorted()
    }

    proptest! {
        #[test]
        fn is_the_front_of_a_stable_sort(scores in prop::collection::vec(-4i8..4, 0..200), k in 0usize..220) {
            let scores: Vec<f64> = scores.into_iter().map(f64::from).collect();
            let mut sorted: Vec<_> = scores.iter().copied().zip(0..).collect();
            sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
            sorted.truncate(k);
            prop_assert_eq!(top_k(&scores, k), sorted);
        }
    }

    #[test]
    fn nan_never_enters_and_zeros_are_equal() {
        let scores = [f64::NAN, -0.0, 0.0, f64::NEG_INFINITY, f64::NAN];
        let positions: Vec<_> =
            top_k(&scores, usize::MAX).into_iter().map(|(_, position)| position).collect();
        assert_eq!(positions, [1, 2, 3]);
    }

    #[test]
    fn threshold_stands_once_k_are_in() {
        let mut top = TopK::new(2);
        top.push(1.0, 0);
        assert_eq!(top.threshold(), None);
        top.push(3.0, 1);
        top.push(2.0, 2);
        assert_eq!(top.threshold(), Some(2.0));
    }
}
