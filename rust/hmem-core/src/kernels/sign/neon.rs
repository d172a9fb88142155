//! NEON: 16 rows in a register, four registers a line.
//!
//! An instruction widens bytes while it adds them, so the sums of a block stay in the order of its rows, in eight registers.

use std::arch::aarch64::{
    uint8x16_t, vaddq_u8, vaddw_high_u8, vaddw_u8, vandq_u8, vdupq_n_u8, vdupq_n_u16, vget_low_u8, vld1q_u8,
    vqtbl1q_u8, vshrq_n_u8, vst1q_u16,
};

use super::{BLOCK, GROUP, Line, TOGETHER, Table};
use crate::kernels::isa::Neon;

/// Rows in a register of bytes.
const QUARTER: usize = BLOCK / 4;

/// Sums in a register.
const EIGHTH: usize = BLOCK / 8;

pub(super) fn sums(proof: Neon, groups: &[Line], tables: &[Table], out: &mut [u16]) {
    proof.assert_present();
    // SAFETY: `Neon` proves that the CPU has the instructions.
    unsafe { with_neon(groups, tables, out) }
}

#[target_feature(enable = "neon")]
fn with_neon(groups: &[Line], tables: &[Table], out: &mut [u16]) {
    for (group, out) in groups.chunks_exact(GROUP * tables.len()).zip(out.chunks_exact_mut(GROUP * BLOCK)) {
        let lines = group.as_chunks::<GROUP>().0;
        for (block, out) in out.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
            block_sums(lines, block, tables, out);
        }
    }
}

/// The sums of one block of a group.
#[inline]
#[target_feature(enable = "neon")]
fn block_sums(lines: &[[Line; GROUP]], block: usize, tables: &[Table], out: &mut [u16; BLOCK]) {
    let mut sums = [[vdupq_n_u16(0); 2]; 4];
    for (lines, tables) in lines.chunks(TOGETHER).zip(tables.chunks(TOGETHER)) {
        let mut bytes = [vdupq_n_u8(0); 4];
        for (lines, [lower, upper]) in lines.iter().zip(tables) {
            let (lower, upper) = (load(lower), load(upper));
            for (bits, bytes) in lines[block].0.as_chunks().0.iter().zip(&mut bytes) {
                let bits = load(bits);
                let first = vqtbl1q_u8(lower, vandq_u8(bits, vdupq_n_u8(15)));
                *bytes = vaddq_u8(*bytes, vaddq_u8(first, vqtbl1q_u8(upper, vshrq_n_u8::<4>(bits))));
            }
        }
        for (bytes, [first_rows, last_rows]) in bytes.into_iter().zip(&mut sums) {
            *first_rows = vaddw_u8(*first_rows, vget_low_u8(bytes));
            *last_rows = vaddw_high_u8(*last_rows, bytes);
        }
    }
    for (out, &sums) in out.as_chunks_mut::<EIGHTH>().0.iter_mut().zip(sums.as_flattened()) {
        // SAFETY: 8 numbers of 2 bytes; the store needs no alignment.
        unsafe { vst1q_u16(out.as_mut_ptr(), sums) }
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn load(bytes: &[u8; QUARTER]) -> uint8x16_t {
    // SAFETY: 16 bytes; the load needs no alignment.
    unsafe { vld1q_u8(bytes.as_ptr()) }
}
