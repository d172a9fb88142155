//! A random rotation that costs `d · log d`.
//!
//! Rounding hurts least where all numbers of a row are about equally large, and no row is so by itself. After a random
//! rotation every row is, nearly. This one flips random signs and takes a Walsh–Hadamard transform of the first `p`
//! numbers, then of the last `p`, and so on, where `p` is the largest power of two that fits. Lengths and angles stay.
//!
//! N. Ailon, B. Chazelle, "The fast Johnson–Lindenstrauss transform and approximate nearest neighbors", 2009.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod butterfly;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;

use super::isa::Isa;
use super::random::Random;

/// Rounds where the window moves; half of them do where one window covers the row.
const ROUNDS: usize = 6;

/// Shorter windows do not fill the registers. Those of AVX-512 take twice as much.
const LEAST: usize = 64;

/// The rotation of rows of one width.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotation {
    dim: usize,
    /// Numbers that a round transforms.
    window: usize,
    /// Where the window of each round begins.
    starts: Vec<usize>,
    /// The sign bits to flip, round after round.
    flips: Vec<u32>,
    /// One over the root of `window`: a transform multiplies lengths by that root.
    factor: f32,
}

impl Rotation {
    /// The one rotation for this width: the same in every process and on every CPU.
    ///
    /// # Panics
    /// If `dim` is 0.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "the topmost bit is in either half")]
    pub fn new(dim: usize) -> Self {
        assert!(dim > 0, "rows have a width");
        let window = 1 << dim.ilog2();
        let rounds = if window == dim { ROUNDS / 2 } else { ROUNDS };
        let mut random = Random::new(dim as u64);
        let flips = (0..rounds * window).map(|_| random.next_u64() as u32 & (1 << 31)).collect();
        let starts = (0..rounds).map(|round| if round % 2 == 0 { 0 } else { dim - window }).collect();
        Self { dim, window, starts, flips, factor: factor(window) }
    }

    /// One that transforms each block of `block` numbers apart, after flipping those whose sign is negative.
    ///
    /// # Panics
    /// If `block` is no power of two, or the width no multiple of it.
    #[must_use]
    pub fn of_blocks(signs: &[i8], block: usize) -> Self {
        let dim = signs.len();
        assert!(block.is_power_of_two() && dim.is_multiple_of(block), "blocks of {block} in {dim}");
        let flips = signs.iter().map(|&sign| u32::from(sign < 0) << 31).collect();
        Self { dim, window: block, starts: (0..dim).step_by(block).collect(), flips, factor: factor(block) }
    }

    /// Rotates a row in place.
    ///
    /// # Panics
    /// If it has another width.
    pub fn apply(&self, isa: Isa, row: &mut [f32]) {
        assert_eq!(row.len(), self.dim, "width of the row");
        isa.assert_present();
        match isa {
            _ if self.window < LEAST => scalar::rounds(self, row),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(proof) => avx2::rounds(proof, self, row),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(proof) if self.window == LEAST => avx2::rounds(proof.avx2(), self, row),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(proof) => avx512::rounds(proof, self, row),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon(proof) => neon::rounds(proof, self, row),
            _ => scalar::rounds(self, row),
        }
    }

    /// Gives each round its numbers and its sign bits, one after the other.
    #[inline(always)]
    fn each_round(&self, row: &mut [f32], transform: impl Fn(&mut [f32], &[u32])) {
        for (&start, flips) in self.starts.iter().zip(self.flips.chunks_exact(self.window)) {
            transform(&mut row[start..start + self.window], flips);
        }
    }

    /// How far a rotated row may be from the exact rotation, in units of the row's length.
    ///
    /// Each of the transform's levels, and the factor, rounds every number once; the factor itself is off by one rounding
    /// more. A relative error of `u` in every number is one of `u` in the row's length, and what follows keeps lengths.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "small counts")]
    pub fn error(&self) -> f64 {
        let rounds = self.flips.len() / self.window;
        let roundings = (rounds * (self.window.ilog2() as usize + 2)) as f64;
        let unit = 0.5f64.powi(24);
        roundings * unit / (1.0 - roundings * unit)
    }
}

/// One over the root of `window`.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "widths are below 2^24")]
fn factor(window: usize) -> f32 {
    (1.0 / (window as f64).sqrt()) as f32
}

