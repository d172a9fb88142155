//! Sums of scores for the few rows that a query touches.

/// One sum a row, and a list of the rows that have one. It belongs to a search, never to an index: searches run side
/// by side. Clearing takes time for the rows touched, not for all.
#[derive(Debug, Default)]
pub(crate) struct Accumulator {
    /// NaN where nothing was added: sums of finite f32 products stay far inside f64.
    sums: Vec<f64>,
    touched: Vec<u32>,
}

impl Accumulator {
    /// Makes room for rows `0..n_rows`.
    pub(crate) fn reserve(&mut self, n_rows: usize) {
        if self.sums.len() < n_rows {
            self.sums.resize(n_rows, f64::NAN);
        }
    }

    /// Adds to a row's sum.
    #[inline]
    pub(crate) fn add(&mut self, row: u32, x: f64) {
        let sum = &mut self.sums[row as usize];
        if sum.is_nan() {
            self.touched.push(row);
            *sum = x;
        } else {
            *sum += x;
        }
    }

    /// Hands out each row that was touched, ascending, with its sum, and forgets it.
    pub(crate) fn drain(&mut self, mut each: impl FnMut(usize, f64)) {
        // Where much was touched, looking at every row is quicker than sorting.
        if self.touched.len() * 8 > self.sums.len() {
            self.touched.clear();
            for (row, sum) in self.sums.iter_mut().enumerate().filter(|(_, sum)| !sum.is_nan()) {
                each(row, std::mem::replace(sum, f64::NAN));
            }
            return;
        }
        self.touched.sort_unstable();
        for row in self.touched.drain(..) {
            let row = row as usize;
            each(row, std::mem::replace(&mut self.sums[row], f64::NAN));
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
            queries in prop::collection::vec((1usize..90, prop::collection::vec((any::<u32>(), -9i8..9), 0..40)), 1..4)
        ) {
            let mut sums = Accumulator::default();
            for (n_rows, additions) in queries {
                sums.reserve(n_rows);
                let mut wanted = BTreeMap::new();
                for (row, x) in additions {
                    let row = row % u32::try_from(n_rows).unwrap();
                    sums.add(row, f64::from(x));
                    *wanted.entry(row as usize).or_insert(0.0) += f64::from(x);
                }
                let mut got = Vec::new();
                sums.drain(|row, sum| got.push((row, sum)));
                prop_assert_eq!(got, wanted.into_iter().collect::<Vec<_>>());
            }
        }
    }
}
