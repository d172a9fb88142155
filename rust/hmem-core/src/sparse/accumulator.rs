//! Sums of scores for the rows that a query touches.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::thread;

/// Rows whose marks are looked at together.
const MARKS: usize = 8;

/// What is kept at most for a thread's next search, in rows: beyond that, fresh memory takes a small part of a search.
const KEPT_AT_MOST: usize = 1 << 21;

/// Plus anything, it is that to the last bit.
const NOTHING: f64 = -0.0;

/// One sum a row, and a mark at the rows that have one. It belongs to a search, never to an index: searches run side
/// by side.
#[derive(Debug, Default)]
pub(crate) struct Accumulator {
    /// [`NOTHING`] where nothing was added.
    sums: Vec<f64>,
    /// 1 where something was.
    marks: Vec<[u8; MARKS]>,
    /// Marks that may be set in this search.
    in_use: usize,
}

impl Accumulator {
    /// What this thread keeps, with room for rows `0..n_rows`, none of which has a sum.
    pub(crate) fn kept(n_rows: usize) -> Kept {
        let mut kept = Kept(KEPT.take());
        kept.in_use = 0;
        kept.reserve(n_rows);
        kept
    }

    /// Makes room for rows `0..n_rows`.
    pub(crate) fn reserve(&mut self, n_rows: usize) {
        let blocks = n_rows.div_ceil(MARKS);
        if self.marks.len() < blocks {
            self.sums.resize(blocks * MARKS, NOTHING);
            self.marks.resize(blocks, [0; MARKS]);
        }
        self.in_use = self.in_use.max(blocks);
    }

    /// Adds to a row's sum.
    #[inline]
    pub(crate) fn add(&mut self, row: usize, x: f64) {
        self.sums[row] += x;
        self.marks[row / MARKS][row % MARKS] = 1;
    }

    /// Hands out each row that was touched, ascending, with its sum, and forgets it.
    pub(crate) fn drain(&mut self, mut each: impl FnMut(usize, f64)) {
        for (block, marks) in self.marks[..self.in_use].iter_mut().enumerate() {
            let mut rest = u64::from_le_bytes(std::mem::take(marks));
            while rest != 0 {
                let row = block * MARKS + rest.trailing_zeros() as usize / 8;
                each(row, std::mem::replace(&mut self.sums[row], NOTHING));
                rest &= rest - 1;
            }
        }
    }
}

/// An [`Accumulator`] that goes back to its thread.
#[derive(Debug)]
pub(crate) struct Kept(Accumulator);

thread_local! {
    static KEPT: Cell<Accumulator> = Cell::default();
}

impl Deref for Kept {
    type Target = Accumulator;

    fn deref(&self) -> &Accumulator {
        &self.0
    }
}

impl DerefMut for Kept {
    fn deref_mut(&mut self) -> &mut Accumulator {
        &mut self.0
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // After a panic there may be sums left in it.
        if self.0.sums.len() <= KEPT_AT_MOST && !thread::panicking() {
            KEPT.set(std::mem::take(&mut self.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn sums_are_handed_out_once_and_in_order(
            queries in prop::collection::vec((1usize..90, prop::collection::vec((any::<usize>(), -9i8..9), 0..40)), 1..4)
        ) {
            for (n_rows, additions) in queries {
                let mut sums = Accumulator::kept(n_rows);
                let mut wanted: BTreeMap<usize, f64> = BTreeMap::new();
                for (row, x) in additions {
                    let (row, x) = (row % n_rows, f64::from(x));
                    sums.add(row, x);
                    wanted.entry(row).and_modify(|sum| *sum += x).or_insert(x);
                }
                let mut got = Vec::new();
                sums.drain(|row, sum| got.push((row, sum)));
                prop_assert_eq!(got, wanted.into_iter().collect::<Vec<_>>());
                sums.drain(|row, sum| panic!("{sum} is left in row {row}"));
            }
        }
    }

    #[test]
    fn the_first_sum_is_what_was_added_to_the_last_bit() {
        for x in [-0.0, 0.0, f64::MIN_POSITIVE / 3.0, -1.5, f64::INFINITY] {
            let mut sums = Accumulator::kept(1);
            sums.add(0, x);
            sums.drain(|_, sum| assert_eq!(sum.to_bits(), x.to_bits()));
        }
    }
}
