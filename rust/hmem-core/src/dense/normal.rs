//! Rows in normal form.
//!
//! A row is kept as `stored · 2^exponent` with the largest magnitude of `stored` in [1, 2). Scaling by a power of two is
//! exact, so nothing is lost, and three things are won: products cannot overflow, rows of denormal numbers become
//! ordinary ones, and the error bound of a product is relative to the row. (One exception: an element more than 2¹²⁶
//! times smaller than its row's largest becomes denormal when that is scaled down, and may be rounded.)
//!
//! Beside each row stands the norm of `stored` in float64. A row of zeros has exponent 0 and norm 0.

use std::ops::RangeInclusive;

use crate::error::InputError;
use crate::kernels::dot::dot64;
use crate::kernels::memory::Column;
use crate::kernels::quantise::largest;
use crate::rows::Rows;

/// What a score is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// The inner product of the rows scaled to unit length.
    Cosine,
    /// The inner product.
    Dot,
}

impl Metric {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cosine => "cosine",
            Self::Dot => "dot",
        }
    }

    /// The metric of that name.
    ///
    /// # Errors
    /// [`InputError::Range`].
    pub fn named(name: &str) -> Result<Self, InputError> {
        [Self::Cosine, Self::Dot].into_iter().find(|metric| metric.name() == name).ok_or_else(|| {
            InputError::Range {
                argument: "metric",
                wanted: "\"cosine\" or \"dot\"",
                got: format!("{name:?}"),
            }
        })
    }
}

/// Exponents of float32 numbers.
pub(super) const EXPONENTS: RangeInclusive<i16> = -149..=127;

/// Rows in normal form.
#[derive(Debug, Clone)]
pub struct NormalRows {
    pub(super) stored: Column<f32>,
    pub(super) exponents: Column<i16>,
    pub(super) norms: Column<f64>,
    pub(super) d: usize,
}

/// Rows in normal form, while they are gathered.
#[derive(Debug)]
pub struct NormalBuilder {
    stored: Vec<f32>,
    exponents: Vec<i16>,
    norms: Vec<f64>,
    d: usize,
}

impl NormalBuilder {
    /// No rows yet, and room for `n`.
    #[must_use]
    pub fn with_capacity(n: usize, d: usize) -> Self {
        Self {
            stored: Vec::with_capacity(n * d),
            exponents: Vec::with_capacity(n),
            norms: Vec::with_capacity(n),
            d,
        }
    }

    /// Takes over a row of `other`, which must be as wide.
    pub fn push(&mut self, other: &NormalRows, row: usize) {
        self.stored.extend_from_slice(other.rows().row(row));
        self.exponents.push(other.exponents[row]);
        self.norms.push(other.norms[row]);
    }

    /// The rows.
    #[must_use]
    pub fn finish(self) -> NormalRows {
        let Self { stored, exponents, norms, d } = self;
        NormalRows { stored: stored.into(), exponents: exponents.into(), norms: norms.into(), d }
    }
}

impl NormalRows {
    /// Brings `rows` into normal form. Queries are treated the same.
    ///
    /// # Errors
    /// [`InputError::NotFinite`]; under cosine [`InputError::ZeroRow`]. Both name `argument` and the row.
    pub fn new(argument: &'static str, rows: Rows<'_, f32>, metric: Metric) -> Result<Self, InputError> {
        Ok(Self::gather(argument, rows, metric)?.finish())
    }

    fn gather(
        argument: &'static str,
        rows: Rows<'_, f32>,
        metric: Metric,
    ) -> Result<NormalBuilder, InputError> {
        rows.check_finite(argument)?;
        let mut segment = NormalBuilder::with_capacity(rows.len(), rows.dim());
        for (row, numbers) in rows.iter().enumerate() {
            let largest = largest(numbers);
            if largest == 0.0 && metric == Metric::Cosine {
                return Err(InputError::ZeroRow { argument, row });
            }
            let exponent = exponent_of(largest);
            if exponent == 0 {
                segment.stored.extend_from_slice(numbers);
            } else {
                let scale = power_of_two(-i32::from(exponent));
                segment.stored.extend(numbers.iter().map(|&x| rounded(f64::from(x) * scale)));
            }
            segment.exponents.push(exponent);
            segment.norms.push(norm(&segment.stored[row * segment.d..]));
        }
        Ok(segment)
    }

    /// From [`rows`](Self::rows) and [`exponents`](Self::exponents) of other rows.
    ///
    /// # Errors
    /// As [`new`](Self::new), and [`InputError::Length`] or [`InputError::Range`] if `exponents` do not fit the rows.
    pub fn from_state(rows: Rows<'_, f32>, exponents: &[i64], metric: Metric) -> Result<Self, InputError> {
        let mut segment = Self::gather("rows", rows, metric)?;
        if exponents.len() != rows.len() {
            let (wanted, got) = (rows.len(), exponents.len());
            return Err(InputError::Length { argument: "exponents", partner: "rows", wanted, got });
        }
        for (kept, &exponent) in segment.exponents.iter_mut().zip(exponents) {
            let sum = i64::from(*kept).saturating_add(exponent);
            *kept = i16::try_from(sum).ok().filter(|sum| EXPONENTS.contains(sum)).ok_or_else(|| {
                InputError::Range {
                    argument: "exponents",
                    wanted: "the exponents of float32 numbers (-149 to 127)",
                    got: exponent.to_string(),
                }
            })?;
        }
        Ok(segment.finish())
    }