/// The checks of all variants against [`scalar`], callable from a plain program (see `examples/check_kernels.rs`).
#[doc(hidden)]
pub mod checks {
    use super::{Isa, Rotation, scalar};
    use crate::kernels::random::Random;

    /// Compares bits for some widths, and unaligned starts.
    ///
    /// # Panics
    /// If they differ.
    pub fn same_bits(isa: Isa, widths: impl IntoIterator<Item = usize>) {
        let mut random = Random::new(6);
        for d in widths {
            let rotation = Rotation::new(d);
            for start in [0, 1 + d % 15] {
                let mut got: Vec<f32> = (0..start + d).map(|_| number(random.next_u64())).collect();
                let mut wanted = got.clone();
                rotation.apply(isa, &mut got[start..]);
                scalar::rounds(&rotation, &mut wanted[start..]);
                let bits = |row: &[f32]| row.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&got), bits(&wanted), "{isa:?}, {d} numbers, start {start}");
            }
        }
    }

    /// Ordinary numbers, zeros of both signs, and some so small that sums of them underflow.
    fn number(bits: u64) -> f32 {
        #[allow(clippy::cast_precision_loss, reason = "24 bits fit float32")]
        let x = (bits >> 40) as f32 / 8_388_608.0 - 1.0;
        match bits & 15 {
            0 => 0.0,
            1 => -0.0,
            2 => x * 1e-30,
            3 => x * 1e-42,
            4 => x * 1e15,
            _ => x,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::dot::dot64;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lengths_and_products_stay(
            rows in (1usize..600).prop_flat_map(|d| prop::collection::vec((-1f32..1.0, -1f32..1.0), d)),
        ) {
            let (mut a, mut b): (Vec<f32>, Vec<f32>) = rows.into_iter().unzip();
            let before = [dot64(&a, &a), dot64(&a, &b)];
            let rotation = Rotation::new(a.len());
            rotation.apply(Isa::Scalar, &mut a);
            rotation.apply(Isa::Scalar, &mut b);
            let scale = before[0].max(dot64(&b, &b)) * rotation.error() * 3.0 + 1e-30;
            prop_assert!((dot64(&a, &a) - before[0]).abs() <= scale);
            prop_assert!((dot64(&a, &b) - before[1]).abs() <= scale);
        }
    }

    #[test]
    fn every_variant_gives_the_bits_of_the_definition() {
        for isa in Isa::available() {
            checks::same_bits(isa, 1..=300);
            // All ways to cut the levels behind the first pass, in windows that cover the row and windows that move.
            checks::same_bits(isa, (9..=13).flat_map(|levels| [1 << levels, 3 << (levels - 1)]));
            checks::same_bits(isa, [1000, 1023]);
        }
    }

    /// By the sums that a transform stands for, computed one by one.
    #[test]
    fn a_round_is_a_walsh_hadamard_transform_of_flipped_numbers() {
        let (n, mut random) = (256usize, Random::new(7));
        let rotation = Rotation {
            starts: vec![0],
            flips: Rotation::new(n).flips[..n].to_vec(),
            factor: 0.0625,
            ..Rotation::new(n)
        };
        let row: Vec<f32> = (0..n).map(|_| f32::from(random.next_i8(100))).collect();
        let flipped = row.iter().zip(&rotation.flips).map(|(&x, &flip)| if flip == 0 { x } else { -x });
        let flipped: Vec<f32> = flipped.collect();
        let sign = |i: usize, j: usize| if (i & j).count_ones().is_multiple_of(2) { 1.0 } else { -1.0 };
        let wanted = |i| flipped.iter().enumerate().map(|(j, x)| sign(i, j) * x).sum::<f32>() / 16.0;
        let wanted: Vec<f32> = (0..n).map(wanted).collect();
        for isa in Isa::available() {
            let mut got = row.clone();
            rotation.apply(isa, &mut got);
            assert_eq!(got, wanted, "{isa:?}");
        }
    }

    #[test]
    fn one_large_number_is_spread_over_the_row() {
        for d in [64, 100, 384, 768, 1000] {
            let rotation = Rotation::new(d);
            for at in [0, d / 2, d - 1] {
                let mut row = vec![0f32; d];
                row[at] = 1.0;
                rotation.apply(Isa::Scalar, &mut row);
                let largest = row.iter().fold(0f32, |largest, x| largest.max(x.abs()));
                assert!(largest < 6.0 / (d as f32).sqrt(), "{d}: {largest}");
            }
        }
    }
}
