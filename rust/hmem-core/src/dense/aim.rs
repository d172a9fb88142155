//! A query as seen from the centre of a segment: in the integers that its codes are compared with.
//!
//! With the names of [`codes`](super::codes), an [`Aim`] holds `Rp` of one query and one segment, and rounds it as each
//! kind of code wants it: to 8 bits for the upper halves of codes ([`Coarse`]), to about 15 for whole codes ([`Fine`]), to about 5
//! for signs ([`Signs`]), to 7 or 8 for whole codes where many queries come at once ([`Tiled`]). If `Rp = unit · z + r`,
//! where `z` are those integers, then
//!
//! ```text
//! y·Rp = (scale · code + e)·Rp = scale · unit · (code·z) + scale · code·r + e·Rp
//! ```
//!
//! `code·z` is an integer and exact. The second term is at most `‖scale · code‖·‖r‖` and the third `‖e‖·‖Rp‖`. On top
//! come roundings in float32 and float64; each is bounded by a power of two that leaves room, times a bound of what was
//! rounded. Lengths are relative to the segment and the query, so that nothing depends on the size of numbers.

use std::marker::PhantomData;

use super::codes::Codes;
use super::limit::Limited;
use super::per_sign::PerSign;
use super::query::{Limit, Query};
use crate::kernels::dot::dot64_on;
use crate::kernels::isa::Isa;
use crate::kernels::limits::{PerQuery, PerSignQuery};
use crate::kernels::line::{LINE, SignedLine};
use crate::kernels::nibble::{STEP, Step};
use crate::kernels::quantise::{largest, rounded, squared_distance, without};
use crate::kernels::rotation::Rotation;
use crate::kernels::sign::{self, Tables};
use crate::kernels::tile;

/// Deviations of an estimate from signs that a row may be off and still be found. Of 40,000 hits of real sentences, 3 lost
/// two among 20,000 rows and one among 97,563; 3.25 lost none (`benches/nearly_exact.py`).
const DEVIATIONS: f64 = 3.25;

/// The same for an estimate from upper halves of codes, which is closer by far.
const HALF_DEVIATIONS: f64 = 5.0;

/// What rounding may add to the magnitudes of a chunk of signs' numbers.
const HALVES: i32 = 16;
const _: () = assert!(sign::CHUNK == 32);

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
    /// Of the query's integers.
    sum: i32,
}

/// Signs.
#[derive(Debug)]
pub(crate) struct Signs {
    pub(crate) tables: Tables,
    pub(crate) per_query: PerSignQuery,
}

/// Whole codes.
#[derive(Debug)]
pub(crate) struct Fine {
    pub(crate) query: [Vec<Step>; 2],
    pub(crate) grain: Grain,
}

/// Whole codes, for many queries at once.
#[derive(Debug)]
pub(crate) struct Tiled {
    pub(crate) query: Vec<i32>,
    pub(crate) grain: Grain,
    pub(crate) per_query: PerQuery,
}

/// How a sum of whole codes becomes limits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grain {
    /// Unsigned codes have 128 too much.
    too_much: i32,
    unit: f64,
    slack: f64,
}

impl Grain {
    /// What a limit leaves out of the error.
    #[allow(clippy::cast_possible_truncation, reason = "an estimate")]
    pub(crate) fn slack(&self) -> f32 {
        self.slack as f32
    }
}

