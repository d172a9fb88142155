//! A query as seen from the centre of a segment: in the integers that its codes are compared with.
//!
//! With the names of [`codes`](super::codes), an [`Aim`] holds `Rp` of one query and one segment, and rounds it as each
//! kind of code wants it: to 8 bits for the upper halves of codes ([`Coarse`]), to about 15 for whole codes ([`Fine`]), to 5
//! for signs ([`Signs`]). If `Rp = unit · z + r`, where `z` are those integers, then
//!
//! ```text
//! y·Rp = (scale · code + e)·Rp = scale · unit · (code·z) + scale · code·r + e·Rp
//! ```
//!
//! `code·z` is an integer and exact. The second term is at most `‖scale · code‖·‖r‖` and the third `‖e‖·‖Rp‖`. On top
//! come roundings in float32 and float64; each is bounded by a power of two that leaves room, times a bound of what was
//! rounded. Lengths are relative to the segment and the query, so that nothing depends on the size of numbers.

use super::codes::Codes;
use super::query::{Limit, Query};
use crate::kernels::isa::Isa;
use crate::kernels::limits::PerQuery;
use crate::kernels::line::{LINE, SignedLine};
use crate::kernels::nibble::{STEP, Step};
use crate::kernels::quantise::{norms, rounded, squared_distance, without};
use crate::kernels::rotation::Rotation;
use crate::kernels::sign::Tables;

/// Deviations of an estimate from signs that a row may be off and still be found.
const DEVIATIONS: f64 = 3.0;

/// A query and a segment with codes.
#[derive(Debug)]
pub(crate) struct Aim<'a> {
    isa: Isa,
    codes: &'a Codes,
    /// `Rp`, rounded to float32.
    turned: Vec<f32>,
    largest: f32,
    /// Bound of `‖p‖`.
    length: f64,
    /// Bound of what `turned` is off.
    off: f64,
    gain: f32,
    /// `c·q`.
    base: f64,
    /// Scores are what is computed here times this, a power of two.
    unit: f64,
    /// Bound of what float64 rounds away in a score.
    dust: f64,
}

/// Upper halves of codes.
#[derive(Debug)]
pub(crate) struct Coarse {
    pub(crate) query: Vec<Step>,
    pub(crate) per_query: PerQuery,
}

/// Signs.
#[derive(Debug)]
pub(crate) struct Signs {
    pub(crate) tables: Tables,
    pub(crate) per_query: PerQuery,
}

/// Whole codes.
#[derive(Debug)]
pub(crate) struct Fine {
    pub(crate) query: [Vec<Step>; 2],
    /// Unsigned codes have 128 too much.
    too_much: i32,
    unit: f64,
    slack: f64,
}

impl<'a> Aim<'a> {
    pub(crate) fn new(isa: Isa, rotation: &Rotation, codes: &'a Codes, query: &Query<'_>) -> Self {
        let centre = codes.centre();
        let mut turned = vec![0f32; centre.len()];
        let base = crate::kernels::dot::dot64(centre, query.numbers()) * query.unit_factor();
        let centre_square = codes.centre_norm() * codes.centre_norm();
        #[allow(clippy::cast_possible_truncation, reason = "any gain will do, near the best one")]
        let gain = if centre_square > 0.0 { (base / centre_square) as f32 } else { 0.0 };
        let squares = without(isa, query.numbers(), query.unit_factor(), centre, gain.into(), &mut turned);
        rotation.apply(isa, &mut turned);
        let all = query.size() + f64::from(gain.abs()) * codes.centre_norm();
        let length = squares.sqrt() * (1.0 + 2f64.powi(-20)) + 2f64.powi(-48) * all;
        Self {
            isa,
            codes,
            largest: norms(isa, &turned).largest,
            turned,
            length,
            off: length * (rotation.error() + 2f64.powi(-22)) + 2f64.powi(-48) * all,
            gain,
            base,
            unit: query.unit(codes.exponent()),
            dust: 2f64.powi(-44) * (codes.centre_norm() + codes.radius()) * query.size(),
        }
    }

