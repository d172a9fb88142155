//! From integer sums to limits of scores, and which of them reach a floor.
//!
//! * [`upper_limits`]: float32, each operation rounded once, in the order in which it is written; same bits everywhere.
//! * [`reaching`]: comparisons only.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;

use super::isa::Isa;
use super::per_isa::per_isa;
use super::sign::BLOCK;

/// What stands beside each row's code.
#[derive(Debug, Clone, Copy)]
pub struct PerRow<'a> {
    /// What the row's product with the centre adds, for each `gain`.
    pub offset: &'a [f32],
    /// One unit of the row's code.
    pub scale: &'a [f32],
    /// How far the row is from its code.
    pub error: &'a [f32],
}

/// How sums of one query become limits.
#[derive(Debug, Clone, Copy)]
pub struct PerQuery {
    /// An integer sum `s` stands for `times · s - minus` …
    pub times: i32,
    /// …
    pub minus: i32,
    /// … units of this size.
    pub unit: f32,
    /// Times a row's `offset`.
    pub gain: f32,
    /// Times a row's `error`.
    pub reach: f32,
}

per_isa! {
    /// `gain·offset + scale·(unit·(times·sum - minus)) + reach·error` for each row of [`dot_rows`](super::nibble::dot_rows)'
    /// sums, and the largest of each [`BLOCK`] of rows. `times·sum - minus` may wrap where the true result fits 32 bits.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn upper_limits_of_dots(sums: &[i32], rows: PerRow<'_>, query: PerQuery, out: &mut [f32], largest: &mut [f32])
        -> () = upper_limits;
}

/// What stands beside each row of signs: numbers that count steps from a least value.
#[derive(Debug, Clone, Copy)]
pub struct PerSignRow<'a> {
    /// What the row's product with the centre adds.
    pub offset: &'a [u16],
    /// What a sign stands for.
    pub factor: &'a [u8],
    /// How far an estimate may be off.
    pub spread: &'a [u8],
}

/// How sums of signs of one query become limits.
#[derive(Debug, Clone, Copy)]
pub struct PerSignQuery {
    /// A sum `s` stands for `2·s - minus`.
    pub minus: i32,
    /// What every row has.
    pub base: f32,
    /// A step of `offset`.
    pub offset_step: f32,
    /// The least factor …
    pub least_factor: f32,
    /// … and a step of it.
    pub factor_step: f32,
    /// A step of `spread`.
    pub spread_step: f32,
}

per_isa! {
    /// `limits + times·logs`, each product and each sum rounded once, and the largest of each [`BLOCK`].
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn widened_limits(limits: &[f32], logs: &[f32], times: f32, out: &mut [f32], largest: &mut [f32])
        -> () = widened;
}

#[inline(always)]
fn widened(limits: &[f32], logs: &[f32], times: f32, out: &mut [f32], largest: &mut [f32]) {
    let n = out.len();
    let (limits, logs) = (&limits[..n], &logs[..n]);
    for i in 0..n {
        out[i] = limits[i] + times * logs[i];
    }
    largest_of_blocks(out, largest);
}

per_isa! {
    /// `base + offset_step·offset + (least_factor + factor_step·factor)·(2·sum - minus) + spread_step·spread` for each row
    /// of [`sums`](super::sign::sums), and the largest of each [`BLOCK`] of rows.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn upper_limits_of_signs(
        sums: &[u16],
        rows: PerSignRow<'_>,
        query: PerSignQuery,
        out: &mut [f32],
        largest: &mut [f32],
    ) -> () = sign_limits;
}

#[inline(always)]
#[allow(clippy::cast_precision_loss, reason = "sums are below 2^24")]
fn sign_limits(
    sums: &[u16],
    rows: PerSignRow<'_>,
    query: PerSignQuery,
    out: &mut [f32],
    largest: &mut [f32],
) {
    let n = out.len();
    let (sums, offset, factor, spread) =
        (&sums[..n], &rows.offset[..n], &rows.factor[..n], &rows.spread[..n]);
    for i in 0..n {
        let sum = (2 * i32::from(sums[i]) - query.minus) as f32;
        let unit = query.least_factor + query.factor_step * f32::from(factor[i]);
        let estimate = query.base + query.offset_step * f32::from(offset[i]) + unit * sum;
        out[i] = estimate + query.spread_step * f32::from(spread[i]);
    }
    largest_of_blocks(out, largest);
}

/// How sums of many queries with one row become limits, and what these must reach; one entry a query.
#[derive(Debug, Clone)]
pub struct PerLane {
    /// What a sum has too much …
    pub minus: [i32; BLOCK],
    /// … and its unit.
    pub unit: [f32; BLOCK],
    /// Times a row's `offset`.
    pub gain: [f32; BLOCK],
    /// Times a row's `error`.
    pub reach: [f32; BLOCK],
    /// Taken from the limit; ∞ for a query that is not there.
    pub floor: [f32; BLOCK],
}

