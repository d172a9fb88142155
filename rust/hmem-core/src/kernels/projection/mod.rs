//! Many random projections of one row, for `log d` additions each.
//!
//! Several Walsh–Hadamard transforms of the same numbers, each after random changes of sign, stand side by side: transform
//! `t` is lane `t`, so that every step of a transform is one step of vectors and nothing is ever shuffled.
//!
//! * `out[j · lanes + t] = Σᵢ H(j, i) · signs[i · lanes + t] · row[i]` with `H(j, i) = (−1)^popcount(i & j)`.
//! * Numbers and sums are 16-bit integers. No sum on the way is larger than `Σ |row[i]|`, which must be within `i16::MAX`:
//!   so nothing overflows, all sums are exact, and every variant gives the same bits.
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

/// Lanes are a whole number of the smallest registers.
const LEAST_LANES: usize = 8;

/// Lanes in the largest register; more of them are multiples of this.
const MOST_LANES: usize = 32;

/// Numbers of the shortest row: what the first pass takes.
pub const LEAST: usize = 16;

/// Sign-flipped Walsh–Hadamard transforms of rows of one length.
#[derive(Debug, Clone, PartialEq)]
pub struct Projection {
    window: usize,
    lanes: usize,
    /// One or minus one, for each number a lane.
    signs: Vec<i8>,
}

impl Projection {
    /// At least `transforms` of them, of rows of `window` numbers; the signs are drawn from `random`.
    ///
    /// # Panics
    /// If `window` is no power of two or below [`LEAST`].
    #[must_use]
    pub fn new(window: usize, transforms: usize, random: &mut Random) -> Self {
        assert!(window.is_power_of_two() && window >= LEAST, "wanted a power of two from {LEAST} on");
        let lanes = if transforms <= MOST_LANES {
            transforms.next_power_of_two().max(LEAST_LANES)
        } else {
            transforms.next_multiple_of(MOST_LANES)
        };
        let signs = (0..window * lanes).map(|_| if random.next_u64() >> 63 == 0 { 1 } else { -1 }).collect();
        Self { window, lanes, signs }
    }

    /// How many projections there are.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "there are always some")]
    pub fn len(&self) -> usize {
        self.signs.len()
    }

    /// How many numbers a row has.
    #[must_use]
    pub fn window(&self) -> usize {
        self.window
    }

    /// All projections of a row.
    ///
    /// # Panics
    /// If the row has another length, its magnitudes sum to more than `i16::MAX`, or `out` has not [`len`](Self::len)
    /// places.
    pub fn apply(&self, isa: Isa, row: &[i16], out: &mut [i16]) {
        assert_eq!(row.len(), self.window, "numbers of the row");
        assert_eq!(out.len(), self.signs.len(), "one place a projection");
        let sum = row.iter().fold(0u32, |sum, x| sum.saturating_add(x.unsigned_abs().into()));
        assert!(sum <= i16::MAX.unsigned_abs().into(), "sums fit 16 bits");
        isa.assert_present();
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(proof) => avx2::apply(proof, self, row, out),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(proof) if self.lanes < MOST_LANES => avx2::apply(proof.avx2(), self, row, out),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(proof) => avx512::apply(proof, self, row, out),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon(proof) => neon::apply(proof, self, row, out),
            _ => scalar::apply(self, row, out),
        }
    }
}

/// The checks of all variants against [`scalar`], callable from a plain program (see `examples/check_kernels.rs`).
#[doc(hidden)]
pub mod checks {
    use super::{Isa, LEAST, Projection, scalar};
    use crate::kernels::random::Random;

    /// Compares all projections for windows around each cut into passes, and numbers of lanes around each register.
    ///
    /// # Panics
    /// If they differ.
    pub fn same_sums(isa: Isa) {
        let mut random = Random::new(8);
        for window in (LEAST.ilog2()..=11).map(|levels| 1 << levels) {
            for transforms in [1, 8, 9, 17, 32, 33, 96] {
                let projection = Projection::new(window, transforms, &mut random);
                // As large as sums may be: all of it in one number, or spread.
                for row in [one(window, &mut random), spread(window, &mut random)] {
                    for start in [0, 1] {
                        let (mut got, mut wanted) =
                            (vec![7; start + projection.len()], vec![0; projection.len()]);
                        projection.apply(isa, &row, &mut got[start..]);
                        scalar::apply(&projection, &row, &mut wanted);
                        assert_eq!(
                            got[start..],
                            wanted,
                            "{isa:?}, {window} numbers, {transforms} transforms"
                        );
                    }
                }
            }
        }
    }

    fn one(window: usize, random: &mut Random) -> Vec<i16> {
        let mut row = vec![0; window];
        row[random.next_u64() as usize % window] = -i16::MAX;
        row
    }

    fn spread(window: usize, random: &mut Random) -> Vec<i16> {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_possible_wrap,
            reason = "at most 2^11 numbers"
        )]
        let size = i16::MAX / window as i16;
        (0..window).map(|_| if random.next_u64() >> 63 == 0 { size } else { -size }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variant_gives_the_sums_of_the_definition() {
        for isa in Isa::available() {
            checks::same_sums(isa);
        }
    }

    /// By the sums that a projection stands for, computed one by one.
    #[test]
    fn projections_are_sums_under_signs() {
        let mut random = Random::new(9);
        let projection = Projection::new(32, 9, &mut random);
        let lanes = projection.len() / 32;
        let row: Vec<i16> = (0..32).map(|_| random.next_i8(100).into()).collect();
        for isa in Isa::available() {
            let mut got = vec![0; projection.len()];
            projection.apply(isa, &row, &mut got);
            for j in 0..32_usize {
                for t in 0..lanes {
                    let sign = |i: usize| if (i & j).count_ones().is_multiple_of(2) { 1 } else { -1 };
                    let wanted: i16 =
                        (0..32).map(|i| sign(i) * i16::from(projection.signs[i * lanes + t]) * row[i]).sum();
                    assert_eq!(got[j * lanes + t], wanted, "{isa:?}, row {j} of transform {t}");
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "sums fit 16 bits")]
    fn a_row_whose_sums_may_overflow_is_refused() {
        let projection = Projection::new(16, 1, &mut Random::new(0));
        projection.apply(Isa::Scalar, &[2048; 16], &mut vec![0; projection.len()]);
    }
}