impl<'a> Aim<'a> {
    pub(crate) fn new(isa: Isa, rotation: &Rotation, codes: &'a Codes, query: &Query<'_>) -> Self {
        let centre = codes.centre();
        let mut turned = vec![0f32; centre.len()];
        let base = dot64_on(isa, centre, query.numbers()) * query.unit_factor();
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
            largest: largest(&turned),
            turned,
            length,
            off: length * (rotation.error() + 2f64.powi(-22)) + 2f64.powi(-48) * all,
            gain,
            base,
            unit: query.unit(codes.exponent()),
            dust: dust(centre.len()) * (codes.centre_norm() + codes.radius()) * query.size(),
        }
    }

    pub(crate) fn codes(&self) -> &'a Codes {
        self.codes
    }

    /// `Rp` in integers of at most `largest`: the integers, their unit, and a bound of what is left.
    fn integers(&self, largest: i32) -> (Vec<i32>, f32, f64) {
        #[allow(clippy::cast_precision_loss, reason = "at most 2^14")]
        let largest = largest as f32;
        let (integers, unit) = self.counts(self.largest, largest);
        let left = squared_distance(self.isa, &self.turned, unit.into(), &integers).sqrt();
        (integers, unit, left * (1.0 + 2f64.powi(-20)) + self.off)
    }

    /// `Rp` in units of which `count` make up `size`: how many, rounded, and the unit.
    fn counts(&self, size: f32, count: f32) -> (Vec<i32>, f32) {
        let mut integers = vec![0; self.turned.len()];
        rounded(self.isa, &self.turned, (count / size).min(f32::MAX), &mut integers);
        (integers, (size / count).max(f32::MIN_POSITIVE))
    }

    /// No code is longer, in units of rows.
    fn longest_code(&self) -> f64 {
        (self.codes.radius() + self.codes.widest_error()) * 1.001
    }

    /// Bound of what is rounded away in a sum of `gain · offset`, where `offset` was rounded to float32, and the product of
    /// a code: `offset_unit` and `code_unit` times their sizes, and dust.
    fn rounding(&self, offset_unit: f64, code_unit: f64) -> f64 {
        let offset = f64::from(self.gain.abs()) * self.codes.largest_offset();
        offset_unit * offset + code_unit * self.longest_code() * (self.length + self.off) + self.dust
    }

    /// For the upper halves of codes.
    pub(crate) fn coarse(&self) -> (Coarse, Scale<f32>) {
        let (integers, unit, left) = self.integers(127);
        let sum: i32 = integers.iter().sum();
        let per_query = PerQuery {
            times: 32,
            minus: sum.wrapping_mul(241),
            unit: unit / 2.0,
            gain: self.gain,
            reach: super::codes::rounded_up(self.length),
        };
        // Limits are computed in float32.
        let slack = self.longest_code() * left + self.rounding(2f64.powi(-20), 2f64.powi(-20));
        (Coarse { query: steps(&integers), per_query, sum }, self.scale(slack))
    }

    /// From `upper`, a row's limit by the upper half of its code, the one by its whole code, which is lower: `sum` is that of
    /// the lower half and the same query.
    ///
    /// With lower halves `l`, the codes differ by `l - 7.5`. Neither is longer than the longest, so the slack that `upper` is
    /// to be read with covers what rounding the query leaves here, too; and here nothing is rounded in float32.
    #[inline]
    pub(crate) fn sharpened(&self, coarse: &Coarse, row: usize, upper: f32, sum: i32) -> f64 {
        let (per_row, per_query) = (self.codes.per_row(), &coarse.per_query);
        let twice = f64::from(2 * sum - 15 * coarse.sum);
        let product = f64::from(per_row.scale[row]) * f64::from(per_query.unit) * twice;
        let closer = f64::from(per_row.coarse_error[row]) - f64::from(per_row.fine_error[row]);
        f64::from(upper) + product - f64::from(per_query.reach) * closer
    }

    /// For upper halves of codes where an answer may be nearly exact. What the lower halves add is about evenly spread over
    /// sixteen units and of either sign, so a row's error is a few deviations, in units of its scale.
    pub(crate) fn likely_coarse(&self) -> (Coarse, Scale<f32>) {
        let (mut coarse, scale) = self.coarse();
        #[allow(clippy::cast_possible_truncation, reason = "an estimate")]
        let reach = (HALF_DEVIATIONS * 16.0 / 12f64.sqrt() * self.length) as f32;
        coarse.per_query.reach = reach;
        (coarse, scale)
    }

    /// For signs.
    pub(crate) fn signs(&self) -> (Signs, Scale<i16>) {
        // Rounding may add a half to each number.
        let chunk_sizes = self.turned.chunks(sign::CHUNK).map(|chunk| chunk.iter().map(|z| z.abs()).sum());
        let most = Tables::most(self.turned.len()) - HALVES - 1;
        #[allow(clippy::cast_precision_loss, reason = "at most 255")]
        let (integers, unit) = self.counts(chunk_sizes.fold(0f32, f32::max), most as f32);
        let tables = Tables::new(&integers);
        // What rounding the query adds to the deviation: a uniform error in each number, under random signs.
        let share = f64::from(unit).powi(2) * self.turned.len() as f64 / (4.0 * self.length.powi(2));
        let reach = DEVIATIONS * self.length * (1.0 + share).sqrt();
        let reach = if reach.is_finite() { reach } else { 0.0 };
        let sizes = 2 * tables.offset() + integers.iter().sum::<i32>();
        let (per_query, level, middle) = self.levels(sizes, f64::from(unit), reach);
        // Offsets are off by up to half a step.
        let half_a_step = f64::from(self.gain.abs()) * self.codes.per_sign().offset_steps.step / 2.0;
        let slack = f64::from(PerSignQuery::SLACK) * level;
        let scale = Scale::new(self.base + middle + half_a_step + slack, level, self.unit);
        (Signs { tables, per_query }, scale)
    }

    /// How sums of signs become levels, what a level is, and the limit that level 0 stands for. `sizes` is the sum of the
    /// magnitudes of the query's integers, which are `unit` each.
    ///
    /// A level is as small as can be while all steps, and any row's level, fit 16 bits.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the level is chosen so that they fit"
    )]
    fn levels(&self, sizes: i32, unit: f64, reach: f64) -> (PerSignQuery, f64, f64) {
        let gain = f64::from(self.gain);
        let PerSign { offset_steps, factor_steps, spread_steps, .. } = self.codes.per_sign();
        // A sum `s` stands for `2·s - sizes`, so that `s - middle` goes this far to either side: 32,767 at most, since each
        // chunk of the query was left one below what tables may have.
        let middle = sizes / 2;
        let farthest = f64::from((sizes - middle).max(1));
        let times = 2f64.powf((f64::from(i16::MAX) / farthest).log2().floor());
        let largest_factor = factor_steps.middle + factor_steps.farthest() * factor_steps.step;
        let estimate = 2.0 * unit * largest_factor;
        let offset = gain.abs() * offset_steps.farthest() * offset_steps.step;
        let spread = reach * spread_steps.farthest() * spread_steps.step;
        let level = ((estimate * farthest + offset + spread) / 32_000.0)
            .max(estimate * 32_768.0 / (32_766.0 * times))
            .max(f64::MIN_POSITIVE);
        let factor = 2.0 * unit * 32_768.0 / (level * times);
        let per_query = PerSignQuery {
            middle: middle as u16,
            times: times as i16,
            factor: (factor_steps.middle * factor).round() as i16,
            factor_step: (128.0 * factor_steps.step * factor).round() as i16,
            offset_step: (gain * offset_steps.step * 32_768.0 / level).round() as i16,
            spread_step: (128.0 * reach * spread_steps.step / level).round() as i16,
        };
        (per_query, level, gain * offset_steps.middle + reach * spread_steps.middle)
    }

    /// For whole codes.
    pub(crate) fn fine(&self) -> Fine {
        // 127·128 + 63 is the largest that two halves hold; and 128 times the sum of all must fit 31 bits.
        let d = self.turned.len();
        let largest = i32::try_from((i32::MAX as usize / 128 / d).min(16_319)).unwrap_or(16_319);
        let (integers, unit, left) = self.integers(largest);
        let upper = |z: i32| (z + 64) >> 7;
        let lower = |z: i32| z - (upper(z) << 7);
        // Their limits are computed in float64 …
        let rounding = self.rounding(2f64.powi(-23), 2f64.powi(-48));
        let grain = self.grain(&integers, unit, left, rounding);
        Fine { query: [steps_of(&integers, upper), steps_of(&integers, lower)], grain }
    }

    /// For whole codes, among many queries.
    pub(crate) fn tiled(&self) -> (Tiled, Scale<f32>) {
        let (query, unit, left) = self.integers(tile::largest(self.isa));
        // … and these first in float32.
        let grain = self.grain(&query, unit, left, self.rounding(2f64.powi(-20), 2f64.powi(-20)));
        let per_query = PerQuery {
            times: 1,
            minus: grain.too_much,
            unit,
            gain: self.gain,
            reach: super::codes::rounded_up(self.length),
        };
        (Tiled { query, grain, per_query }, self.scale(grain.slack))
    }

    fn grain(&self, integers: &[i32], unit: f32, left: f64, rounding: f64) -> Grain {
        Grain {
            too_much: integers.iter().sum::<i32>().wrapping_mul(128),
            unit: unit.into(),
            slack: self.longest_code() * left + rounding,
        }
    }

    /// Limits of a row's score, from a sum of its whole code.
    #[inline]
    pub(crate) fn limit(&self, grain: &Grain, row: usize, sum: i32) -> Limit {
        let per_row = self.codes.per_row();
        let sum = f64::from(sum.wrapping_sub(grain.too_much));
        let middle = self.base
            + f64::from(self.gain) * f64::from(per_row.offset[row])
            + f64::from(per_row.scale[row]) * grain.unit * sum;
        let error = f64::from(per_row.fine_error[row]) * self.length + grain.slack;
        Limit { lower: (middle - error) * self.unit, upper: (middle + error) * self.unit }
    }

    fn scale(&self, slack: f64) -> Scale<f32> {
        Scale::new(self.base + slack, 1.0, self.unit)
    }
}

