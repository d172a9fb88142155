//! Products of 8-bit rows with 8-bit matrices, exact, for the layers of a transformer.
//!
//! A matrix of `n` output channels by `k` numbers lies in *panels* of 32 channels: `[n / 32][k / 4][32][4]` bytes. So four
//! numbers of each of 32 channels lie side by side in two cache lines, which is what instructions that multiply and add four
//! bytes at once want; those that take pairs of 16-bit numbers are served as well.
//!
//! [`Factor::tile`] multiplies up to [`ROWS`] rows with one panel: `sums[r][c] = Σ row[r][i] · panel[c][i]`, in 32-bit integers.
//! Rows hold numbers within ±127, panels within ±127. No sum can overflow for `k ≤ 2^16`, so all instruction sets give the same
//! integers.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;
#[cfg(target_arch = "x86_64")]
mod vnni;

use super::isa::Isa;

/// Channels of a panel.
pub const CHANNELS: usize = 32;

/// Rows of a tile, at most: with two registers of sums each, they fill 24 of the 32 that AVX-512 has.
pub const ROWS: usize = 12;

/// Numbers that lie side by side for a channel.
const QUAD: usize = 4;

/// The sums of a tile.
pub type Sums = [[i32; CHANNELS]; ROWS];

/// Rows, as the instructions want them.
#[derive(Debug)]
pub struct Factor {
    how: How,
    k: usize,
    /// All rows, one after the other; for VNNI, with 128 added.
    bytes: Vec<i8>,
    /// The same in 16 bits, for AVX2.
    wide: Vec<i16>,
}

/// Which instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2(super::isa::Avx2),
    #[cfg(target_arch = "x86_64")]
    Vnni(super::isa::Vnni),
    #[cfg(target_arch = "aarch64")]
    Neon(super::isa::Neon),
}

impl How {
    fn of(isa: Isa) -> Self {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(proof) => Self::Avx2(proof),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(proof) => proof.vnni().map_or(Self::Avx2(proof.avx2()), Self::Vnni),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon(proof) => Self::Neon(proof),
            _ => Self::Scalar,
        }
    }
}

impl Factor {
    /// No rows yet.
    #[must_use]
    pub fn new(isa: Isa) -> Self {
        Self { how: How::of(isa), k: 0, bytes: Vec::new(), wide: Vec::new() }
    }

    /// Makes room for `m` rows of `k` numbers, which `fill` is to put in.
    ///
    /// # Panics
    /// If `k` is no multiple of 64, or is 0.
    pub fn set(&mut self, m: usize, k: usize, fill: impl FnOnce(&mut [i8])) {
        assert!(k > 0 && k.is_multiple_of(64), "width of rows: a multiple of 64, got {k}");
        self.k = k;
        self.bytes.resize(m * k, 0);
        fill(&mut self.bytes);
        match self.how {
            #[cfg(target_arch = "x86_64")]
            How::Vnni(_) => self.bytes.iter_mut().for_each(|byte| *byte ^= i8::MIN),
            #[cfg(target_arch = "x86_64")]
            How::Avx2(_) => {
                self.wide.clear();
                self.wide.extend(self.bytes.iter().map(|&byte| i16::from(byte)));
            }
            _ => {}
        }
    }

    /// Multiplies `rows` rows from the `first` on with a panel. `code_sums[c]` is the sum of channel `c`'s numbers. It is best
    /// if the panel that is needed next follows it in memory.
    ///
    /// # Panics
    /// If there are no such rows, more than [`ROWS`], or the panels have another size.
    #[inline]
    pub fn tile(
        &self,
        first: usize,
        rows: usize,
        panel: &[i8],
        code_sums: &[i32; CHANNELS],
        sums: &mut Sums,
    ) {
        let k = self.k;
        assert_eq!(panel.len(), k * CHANNELS, "size of a panel");
        assert!((1..=ROWS).contains(&rows), "rows of a tile");
        let range = first * k..(first + rows) * k;
        let panel: &[Step] = panel.as_chunks().0;
        match self.how {
            How::Scalar => scalar::tile(&self.bytes[range], k, panel, sums),
            #[cfg(target_arch = "x86_64")]
            How::Avx2(proof) => avx2::tile(proof, &self.wide[range], k, panel, sums),
            #[cfg(target_arch = "x86_64")]
            How::Vnni(proof) => vnni::tile(proof, &self.bytes[range], k, panel, code_sums, sums),
            #[cfg(target_arch = "aarch64")]
            How::Neon(proof) => neon::tile(proof, &self.bytes[range], k, panel, sums),
        }
        let _ = code_sums;
    }
}

