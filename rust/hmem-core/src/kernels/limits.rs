//! From integer sums to limits of scores, and which of them reach a floor.
//!
//! * [`upper_limits`]: float32, each operation rounded once, in the order in which it is written; same bits everywhere.
//! * [`reaching`]: comparisons only.

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
    for (row, (out, sums)) in out.iter_mut().zip(sums.chunks_exact(width.max(1))).enumerate() {
        let mut wide = [0; BLOCK];
        wide[..width].copy_from_slice(sums);
        for i in 0..BLOCK {
            let sum = wide[i].wrapping_sub(queries.minus[i]);
            let estimate = queries.gain[i] * offset[row] + scale[row] * (queries.unit[i] * sum as f32);
            out[i] = estimate + queries.reach[i] * error[row] - queries.floor[i];
        }
    }
}

/// Maxima that are taken side by side.
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
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512(proof) if limits.len() == BLOCK => x86::reaching(proof, limits, floor),
        _ => bits(limits, floor),
    }
}

fn bits(limits: &[f32], floor: f32) -> u64 {
    limits.iter().enumerate().fold(0, |bits, (i, &limit)| bits | u64::from(limit >= floor) << i)
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{_CMP_GE_OQ, _mm512_cmp_ps_mask, _mm512_loadu_ps, _mm512_set1_ps};

    use super::LANES;
    use crate::kernels::isa::Avx512;

    pub(super) fn reaching(_: Avx512, limits: &[f32], floor: f32) -> u64 {
        // SAFETY: `Avx512` proves that the CPU has the instructions.
        unsafe { with_avx512(limits, floor) }
    }

    #[target_feature(enable = "avx512f")]
    fn with_avx512(limits: &[f32], floor: f32) -> u64 {
        let floor = _mm512_set1_ps(floor);
        limits.as_chunks::<LANES>().0.iter().enumerate().fold(0, |bits, (i, sixteen)| {
            // SAFETY: 16 numbers of 4 bytes; the load needs no alignment.
            let limits = unsafe { _mm512_loadu_ps(sixteen.as_ptr()) };
            bits | u64::from(_mm512_cmp_ps_mask::<_CMP_GE_OQ>(limits, floor)) << (16 * i)
        })
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
                for (block, largest) in wanted.chunks(BLOCK).zip(largest) {
                    prop_assert_eq!(largest, block.iter().copied().fold(f32::NEG_INFINITY, f32::max));
                    prop_assert_eq!(reaching(isa, block, floor), bits(block, floor));
                    prop_assert_eq!(reaching(isa, block, block[0]) & 1, 1);
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
