//! The `k` largest of many scores.
//!
//! Larger scores come first; equal scores come in the order of their positions, so the answer does not depend on how the
//! scores were cut into blocks. Positive and negative zero are equal. NaN never enters.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Places that are kept from the start, where so many scores are wanted.
const ROOM: usize = 32;

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
        Self { k, heap: BinaryHeap::with_capacity(k.min(ROOM)) }
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

/// The `k`-th largest of many scores, found now and then: a heap would know it after each, and take longer.
#[derive(Debug, Clone)]
pub struct Kth<S> {
    k: usize,
    /// At so many scores it is found next.
    next: usize,
    /// It is found again at so many.
    full: usize,
    /// The best `k` when it was last found, and those that came after.
    scores: Vec<S>,
}

/// How many scores come, beside half of `k`, before the `k`-th largest is found again.
const LAG: usize = 4;

/// How many scores come at least before it is found, where nobody waits for it.
const MANY: usize = 256;

impl<S: PartialOrd + Copy> Kth<S> {
    /// No scores yet. The `k`-th is found as soon as there are so many, and soon again.
    #[must_use]
    pub fn new(k: usize) -> Self {
        Self { k, next: k, full: k.saturating_add(k / 2 + LAG), scores: Vec::new() }
    }

    /// No scores yet. It is found more rarely, in less time altogether.
    #[must_use]
    pub fn rarely(k: usize) -> Self {
        let full = k.saturating_mul(2).max(MANY);
        Self { k, next: full, full, scores: Vec::new() }
    }

    /// Takes a score that is not NaN; scores that are not larger than what was returned last may be left out. Returns the
    /// `k`-th largest of all, if it was found now.
    #[inline]
    pub fn push(&mut self, score: S) -> Option<S> {
        self.scores.push(score);
        if self.scores.len() < self.next {
            return None;
        }
        self.next = self.full;
        self.find()
    }

    /// The `k`-th largest of all that were taken; `None` if they are fewer.
    pub fn find(&mut self) -> Option<S> {
        let last = self.k.checked_sub(1).filter(|&last| last < self.scores.len())?;
        let best_first = |a: &S, b: &S| b.partial_cmp(a).unwrap_or(Ordering::Equal);
        let (_, &mut kth, _) = self.scores.select_nth_unstable_by(last, best_first);
        self.scores.truncate(self.k);
        Some(kth)
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

    proptest! {
        /// Whatever is left out, as it may be, what is found is the `k`-th largest so far, and it is found in time.
        #[test]
        fn kth_is_that_of_a_sort(scores in prop::collection::vec(-120i8..120, 0..600), k in 1usize..30) {
            let (mut kth, mut rare) = (Kth::new(k), Kth::rarely(k));
            let mut threshold = None;
            let (mut last, mut since) = (None, 0);
            for n in 1..=scores.len() {
                let score = scores[n - 1];
                since += 1;
                if last.is_none_or(|last| score > last) && let Some(found) = kth.push(score) {
                    let mut sorted = scores[..n].to_vec();
                    sorted.sort_unstable_by_key(|&score| std::cmp::Reverse(score));
                    prop_assert_eq!(found, sorted[k - 1]);
                    (last, since) = (Some(found), 0);
                }
                let larger = scores[n - since..n].iter().filter(|&&score| last.is_some_and(|last| score > last));
                prop_assert!(larger.count() < k / 2 + LAG);
                prop_assert_eq!(last.is_some(), n >= k);
                let mut sorted = scores[..n].to_vec();
                sorted.sort_unstable_by_key(|&score| std::cmp::Reverse(score));
                prop_assert_eq!(kth.clone().find(), sorted.get(k - 1).copied());
                if threshold.is_none_or(|threshold| score > threshold) {
                    threshold = rare.push(score).or(threshold);
                }
                prop_assert_eq!(rare.clone().find(), sorted.get(k - 1).copied());
            }
        }
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
