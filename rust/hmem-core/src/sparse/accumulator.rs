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

    /// Hands out each row that was touched, with its sum, and forgets it.
    pub(crate) fn drain(&mut self, mut each: impl FnMut(usize, f64)) {
        for row in self.touched.drain(..) {
            let row = row as usize;
            each(row, std::mem::replace(&mut self.sums[row], f64::NAN));
        }
    }
}
