//! A random rotation that costs `d · log d`.
//!
//! Rounding hurts least where all numbers of a row are about equally large, and no row is so by itself. After a random
//! rotation every row is, nearly. This one flips random signs and takes a Walsh–Hadamard transform of the first `p`
//! numbers, then of the last `p`, and so on, where `p` is the largest power of two that fits. Lengths and angles stay.
//!
//! N. Ailon, B. Chazelle, "The fast Johnson–Lindenstrauss transform and approximate nearest neighbors", 2009.

use super::isa::Isa;
use super::per_isa::per_isa;
use super::random::Random;

/// Rounds where the window moves; half of them do where one window covers the row.
const ROUNDS: usize = 6;

/// The rotation of rows of one width.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotation {
    dim: usize,
    /// Numbers that a round transforms.
    window: usize,
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
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "widths are below 2^24")]
    pub fn new(dim: usize) -> Self {
        assert!(dim > 0, "rows have a width");
        let window = 1 << dim.ilog2();
        let rounds = if window == dim { ROUNDS / 2 } else { ROUNDS };
        let mut random = Random::new(dim as u64);
        let flips = (0..rounds * window).map(|_| random.next_u64() as u32 & (1 << 31)).collect();
        Self { dim, window, flips, factor: (1.0 / (window as f64).sqrt()) as f32 }
    }

    /// Rotates a row in place.
    ///
    /// # Panics
    /// If it has another width.
    pub fn apply(&self, isa: Isa, row: &mut [f32]) {
        assert_eq!(row.len(), self.dim, "width of the row");
        // Longer registers are slower here: what is close together must be shuffled farther.
        let isa = if let Isa::Avx512(proof) = isa { Isa::Avx2(proof.avx2()) } else { isa };
        rounds(isa, self, row);
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

per_isa! {
    fn rounds(rotation: &Rotation, row: &mut [f32]) -> () = all_rounds;
}

#[inline(always)]
fn all_rounds(rotation: &Rotation, row: &mut [f32]) {
    let window = rotation.window;
    for (round, flips) in rotation.flips.chunks_exact(window).enumerate() {
        let start = if round % 2 == 0 { 0 } else { rotation.dim - window };
        let row = &mut row[start..start + window];
        for (x, flip) in row.iter_mut().zip(flips) {
            *x = f32::from_bits(x.to_bits() ^ flip);
        }
        hadamard(row);
        for x in row {
            *x *= rotation.factor;
        }
    }
}

/// The Walsh–Hadamard transform, without its factor. (Shuffles within registers, by hand, were an eighth faster.)
#[inline(always)]
fn hadamard(row: &mut [f32]) {
    // Compilers make good code of small levels if they know how small.
    level(row, 1);
    level(row, 2);
    level(row, 4);
    level(row, 8);
    let mut half = 16;
    while half < row.len() {
        level(row, half);
        half *= 2;
    }
}

/// Sums and differences of numbers that are `half` places apart. Does nothing where the row is too short for a pair.
#[inline(always)]
fn level(row: &mut [f32], half: usize) {
    for pair in row.chunks_exact_mut(2 * half) {
        let (left, right) = pair.split_at_mut(half);
        for (a, b) in left.iter_mut().zip(right) {
            (*a, *b) = (*a + *b, *a - *b);
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
            let original = a.clone();
            rotation.apply(Isa::Scalar, &mut a);
            rotation.apply(Isa::Scalar, &mut b);
            let scale = before[0].max(dot64(&b, &b)) * rotation.error() * 3.0 + 1e-30;
            prop_assert!((dot64(&a, &a) - before[0]).abs() <= scale);
            prop_assert!((dot64(&a, &b) - before[1]).abs() <= scale);
            for isa in Isa::available() {
                let mut other = original.clone();
                rotation.apply(isa, &mut other);
                prop_assert_eq!(&other, &a);
            }
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