impl PerLane {
    /// No queries.
    pub const NONE: Self = Self {
        minus: [0; BLOCK],
        unit: [0.0; BLOCK],
        gain: [0.0; BLOCK],
        reach: [0.0; BLOCK],
        floor: [f32::INFINITY; BLOCK],
    };

    /// The limit of one row and query, and the part of it that stands for the row's error.
    #[inline]
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "the rounding of sums is part of the bound")]
    pub fn limit(&self, query: usize, sum: i32, rows: PerRow<'_>, row: usize) -> (f32, f32) {
        let sum = sum.wrapping_sub(self.minus[query]);
        let estimate =
            self.gain[query] * rows.offset[row] + rows.scale[row] * (self.unit[query] * sum as f32);
        let error = self.reach[query] * rows.error[row];
        (estimate + error, error)
    }
}

per_isa! {
    /// `gain·offset + scale·(unit·(sum - minus)) + reach·error - floor` for each row and query: `out[row][query]`. It is at
    /// least zero where the limit reaches the floor. Each row has as many sums as there are queries, `width`.
    ///
    /// # Panics
    /// If the lengths do not fit together.
    pub fn excesses(sums: &[i32], width: usize, rows: PerRow<'_>, queries: &PerLane, out: &mut [[f32; BLOCK]])
        -> () = all_excesses;
}

#[inline(always)]
#[allow(clippy::cast_precision_loss, reason = "the rounding of sums is part of the bound")]
fn all_excesses(sums: &[i32], width: usize, rows: PerRow<'_>, queries: &PerLane, out: &mut [[f32; BLOCK]]) {
    let (offset, scale, error) =
        (&rows.offset[..out.len()], &rows.scale[..out.len()], &rows.error[..out.len()]);
    assert!(width <= BLOCK && sums.len() == out.len() * width, "one sum a row and query");
    // 16 queries and all rows at a time: what belongs to a query stays in registers.
    for part in 0..BLOCK / LANES {
        let (minus, unit) = (lanes(&queries.minus, part), lanes(&queries.unit, part));
        let (gain, reach) = (lanes(&queries.gain, part), lanes(&queries.reach, part));
        let floor = lanes(&queries.floor, part);
        for (row, out) in out.iter_mut().enumerate() {
            let sums = &sums[row * width..][..width];
            let sums = sums.get(part * LANES..).unwrap_or_default();
            let sums = sums.first_chunk().copied().unwrap_or_else(|| padded(sums));
            let out = &mut out.as_chunks_mut::<LANES>().0[part];
            for i in 0..LANES {
                let sum = sums[i].wrapping_sub(minus[i]);
                let estimate = gain[i] * offset[row] + scale[row] * (unit[i] * sum as f32);
                out[i] = estimate + reach[i] * error[row] - floor[i];
            }
        }
    }
}

#[inline(always)]
fn lanes<T: Copy>(all: &[T; BLOCK], part: usize) -> [T; LANES] {
    all.as_chunks().0[part]
}

fn padded(sums: &[i32]) -> [i32; LANES] {
    let mut wide = [0; LANES];
    wide[..sums.len()].copy_from_slice(sums);
    wide
}

/// What is computed side by side.
const LANES: usize = 16;

#[inline(always)]
#[allow(clippy::cast_precision_loss, reason = "the rounding of sums is part of the bound")]
fn upper_limits(sums: &[i32], rows: PerRow<'_>, query: PerQuery, out: &mut [f32], largest: &mut [f32]) {
    let n = out.len();
    let (sums, offset, scale, error) = (&sums[..n], &rows.offset[..n], &rows.scale[..n], &rows.error[..n]);
    for i in 0..n {
        let sum = sums[i].wrapping_mul(query.times).wrapping_sub(query.minus);
        let estimate = query.gain * offset[i] + scale[i] * (query.unit * sum as f32);
        out[i] = estimate + query.reach * error[i];
    }
    largest_of_blocks(out, largest);
}

#[inline(always)]
fn largest_of_blocks(limits: &[f32], largest: &mut [f32]) {
    assert_eq!(largest.len(), limits.len().div_ceil(BLOCK), "one a block");
    for (largest, limits) in largest.iter_mut().zip(limits.chunks(BLOCK)) {
        *largest = largest_of(limits);
    }
}

#[inline(always)]
fn largest_of(limits: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let (steps, tail) = limits.as_chunks::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for step in steps {
        for (lane, &limit) in lanes.iter_mut().zip(step) {
            *lane = larger(*lane, limit);
        }
    }
    lanes.iter().chain(tail).copied().fold(f32::NEG_INFINITY, larger)
}

/// Which of up to 64 limits are at least `floor`: bit `i` for limit `i`.
///
/// # Panics
/// If there are more than 64.
#[must_use]
pub fn reaching(isa: Isa, limits: &[f32], floor: f32) -> u64 {
    assert!(limits.len() <= BLOCK, "one bit a limit");
    let Ok(block) = limits.try_into() else { return bits(limits, floor) };
    isa.assert_present();
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(proof) => avx2::reaching(proof, block, floor),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512(proof) => avx512::reaching(proof, block, floor),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(proof) => neon::reaching(proof, block, floor),
        _ => bits(limits, floor),
    }
}

