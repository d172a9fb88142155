//! A borrowed row-major matrix whose size was checked once.

use crate::error::InputError;

/// `n` rows of `d` numbers each, one after the other.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a, T> {
    data: &'a [T],
    n: usize,
    d: usize,
}

impl<'a, T> Rows<'a, T> {
    /// Views `data` as `n` rows of width `d`.
    ///
    /// # Errors
    /// [`InputError::Length`] unless `data` holds exactly `n · d` numbers.
    pub fn new(data: &'a [T], n: usize, d: usize) -> Result<Self, InputError> {
        match n.checked_mul(d) {
            Some(size) if size == data.len() => Ok(Self { data, n, d }),
            size => Err(InputError::Length {
                argument: "data",
                partner: "the rows' numbers",
                wanted: size.unwrap_or(usize::MAX),
                got: data.len(),
            }),
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.n
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// Width of a row.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.d
    }

    /// All numbers, row after row.
    #[must_use]
    pub fn data(&self) -> &'a [T] {
        self.data
    }

    /// Row `i`.
    ///
    /// # Panics
    /// If `i` is not below [`len`](Self::len).
    #[must_use]
    pub fn row(&self, i: usize) -> &'a [T] {
        assert!(i < self.n, "row {i} of {}", self.n);
        &self.data[i * self.d..(i + 1) * self.d]
    }

    /// The rows in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [T]> + use<'a, T> {
        let (data, d) = (self.data, self.d);
        (0..self.n).map(move |i| &data[i * d..(i + 1) * d])
    }
}

impl<'a> Rows<'a, f32> {
    /// Refuses NaN and infinities, naming the first.
    ///
    /// # Errors
    /// [`InputError::NotFinite`].
    pub fn check_finite(&self, argument: &'static str) -> Result<(), InputError> {
        // Looking at all of them is quicker than stopping at the first.
        if self.data.iter().fold(true, |all, x| all & x.is_finite()) {
            return Ok(());
        }
        match self.data.iter().position(|x| !x.is_finite()) {
            None => Ok(()),
            Some(at) => Err(InputError::NotFinite {
                argument,
                row: at / self.d,
                column: at % self.d,
                value: if self.data[at].is_nan() { "NaN" } else { "an infinity" },
            }),
        }
    }

    /// Refuses rows of another width.
    ///
    /// # Errors
    /// [`InputError::Width`].
    pub fn check_dim(&self, argument: &'static str, wanted: usize) -> Result<(), InputError> {
        if self.d == wanted { Ok(()) } else { Err(InputError::Width { argument, wanted, got: self.d }) }
    }
}