    /// The same rows in pieces of at most `size`, in order; at least one piece.
    #[must_use]
    pub fn cut(self, size: usize) -> Vec<Self> {
        if self.len() <= size {
            return vec![self];
        }
        let piece = |start: usize| {
            let end = self.len().min(start + size);
            Self {
                stored: self.stored[start * self.d..end * self.d].to_vec().into(),
                exponents: self.exponents[start..end].to_vec().into(),
                norms: self.norms[start..end].to_vec().into(),
                d: self.d,
            }
        };
        (0..self.len()).step_by(size).map(piece).collect()
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.norms.len()
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.norms.is_empty()
    }

    /// Width of the rows.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.d
    }

    /// Bytes held.
    #[must_use]
    pub fn nbytes(&self) -> usize {
        size_of_val(&*self.stored) + size_of_val(&*self.exponents) + size_of_val(&*self.norms)
    }

    /// The rows as they are stored.
    #[must_use]
    pub fn rows(&self) -> Rows<'_, f32> {
        self.rows_between(0, self.norms.len())
    }

    /// Rows `start..end` as they are stored.
    ///
    /// # Panics
    /// If there are fewer rows.
    #[must_use]
    pub fn rows_between(&self, start: usize, end: usize) -> Rows<'_, f32> {
        let numbers = &self.stored[start * self.d..end * self.d];
        Rows::new(numbers, end - start, self.d).expect("each row has d numbers")
    }

    /// The power of two that each stored row is to be multiplied with.
    #[must_use]
    pub fn exponents(&self) -> &[i16] {
        &self.exponents
    }

    /// The length of each stored row.
    #[must_use]
    pub fn norms(&self) -> &[f64] {
        &self.norms
    }

    /// Row `row` as the caller sees it: of unit length under cosine, as it came under dot.
    pub fn vector(&self, row: usize, metric: Metric) -> impl Iterator<Item = f32> + '_ {
        let scale = match metric {
            Metric::Cosine => self.norms[row].recip(),
            Metric::Dot => power_of_two(i32::from(self.exponents[row])),
        };
        self.rows().row(row).iter().map(move |&x| rounded(f64::from(x) * scale))
    }
}

/// The length of a row in float64.
#[must_use]
pub fn norm(row: &[f32]) -> f64 {
    dot64(row, row).sqrt()
}

/// `2^exponent`, exact from −1022 to 1023.
#[must_use]
pub fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(u64::from((exponent + 1023).unsigned_abs()) << 52)
}

/// The exponent of a finite number that is not negative: `2^e ≤ x < 2^(e + 1)`, and 0 for zero.
fn exponent_of(x: f32) -> i16 {
    if x == 0.0 {
        return 0;
    }
    // As float64 even a denormal number has its exponent in the exponent's bits.
    let biased = f64::from(x).to_bits() >> 52;
    i16::try_from(biased).expect("11 bits") - 1023
}

#[allow(clippy::cast_possible_truncation, reason = "rounding to float32 is the purpose")]
fn rounded(x: f64) -> f32 {
    x as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn segment(data: &[f32], d: usize, metric: Metric) -> Result<NormalRows, InputError> {
        NormalRows::new("rows", Rows::new(data, data.len() / d, d).unwrap(), metric)
    }

    proptest! {
        #[test]
        fn normal_form_keeps_the_row(row in prop::collection::vec(-1e3f32..1e3, 1..40), scale in -126..100i32) {
            let row: Vec<f32> = row.iter().map(|&x| (f64::from(x) * power_of_two(scale)) as f32).collect();
            let segment = segment(&row, row.len(), Metric::Dot).unwrap();
            prop_assert_eq!(segment.vector(0, Metric::Dot).collect::<Vec<_>>(), row.clone());
            if row.iter().any(|&x| x != 0.0) {
                let largest = segment.rows().data().iter().fold(0f32, |a, x| a.max(x.abs()));
                prop_assert!((1.0..2.0).contains(&largest));
                let length: f64 = segment.vector(0, Metric::Cosine).map(|x| f64::from(x).powi(2)).sum();
                prop_assert!((length - 1.0).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn denormal_and_largest_rows_have_a_normal_form() {
        let tiny = f32::from_bits(1);
        let segment = segment(&[tiny, -tiny, f32::MAX, 0.0], 2, Metric::Cosine).unwrap();
        assert_eq!(segment.rows().row(0), [1.0, -1.0]);
        assert_eq!(segment.exponents(), [-149, 127]);
        assert_eq!(segment.vector(1, Metric::Dot).collect::<Vec<_>>(), [f32::MAX, 0.0]);
    }

    #[test]
    fn a_zero_row_is_refused_for_cosine_alone() {
        let rows = [1.0, 0.0, 0.0, 0.0];
        let error = segment(&rows, 2, Metric::Cosine).unwrap_err();
        assert_eq!(error, InputError::ZeroRow { argument: "rows", row: 1 });
        assert_eq!(segment(&rows, 2, Metric::Dot).unwrap().norms(), [1.0, 0.0]);
    }
}