fn bits(limits: &[f32], floor: f32) -> u64 {
    limits.iter().enumerate().fold(0, |bits, (i, &limit)| bits | u64::from(limit >= floor) << i)
}

/// The checks of all variants against [`Isa::Scalar`], callable from a plain program (see `examples/check_kernels.rs`).
#[doc(hidden)]
pub mod checks {
    use super::{
        BLOCK, Isa, PerLane, PerQuery, PerRow, PerSignQuery, PerSignRow, bits, excesses, reaching,
        upper_limits_of_dots, upper_limits_of_signs,
    };
    use crate::kernels::random::Random;

    /// Compares limits, bit for bit, for row counts around those of every variant, and which of them reach some floors.
    ///
    /// # Panics
    /// If they differ.
    #[allow(clippy::cast_precision_loss, reason = "any numbers will do")]
    pub fn same_limits(isa: Isa) {
        let mut random = Random::new(4);
        for n in [0, 1, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 200] {
            let mut column = |size: f32| -> Vec<f32> {
                (0..n).map(|_| f32::from(random.next_i8(127)) / 127.0 * size).collect()
            };
            let (offset, scale, error) = (column(1.0), column(0.3), column(0.1));
            let dots: Vec<i32> = (0..n).map(|_| i32::from(random.next_i8(127)) * 600).collect();
            let signs: Vec<u16> = (0..n).map(|_| u16::from_le_bytes(random.next_bytes())).collect();
            let rows = PerRow { offset: &offset, scale: &scale, error: &error };
            let bytes: Vec<u8> = (0..n).map(|_| random.next_bytes::<1>()[0]).collect();
            let sign_rows = PerSignRow { offset: &signs, factor: &bytes, spread: &bytes };
            let sign_query = PerSignQuery {
                minus: 30_000,
                base: -0.1,
                offset_step: 1e-6,
                least_factor: 1e-4,
                factor_step: 1e-6,
                spread_step: 3e-4,
            };
            let lanes =
                PerLane { unit: [2e-4; BLOCK], gain: [0.2; BLOCK], floor: [0.1; BLOCK], ..PerLane::NONE };
            // The last one wraps.
            for times in [1, 32, 1 << 20] {
                let query = PerQuery { times, minus: 241, unit: 3e-4, gain: 0.3, reach: 1.1 };
                let of = |isa| {
                    let mut limits = [vec![f32::NAN; n], vec![f32::NAN; n]];
                    let mut largest = [vec![f32::NAN; n.div_ceil(BLOCK)], vec![f32::NAN; n.div_ceil(BLOCK)]];
                    upper_limits_of_dots(isa, &dots, rows, query, &mut limits[0], &mut largest[0]);
                    upper_limits_of_signs(
                        isa,
                        &signs,
                        sign_rows,
                        sign_query,
                        &mut limits[1],
                        &mut largest[1],
                    );
                    let excess = [0, 1, 16, 33, 48, BLOCK].map(|width| {
                        let mut excess = vec![[f32::NAN; BLOCK]; n];
                        let sums: Vec<i32> = dots.iter().copied().cycle().take(n * width).collect();
                        excesses(isa, &sums, width, rows, &lanes, &mut excess);
                        excess.concat()
                    });
                    let all = limits.concat().into_iter().chain(largest.concat()).chain(excess.concat());
                    all.map(f32::to_bits).collect::<Vec<_>>()
                };
                assert_eq!(of(isa), of(Isa::Scalar), "{isa:?}, {n} rows, times {times}");
            }
        }
        same_bits(isa, &mut random);
    }