/// What float64 rounds away in a score, and in the middle of its limits, a unit of the lengths of row and query.
///
/// A sum of products runs in 8 lanes and rounds `width / 8 + 4` times. The score is one; `base` and `offset` are two more,
/// but of the parts of a row in and across the centre. Some twenty single steps come on top.
#[allow(clippy::cast_precision_loss, reason = "widths are far below 2^53")]
fn dust(width: usize) -> f64 {
    2f64.powi(-53) * (width / 4 + 40) as f64
}

/// From what the kernels compute to scores, and back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale<L> {
    base: f64,
    step: f64,
    unit: f64,
    limits: PhantomData<L>,
}

impl<L: Limited> Scale<L> {
    fn new(base: f64, step: f64, unit: f64) -> Self {
        Self { base, step, unit, limits: PhantomData }
    }

    /// The score that a limit stands for.
    pub(crate) fn score(self, limit: L) -> f64 {
        (limit.into() * self.step + self.base) * self.unit
    }

    /// Every limit that may stand for `score` is at least this.
    pub(crate) fn limit(self, score: f64) -> L {
        let limit = score / self.unit - self.base;
        L::below((limit - 2f64.powi(-48) * (limit.abs() + self.base.abs())) / self.step)
    }
}

/// Integers of at most 8 bits as the kernels want them.
pub(crate) fn steps(integers: &[i32]) -> Vec<Step> {
    steps_of(integers, |z| z)
}

/// The same for what `part` makes of each; of zero, zero.
fn steps_of(integers: &[i32], part: impl Fn(i32) -> i32) -> Vec<Step> {
    #[allow(clippy::cast_possible_truncation, reason = "at most 127")]
    let line = |integers: &[i32; LINE]| SignedLine(integers.map(|z| part(z) as i8));
    let step = |integers: &[i32; STEP]| {
        let lines = integers.as_chunks().0;
        [line(&lines[0]), line(&lines[1])]
    };
    let mut steps = Vec::with_capacity(integers.len().div_ceil(STEP));
    let (whole, rest) = integers.as_chunks::<STEP>();
    steps.extend(whole.iter().map(step));
    if !rest.is_empty() {
        let mut last = [0; STEP];
        last[..rest.len()].copy_from_slice(rest);
        steps.push(step(&last));
    }
    steps
}