    pub(crate) fn codes(&self) -> &'a Codes {
        self.codes
    }

    /// `Rp` in integers of at most `largest`: the integers, their unit, and a bound of what is left.
    fn integers(&self, largest: i32) -> (Vec<i32>, f32, f64) {
        #[allow(clippy::cast_precision_loss, reason = "at most 2^14")]
        let largest = largest as f32;
        let mut integers = vec![0; self.turned.len()];
        let unit = (self.largest / largest).max(f32::MIN_POSITIVE);
        rounded(self.isa, &self.turned, (largest / self.largest).min(f32::MAX), &mut integers);
        let left = squared_distance(self.isa, &self.turned, unit.into(), &integers).sqrt();
        (integers, unit, left * (1.0 + 2f64.powi(-20)) + self.off)
    }

    /// No code is longer, in units of rows.
    fn longest_code(&self) -> f64 {
        (self.codes.radius() + self.codes.widest_error()) * 1.001
    }

    /// Bound of what float32 rounds away in a sum of `gain · offset` and the product of a code.
    fn rounding(&self) -> f64 {
        let offset = f64::from(self.gain.abs()) * self.codes.centre_norm() * self.codes.radius();
        2f64.powi(-21) * (offset + self.longest_code() * (self.length + self.off)) + self.dust
    }

    /// For the upper halves of codes.
    pub(crate) fn coarse(&self) -> (Coarse, Scale) {
        let (integers, unit, left) = self.integers(127);
        let sum: i32 = integers.iter().sum();
        let per_query = PerQuery {
            times: 32,
            minus: sum.wrapping_mul(241),
            unit: unit / 2.0,
            gain: self.gain,
            reach: super::codes::rounded_up(self.length),
        };
        let slack = self.longest_code() * left + self.rounding();
        (Coarse { query: steps(&integers), per_query }, self.scale(slack))
    }

    /// For signs.
    pub(crate) fn signs(&self) -> (Signs, Scale) {
        let (integers, unit, _) = self.integers(Tables::largest(self.turned.len()));
        #[allow(clippy::cast_possible_truncation, reason = "at most 31")]
        let small: Vec<i8> = integers.iter().map(|&z| z as i8).collect();
        let tables = Tables::new(&small);
        // What rounding the query adds to the deviation: a uniform error in each number, under random signs.
        let share = f64::from(unit).powi(2) * self.turned.len() as f64 / (4.0 * self.length.powi(2));
        #[allow(clippy::cast_possible_truncation, reason = "an estimate")]
        let reach = (DEVIATIONS * self.length * (1.0 + share).sqrt()) as f32;
        let per_query = PerQuery {
            times: 2,
            minus: 2 * tables.offset() + integers.iter().sum::<i32>(),
            unit,
            gain: self.gain,
            reach: if reach.is_finite() { reach } else { 0.0 },
        };
        (Signs { tables, per_query }, self.scale(0.0))
    }

    /// For whole codes.
    pub(crate) fn fine(&self) -> Fine {
        // 127·128 + 63 is the largest that two halves hold; and 128 times the sum of all must fit 31 bits.
        let d = self.turned.len();
        let largest = i32::try_from((i32::MAX as usize / 128 / d).min(16_319)).unwrap_or(16_319);
        let (integers, unit, left) = self.integers(largest);
        let sum = integers.iter().sum::<i32>();
        let upper: Vec<i32> = integers.iter().map(|z| (z + 64) >> 7).collect();
        let lower: Vec<i32> = integers.iter().zip(&upper).map(|(z, upper)| z - (upper << 7)).collect();
        Fine {
            query: [steps(&upper), steps(&lower)],
            too_much: sum.wrapping_mul(128),
            unit: unit.into(),
            slack: self.longest_code() * left + self.rounding(),
        }
    }

    /// Limits of a row's score, from its sum of [`dot_codes`](crate::kernels::nibble::dot_codes).
    #[inline]
    pub(crate) fn fine_limit(&self, fine: &Fine, row: usize, sum: i32) -> Limit {
        let per_row = self.codes.per_row();
        let sum = f64::from(sum.wrapping_sub(fine.too_much));
        let middle = self.base
            + f64::from(self.gain) * f64::from(per_row.offset[row])
            + f64::from(per_row.scale[row]) * fine.unit * sum;
        let error = f64::from(per_row.fine_error[row]) * self.length + fine.slack;
        Limit { lower: (middle - error) * self.unit, upper: (middle + error) * self.unit }
    }

    fn scale(&self, slack: f64) -> Scale {
        Scale { base: self.base + slack, unit: self.unit }
    }
}

/// From what the kernels compute to scores, and back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    base: f64,
    unit: f64,
}

impl Scale {
    /// The score that a limit stands for.
    pub(crate) fn score(self, limit: f32) -> f64 {
        (f64::from(limit) + self.base) * self.unit
    }

    /// Every limit that may stand for `score` is at least this.
    #[allow(clippy::cast_possible_truncation, reason = "rounded down after")]
    pub(crate) fn limit(self, score: f64) -> f32 {
        let limit = score / self.unit - self.base;
        ((limit - 2f64.powi(-48) * (limit.abs() + self.base.abs())) as f32).next_down()
    }
}

/// Integers of at most 8 bits as the kernels want them.
pub(crate) fn steps(integers: &[i32]) -> Vec<Step> {
    #[allow(clippy::cast_possible_truncation, reason = "at most 127")]
    let step = |chunk: &[i32]| {
        let mut lines = [SignedLine::ZERO; 2];
        for (i, &z) in chunk.iter().enumerate() {
            lines[i / LINE].0[i % LINE] = z as i8;
        }
        lines
    };
    integers.chunks(STEP).map(step).collect()
}
