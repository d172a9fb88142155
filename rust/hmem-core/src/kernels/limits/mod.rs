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
    /// sums; returns the largest. `times·sum - minus` may wrap where the true result fits 32 bits.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn upper_limits_of_dots(sums: &[i32], rows: PerRow<'_>, query: PerQuery, out: &mut [f32]) -> f32 = upper_limits;
}

per_isa! {
    /// The same for [`sums`](super::sign::sums) of signs.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn upper_limits_of_signs(sums: &[u16], rows: PerRow<'_>, query: PerQuery, out: &mut [f32]) -> f32 = upper_limits;
}

/// Maxima that are taken side by side.
const LANES: usize = 16;

#[inline(always)]
#[allow(clippy::cast_precision_loss, reason = "the rounding of sums is part of the bound")]
fn upper_limits<S: Sum>(sums: &[S], rows: PerRow<'_>, query: PerQuery, out: &mut [f32]) -> f32 {
    let n = out.len();
    let (sums, offset, scale, error) = (&sums[..n], &rows.offset[..n], &rows.scale[..n], &rows.error[..n]);
    for i in 0..n {
        let sum = sums[i].wide().wrapping_mul(query.times).wrapping_sub(query.minus);
        let estimate = query.gain * offset[i] + scale[i] * (query.unit * sum as f32);
        out[i] = estimate + query.reach * error[i];
    }
    largest(out)
}

#[inline(always)]
fn largest(limits: &[f32]) -> f32 {
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
    use super::{BLOCK, Isa, PerQuery, PerRow, bits, reaching, upper_limits_of_dots, upper_limits_of_signs};
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
            // The last one wraps.
            for times in [1, 32, 1 << 20] {
                let query = PerQuery { times, minus: 241, unit: 3e-4, gain: 0.3, reach: 1.1 };
                let of = |isa| {
                    let mut limits = [vec![f32::NAN; n], vec![f32::NAN; n]];
                    let largest = [
                        upper_limits_of_dots(isa, &dots, rows, query, &mut limits[0]),
                        upper_limits_of_signs(isa, &signs, rows, query, &mut limits[1]),
                    ];
                    limits.concat().iter().chain(&largest).map(|limit| limit.to_bits()).collect::<Vec<_>>()
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
                let largest = upper_limits_of_dots(isa, &sums, rows, query, &mut limits);
                prop_assert_eq!(&limits, &wanted);
                prop_assert_eq!(largest, wanted.iter().copied().fold(f32::NEG_INFINITY, f32::max));
                for block in wanted.chunks(BLOCK) {
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
    fn sums_of_signs_are_widened_before_they_are_multiplied() {
        let one = [1f32];
        let rows = PerRow { offset: &[0.0], scale: &one, error: &one };
        let query = PerQuery { times: 2, minus: 1, unit: 1.0, gain: 0.0, reach: 0.5 };
        for isa in Isa::available() {
            let mut limits = [0.0];
            assert_eq!(upper_limits_of_signs(isa, &[40_000], rows, query, &mut limits), 79_999.5);
        }
    }
}
