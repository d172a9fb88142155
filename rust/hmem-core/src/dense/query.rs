//! A query, and what its score with a row is.

use super::normal::{Metric, NormalRows, power_of_two};
use crate::kernels::dot::{dot64_on, error_bound};
use crate::kernels::isa::Isa;

/// Between which scores a row's true one lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Limit {
    pub(crate) lower: f64,
    pub(crate) upper: f64,
}

impl Limit {
    /// A quarter of the error on both sides instead of all of it. Errors of codes add up many small ones of either sign, so
    /// they are hardly ever a tenth of their bound.
    pub(crate) fn likely(self) -> Self {
        let (lower, upper) = (self.lower, self.upper);
        Self { lower: 0.625 * lower + 0.375 * upper, upper: 0.375 * lower + 0.625 * upper }
    }
}

/// One query in normal form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Query<'a> {
    metric: Metric,
    numbers: &'a [f32],
    norm: f64,
    /// What products with the stored form are to be multiplied with.
    scale: f64,
    /// Error of a float32 product, a unit of the row's norm …
    relative: f64,
    /// … and on top.
    absolute: f64,
}

impl<'a> Query<'a> {
    /// Row `row` of `queries`.
    pub(crate) fn new(metric: Metric, queries: &'a NormalRows, row: usize) -> Self {
        let bound = error_bound(queries.dim());
        let norm = queries.norms()[row];
        let scale = match metric {
            Metric::Cosine => norm.recip(),
            Metric::Dot => power_of_two(i32::from(queries.exponents()[row])),
        };
        // A thousandth more than proved: it covers the rounding of all float64 arithmetic here, which is smaller by far
        // (2^-53 a step instead of 2^-24).
        let (relative, absolute) = (bound.relative * 1.001 * norm, bound.absolute);
        Self { metric, numbers: queries.rows().row(row), norm, scale, relative, absolute }
    }

    /// The stored form.
    pub(crate) fn numbers(&self) -> &'a [f32] {
        self.numbers
    }

    /// The stored form times this has unit length under cosine, and is itself under dot.
    pub(crate) fn unit_factor(&self) -> f64 {
        if self.metric == Metric::Cosine { self.scale } else { 1.0 }
    }

    /// Scores with rows that are units of `2^exponent` are to be multiplied with this.
    pub(crate) fn unit(&self, exponent: i32) -> f64 {
        if self.metric == Metric::Cosine { 1.0 } else { self.scale * power_of_two(exponent) }
    }

    /// The length of the stored form times [`unit_factor`](Self::unit_factor).
    pub(crate) fn size(&self) -> f64 {
        self.norm * self.unit_factor()
    }

    /// The score of a row, from the product of both stored forms in float64.
    pub(crate) fn score(&self, isa: Isa, rows: &NormalRows, row: usize) -> f64 {
        let product = dot64_on(isa, rows.rows().row(row), self.numbers);
        match self.metric {
            Metric::Cosine => product / (rows.norms()[row] * self.norm),
            Metric::Dot => product * (power_of_two(i32::from(rows.exponents()[row])) * self.scale),
        }
    }

    /// That score, but for the rounding of the product in float32.
    #[inline]
    pub(crate) fn rounded_score(&self, rows: &NormalRows, row: usize, product: f32) -> f64 {
        f64::from(product) * self.factor(rows, row)
    }

    /// What turns a product of stored forms into a score.
    #[inline]
    fn factor(&self, rows: &NormalRows, row: usize) -> f64 {
        match self.metric {
            Metric::Cosine => self.scale / rows.norms()[row],
            Metric::Dot => self.scale * power_of_two(i32::from(rows.exponents()[row])),
        }
    }

    /// Where that score lies, given the product in float32.
    #[inline]
    pub(crate) fn limit(&self, rows: &NormalRows, row: usize, product: f32) -> Limit {
        let error = self.relative * rows.norms()[row] + self.absolute;
        let (product, factor) = (f64::from(product), self.factor(rows, row));
        Limit { lower: (product - error) * factor, upper: (product + error) * factor }
    }
}
