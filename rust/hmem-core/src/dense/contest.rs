//! Who may still be among the best.
//!
//! Rows come with limits of their scores. The `k`-th largest lower limit is a score that `k` rows reach: the *floor*. A row
//! whose upper limit is below it is out; the others are scored exactly in the end: the most promising `k`, and then all
//! that can still enter.

use super::query::Limit;
use crate::kernels::select::{Kth, TopK};

/// Fewer rows stay in even if they are out.
const CROWD: usize = 256;

/// Places that are kept from the start.
const ROOM: usize = 64;

/// How many rows ahead memory is asked for.
const AHEAD: usize = 3;

/// One query's contest. A position stands for a row; of equal scores the smaller position is better.
#[derive(Debug)]
pub(crate) struct Contest {
    k: usize,
    floor: f64,
    lower: Kth<f64>,
    /// Upper limits and positions.
    left: Vec<(f64, usize)>,
    /// So many make it worth while to look who is out.
    crowd: usize,
}

impl Contest {
    /// For the best `k`; nobody is in yet.
    pub(crate) fn new(k: usize) -> Self {
        Self { k, floor: f64::NEG_INFINITY, lower: Kth::new(k), left: Vec::with_capacity(ROOM), crowd: CROWD }
    }

    /// One for other rows, with the floor that this one has.
    pub(crate) fn successor(&self) -> Self {
        Self { floor: self.floor, ..Self::new(self.k) }
    }

    /// Takes a floor that is known from elsewhere: `k` rows reach it.
    pub(crate) fn raise(&mut self, floor: f64) {
        self.floor = self.floor.max(floor);
    }

    /// Whoever cannot reach it is out.
    pub(crate) fn floor(&self) -> f64 {
        self.floor
    }

    /// Rows that were not out when they came.
    pub(crate) fn len(&self) -> usize {
        self.left.len()
    }

    /// Takes a row in. Each row once.
    #[inline]
    pub(crate) fn enter(&mut self, limit: Limit, position: usize) {
        if limit.upper < self.floor {
            return;
        }
        if self.left.len() >= self.crowd {
            // Cheaper than more memory, and most are out by now.
            self.prune();
            self.crowd = CROWD.max(2 * self.left.len());
        }
        self.left.push((limit.upper, position));
        if limit.lower > self.floor
            && let Some(floor) = self.lower.push(limit.lower)
        {
            self.raise(floor);
        }
    }

    /// Takes in all rows of a contest among other rows.
    pub(crate) fn join(&mut self, other: Self) {
        self.raise(other.floor);
        self.left.extend(other.left);
    }

    /// Lets those go who are out by now.
    pub(crate) fn prune(&mut self) {
        self.left.retain(|&(upper, _)| upper >= self.floor);
    }

    /// Positions of those who are still in, ascending if they came so.
    pub(crate) fn left(&self) -> impl Iterator<Item = usize> + '_ {
        self.left.iter().filter(|&&(upper, _)| upper >= self.floor).map(|&(_, position)| position)
    }

    /// Upper limits and positions of those that are not out, best first; for whoever decides otherwise than by position.
    pub(crate) fn into_left(mut self) -> Vec<(f64, usize)> {
        self.prune();
        self.left.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        self.left
    }

    /// The best `k`, best first, with their exact scores. `soon` is told which row's score will be wanted a little later.
    pub(crate) fn decide(mut self, soon: impl Fn(usize), exact: impl Fn(usize) -> f64) -> Vec<(f64, usize)> {
        self.prune();
        if self.k < self.left.len() {
            self.left.select_nth_unstable_by(self.k, |a, b| b.0.total_cmp(&a.0));
        }
        let mut best = TopK::new(self.k);
        let mut score = |left: &[(f64, usize)]| {
            left.iter().take(AHEAD).for_each(|&(_, position)| soon(position));
            for (i, &(upper, position)) in left.iter().enumerate() {
                if let Some(&(_, later)) = left.get(i + AHEAD) {
                    soon(later);
                }
                if best.threshold().is_none_or(|threshold| upper >= threshold) {
                    best.push(exact(position), position);
                }
            }
            best.threshold()
        };
        let mut others = self.left.split_off(self.k.min(self.left.len()));
        if let Some(threshold) = score(&self.left) {
            // The others in the order in which they lie in memory, since all of them may be left.
            others.retain(|&(upper, _)| upper >= threshold);
            others.sort_unstable_by_key(|&(_, position)| position);
            score(&others);
        }
        best.into_sorted()
    }
}
