//! Limits of one query from sums of signs, in 16 bits: *levels*.
//!
//! Signs are read at the speed of memory, so what is done beside reading them must take next to no time; and limits that
//! hold only nearly always need no 32 bits.
//!
//! # Contract
//!
//! The level of a row, where `a∘b` is the product of two 16-bit numbers in units of 32,768, rounded to the nearest, halves
//! up:
//!
//! ```text
//! times·(sum - middle) ∘ (factor + 256·factor_count ∘ factor_step) + offset ∘ offset_step + 256·spread_count ∘ spread_step
//! ```
//!
//! All is computed in 16 bits and wraps where these are too few. Every variant gives the same levels.

#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};
use crate::kernels::isa::Isa;
use crate::kernels::sign::BLOCK;

/// What stands beside each row of signs: how many steps from the middle.
#[derive(Debug, Clone, Copy)]
pub struct PerSignRow<'a> {
    /// What the row's product with the centre adds.
    pub offset: &'a [i16],
    /// See [`shape`].
    pub shape: &'a [i16],
}

/// Two counts in one number: steps of a row's factor, what a sign stands for, below; of its spread, how far an estimate may
/// be off, above.
#[must_use]
pub fn shape(factor_count: i8, spread_count: i8) -> i16 {
    i16::from_le_bytes([factor_count.cast_unsigned(), spread_count.cast_unsigned()])
}

/// How sums of signs of one query become levels.
#[derive(Debug, Clone, Copy)]
pub struct PerSignQuery {
    /// Taken from a sum; what is left has a sign …
    pub middle: u16,
    /// … and is a 16-bit number still when it is multiplied with this.
    pub times: i16,
    /// The middle factor: what a sum of 32,768 is in levels.
    pub factor: i16,
    /// 128 steps of it.
    pub factor_step: i16,
    /// 32,768 steps of `offset`, in levels.
    pub offset_step: i16,
    /// 128 steps of the spread, in levels.
    pub spread_step: i16,
}

impl PerSignQuery {
    /// No level is so far below what it would be if nothing were rounded, neither here nor in the steps above (to the
    /// nearest number), as long as the largest factor fits 16 bits.
    pub const SLACK: i16 = 5;
}

/// Whole blocks of rows.
pub(super) struct Blocks<'a> {
    pub(super) sums: &'a [[u16; BLOCK]],
    pub(super) offset: &'a [[i16; BLOCK]],
    pub(super) shape: &'a [[i16; BLOCK]],
    pub(super) out: &'a mut [[i16; BLOCK]],
    pub(super) largest: &'a mut [i16],
}

/// Levels of all rows, from their [`sums`](crate::kernels::sign::sums), and the largest of each [`BLOCK`].
///
/// # Panics
/// If the lengths do not fit together.
pub fn levels_of_signs(
    isa: Isa,
    sums: &[u16],
    rows: PerSignRow<'_>,
    query: PerSignQuery,
    out: &mut [i16],
    largest: &mut [i16],
) {
    let n = out.len();
    assert_eq!((rows.offset.len(), rows.shape.len(), largest.len()), (n, n, n.div_ceil(BLOCK)), "one each");
    let (sums, last_sums) = sums[..n].as_chunks();
    let (offset, last_offset) = rows.offset.as_chunks();
    let (shape, last_shape) = rows.shape.as_chunks();
    let (out, last_out) = out.as_chunks_mut();
    let (largest, last_largest) = largest.split_at_mut(out.len());
    let blocks = Blocks { sums, offset, shape, out, largest };
    isa.assert_present();
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(proof) => avx2::levels(proof, blocks, query),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512(proof) => avx512::levels(proof, blocks, query),
        // Compilers make NEON code of this.
        _ => {
            let Blocks { sums, offset, shape, out, largest } = blocks;
            for (i, (out, largest)) in out.iter_mut().zip(largest).enumerate() {
                *largest = levels(&sums[i], &offset[i], &shape[i], query, out);
            }
        }
    }
    if let [largest] = last_largest {
        *largest = levels(last_sums, last_offset, last_shape, query, last_out);
    }
}

/// The definition, for one block; returns the largest level.
#[inline(always)]
fn levels(sums: &[u16], offset: &[i16], shape: &[i16], query: PerSignQuery, out: &mut [i16]) -> i16 {
    let mut largest = i16::MIN;
    for (((&sum, &offset), &shape), out) in sums.iter().zip(offset).zip(shape).zip(out) {
        let sum = sum.wrapping_sub(query.middle).cast_signed().wrapping_mul(query.times);
        let factor = query.factor.wrapping_add(product(shape << 8, query.factor_step));
        let (centre, reach) = (product(offset, query.offset_step), product(shape & !0xff, query.spread_step));
        *out = product(sum, factor).wrapping_add(centre).wrapping_add(reach);
        largest = largest.max(*out);
    }
    largest
}

/// In units of 2^15, rounded to the nearest.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "only -32,768 times itself wraps")]
fn product(a: i16, b: i16) -> i16 {
    ((i32::from(a) * i32::from(b) + (1 << 14)) >> 15) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_a_row_are_added() {
        let rows = PerSignRow { offset: &[-300], shape: &[shape(-3, 100)] };
        let query = PerSignQuery {
            middle: 41_000,
            times: 16,
            factor: 500,
            factor_step: 256,
            offset_step: 4096,
            spread_step: -64,
        };
        for isa in Isa::available() {
            let (mut levels, mut largest) = ([0], [0]);
            levels_of_signs(isa, &[40_000], rows, query, &mut levels, &mut largest);
            // -16,000 · 494 / 32,768 = -241.2; -300 / 8 = -37.5, which is rounded up; -100 / 2 = -50.
            assert_eq!((levels, largest), ([-241 - 37 - 50], [-328]));
        }
    }

    #[test]
    fn the_largest_of_each_block_is_told() {
        let n = 2 * BLOCK + 1;
        let (offset, shape) = (vec![0; n], vec![0; n]);
        let query = PerSignQuery {
            middle: 0,
            times: 1,
            factor: 1 << 14,
            factor_step: 0,
            offset_step: 0,
            spread_step: 0,
        };
        for (isa, at) in Isa::available().into_iter().flat_map(|isa| (0..n).map(move |at| (isa, at))) {
            let mut sums = vec![(-2000i16).cast_unsigned(); n];
            sums[at] = 2000;
            let (mut levels, mut largest) = (vec![0; n], [0; 3]);
            let rows = PerSignRow { offset: &offset, shape: &shape };
            levels_of_signs(isa, &sums, rows, query, &mut levels, &mut largest);
            let mut wanted = [-1000; 3];
            wanted[at / BLOCK] = 1000;
            assert_eq!(largest, wanted, "{isa:?}, {at}");
        }
    }
}