    /// Compares which of up to 64 limits reach a floor: ordinary numbers and those that compare in a way of their own.
    fn same_bits(isa: Isa, random: &mut Random) {
        let numbers =
            [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, 1.0, 1.0 + f32::EPSILON, -1e-42];
        for n in (0..=BLOCK).rev() {
            let limits: Vec<f32> =
                (0..n).map(|_| numbers[random.next_u64() as usize % numbers.len()]).collect();
            for floor in numbers {
                assert_eq!(
                    reaching(isa, &limits, floor),
                    bits(&limits, floor),
                    "{isa:?}, {limits:?}, {floor}"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_variant_gives_the_same_limits_and_bits(
            rows in prop::collection::vec((-70_000i32..70_000, -1f32..1.0, 0f32..1.0, 0f32..0.1), 0..150),
            unit in 1e-6f32..1.0,
            floor in -2f32..2.0,
        ) {
            let column = |f: fn(&(i32, f32, f32, f32)) -> f32| rows.iter().map(f).collect::<Vec<_>>();
            let (offset, scale, error) = (column(|row| row.1), column(|row| row.2), column(|row| row.3));
            let sums: Vec<i32> = rows.iter().map(|row| row.0).collect();
            let rows = PerRow { offset: &offset, scale: &scale, error: &error };
            let query = PerQuery { times: 32, minus: 241, unit, gain: 0.3, reach: 1.1 };
            let wanted: Vec<f32> = (0..sums.len())
                .map(|i| 0.3 * offset[i] + scale[i] * (unit * (sums[i] * 32 - 241) as f32) + 1.1 * error[i])
                .collect();
            for isa in Isa::available() {
                let mut limits = vec![f32::NAN; sums.len()];
                let mut largest = vec![f32::NAN; sums.len().div_ceil(BLOCK)];
                upper_limits_of_dots(isa, &sums, rows, query, &mut limits, &mut largest);
                prop_assert_eq!(&limits, &wanted);
                let (mut wide, mut widest) = (limits.clone(), largest.clone());
                widened_limits(isa, &limits, &scale, 0.7, &mut wide, &mut widest);
                for (i, wide) in wide.iter().enumerate() {
                    prop_assert_eq!(*wide, limits[i] + 0.7 * scale[i]);
                }
                for (block, widest) in wide.chunks(BLOCK).zip(widest) {
                    prop_assert_eq!(widest, block.iter().copied().fold(f32::NEG_INFINITY, f32::max));
                }
                for (block, largest) in wanted.chunks(BLOCK).zip(largest) {
                    prop_assert_eq!(largest, block.iter().copied().fold(f32::NEG_INFINITY, f32::max));
                    prop_assert_eq!(reaching(isa, block, floor), bits(block, floor));
                    prop_assert_eq!(reaching(isa, block, block[0]) & 1, 1);
                }
            }
        }
    }

    #[test]
    fn every_variant_gives_the_bits_of_the_definition() {
        for isa in Isa::available() {
            checks::same_limits(isa);
        }
    }

    #[test]
    fn excesses_are_those_of_each_row_and_query() {
        let (offset, scale, error) = ([0.5, -0.25, 0.0], [2.0, 1.0, 0.5], [0.25, 0.5, 1.0]);
        let rows = PerRow { offset: &offset, scale: &scale, error: &error };
        let mut queries = PerLane::NONE;
        for (q, step) in (0..BLOCK).zip(0u8..) {
            queries.minus[q] = i32::from(step);
            (queries.unit[q], queries.gain[q]) = (0.5, f32::from(step));
            (queries.reach[q], queries.floor[q]) = (f32::from(step) / 4.0, 3.0);
        }
        for (isa, width) in Isa::available().into_iter().flat_map(|isa| (0..=BLOCK).map(move |w| (isa, w))) {
            let sums: Vec<i32> = (0..).step_by(7).take(3 * width).collect();
            let mut out = [[f32::NAN; BLOCK]; 3];
            excesses(isa, &sums, width, rows, &queries, &mut out);
            for (row, out) in out.iter().enumerate() {
                for (q, &got) in out.iter().enumerate() {
                    let sum = if q < width { sums[row * width + q] } else { 0 };
                    // Few bits: nothing is rounded.
                    let estimate =
                        queries.gain[q] * offset[row] + scale[row] * 0.5 * (sum - queries.minus[q]) as f32;
                    assert_eq!(got, estimate + queries.reach[q] * error[row] - 3.0, "{isa:?}, {width}");
                }
            }
        }
    }

    #[test]
    fn steps_of_sign_rows_are_counted_from_the_least() {
        let rows = PerSignRow { offset: &[60_000], factor: &[3], spread: &[200] };
        let query = PerSignQuery {
            minus: 1,
            base: 0.5,
            offset_step: 0.25,
            least_factor: 1.0,
            factor_step: 0.5,
            spread_step: 2.0,
        };
        for isa in Isa::available() {
            let (mut limits, mut largest) = ([0.0], [0.0]);
            upper_limits_of_signs(isa, &[40_000], rows, query, &mut limits, &mut largest);
            assert_eq!((limits, largest), ([0.5 + 15_000.0 + 2.5 * 79_999.0 + 400.0], [215_398.0]));
        }
    }
}
