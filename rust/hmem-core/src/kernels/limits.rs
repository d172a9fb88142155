//! From integer sums to limits of scores, and which of them reach a floor.
//!
//! * [`upper_limits`] and [`widened_limits`]: float32, each operation rounded once, in the order in which it is written; same bits everywhere.
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

/// A sum of a kernel.
pub trait Sum: Copy {
    /// As 32 bits.
    fn wide(self) -> i32;
}

impl Sum for i32 {
    #[inline(always)]
    fn wide(self) -> i32 {
        self
    }
}

impl Sum for u16 {
    #[inline(always)]
    fn wide(self) -> i32 {
        i32::from(self)
    }
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

per_isa! {
    /// The same for [`sums`](super::sign::sums) of signs.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn upper_limits_of_signs(sums: &[u16], rows: PerRow<'_>, query: PerQuery, out: &mut [f32], largest: &mut [f32])
        -> () = upper_limits;
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
    assert_eq!(largest.len(), n.div_ceil(BLOCK), "one a block");
    let (limits, logs) = (&limits[..n], &logs[..n]);
    for i in 0..n {
        out[i] = limits[i] + times * logs[i];
    }
    for (largest, limits) in largest.iter_mut().zip(out.chunks(BLOCK)) {
        *largest = largest_of(limits);
    }
}

/// Maxima that are taken side by side.
const LANES: usize = 16;

#[inline(always)]
#[allow(clippy::cast_precision_loss, reason = "the rounding of sums is part of the bound")]
fn upper_limits<S: Sum>(sums: &[S], rows: PerRow<'_>, query: PerQuery, out: &mut [f32], largest: &mut [f32]) {
    let n = out.len();
    assert_eq!(largest.len(), n.div_ceil(BLOCK), "one a block");
    let (sums, offset, scale, error) = (&sums[..n], &rows.offset[..n], &rows.scale[..n], &rows.error[..n]);
    for i in 0..n {
        let sum = sums[i].wide().wrapping_mul(query.times).wrapping_sub(query.minus);
        let estimate = query.gain * offset[i] + scale[i] * (query.unit * sum as f32);
        out[i] = estimate + query.reach * error[i];
    }
    for (largest, limits) in largest.iter_mut().zip(out.chunks(BLOCK)) {
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
    fn sums_of_signs_are_widened_before_they_are_multiplied() {
        let one = [1f32];
        let rows = PerRow { offset: &[0.0], scale: &one, error: &one };
        let query = PerQuery { times: 2, minus: 1, unit: 1.0, gain: 0.0, reach: 0.5 };
        for isa in Isa::available() {
            let (mut limits, mut largest) = ([0.0], [0.0]);
            upper_limits_of_signs(isa, &[40_000], rows, query, &mut limits, &mut largest);
            assert_eq!((limits, largest), ([79_999.5], [79_999.5]));
        }
    }
}
