//! NEON: 16 rows in a register, four registers a line.
//!
//! An instruction widens bytes while it adds them, so the sums of a block stay in the order of its rows, in eight registers.

use std::arch::aarch64::{
    uint8x16_t, vaddq_u8, vaddw_high_u8, vaddw_u8, vandq_u8, vdupq_n_u8, vdupq_n_u16, vget_low_u8, vld1q_u8,
    vqtbl1q_u8, vshrq_n_u8, vst1q_u16,
};

use super::{BLOCK, Line, Table};
use crate::kernels::isa::Neon;

/// Rows in a register of bytes.
const QUARTER: usize = BLOCK / 4;

/// Sums in a register.
const EIGHTH: usize = BLOCK / 8;

pub(super) fn sums(proof: Neon, blocks: &[Line], tables: &[Table], out: &mut [u16]) {
    proof.assert_present();
    // SAFETY: `Neon` proves that the CPU has the instructions.
    unsafe { with_neon(blocks, tables, out) }
}

#[target_feature(enable = "neon")]
fn with_neon(blocks: &[Line], tables: &[Table], out: &mut [u16]) {
    if tables.is_empty() {
        out.fill(0);
        return;
    }
    for (block, out) in blocks.chunks_exact(tables.len()).zip(out.as_chunks_mut::<BLOCK>().0) {
        let mut sums = [[vdupq_n_u16(0); 2]; 4];
        for (line, [lower, upper]) in block.iter().zip(tables) {
            let (lower, upper) = (load(lower), load(upper));
            for (bits, [first_rows, last_rows]) in line.0.as_chunks().0.iter().zip(&mut sums) {
                let bits = load(bits);
                let first = vqtbl1q_u8(lower, vandq_u8(bits, vdupq_n_u8(15)));
                let both = vaddq_u8(first, vqtbl1q_u8(upper, vshrq_n_u8::<4>(bits)));
                *first_rows = vaddw_u8(*first_rows, vget_low_u8(both));
                *last_rows = vaddw_high_u8(*last_rows, both);
            }
        }
        for (out, &sums) in out.as_chunks_mut::<EIGHTH>().0.iter_mut().zip(sums.as_flattened()) {
            // SAFETY: 8 numbers of 2 bytes; the store needs no alignment.
            unsafe { vst1q_u16(out.as_mut_ptr(), sums) }
        }
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn load(bytes: &[u8; QUARTER]) -> uint8x16_t {
    // SAFETY: 16 bytes; the load needs no alignment.
    unsafe { vld1q_u8(bytes.as_ptr()) }
}