/// Four numbers of each channel of a panel.
type Step = [i8; QUAD * CHANNELS];

/// The checks of all variants against [`scalar`], callable from a plain program (see `examples/check_kernels.rs`).
#[doc(hidden)]
pub mod checks {
    use super::{CHANNELS, Factor, Isa, ROWS, Sums, scalar};
    use crate::kernels::random::Random;

    /// Compares sums for some widths and all numbers of rows.
    ///
    /// # Panics
    /// If they differ.
    #[allow(clippy::cast_possible_truncation, reason = "bytes are wanted")]
    pub fn same_sums(isa: Isa, widths: impl IntoIterator<Item = usize>) {
        let mut random = Random::new(11);
        for k in widths {
            let m = ROWS + 2;
            let mut numbers = |n: usize| -> Vec<i8> {
                // Extreme ones often, so that whatever saturates shows.
                let one = |bits: u64| match bits & 3 {
                    0 => 127,
                    1 => -127,
                    _ => ((bits >> 8) as i8).max(-127),
                };
                (0..n).map(|_| one(random.next_u64())).collect()
            };
            let (rows, panel) = (numbers(m * k), numbers(k * CHANNELS));
            let mut code_sums = [0; CHANNELS];
            for step in panel.as_chunks::<{ 4 * CHANNELS }>().0 {
                for (sum, quad) in code_sums.iter_mut().zip(step.as_chunks::<4>().0) {
                    *sum += quad.iter().map(|&code| i32::from(code)).sum::<i32>();
                }
            }
            let mut factor = Factor::new(isa);
            factor.set(m, k, |bytes| bytes.copy_from_slice(&rows));
            for n in 1..=ROWS {
                for first in [0, m - n] {
                    let (mut got, mut wanted): (Sums, Sums) = ([[7; CHANNELS]; ROWS], [[7; CHANNELS]; ROWS]);
                    factor.tile(first, n, &panel, &code_sums, &mut got);
                    scalar::tile(&rows[first * k..(first + n) * k], k, panel.as_chunks().0, &mut wanted);
                    assert_eq!(got, wanted, "{isa:?}, {k} numbers, {n} rows from {first}");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_sets_give_the_same_sums() {
        for isa in Isa::available() {
            checks::same_sums(isa, [64, 128, 384, 1536]);
        }
    }

    #[test]
    fn the_definition_is_a_product() {
        let k = 64;
        let rows: Vec<i8> = (0..2 * k).map(|i| (i % 23) as i8 - 11).collect();
        let channel = |c: usize, i: usize| ((7 * c + 3 * i) % 31) as i8 - 15;
        let mut panel = vec![0; k * CHANNELS];
        for (c, i) in (0..CHANNELS).flat_map(|c| (0..k).map(move |i| (c, i))) {
            panel[(i / 4 * CHANNELS + c) * 4 + i % 4] = channel(c, i);
        }
        let mut sums: Sums = [[0; CHANNELS]; ROWS];
        scalar::tile(&rows, k, panel.as_chunks().0, &mut sums);
        for (r, c) in (0..2).flat_map(|r| (0..CHANNELS).map(move |c| (r, c))) {
            let wanted: i32 = (0..k).map(|i| i32::from(rows[r * k + i]) * i32::from(channel(c, i))).sum();
            assert_eq!(sums[r][c], wanted);
        }
    }
}
