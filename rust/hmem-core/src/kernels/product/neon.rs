//! NEON: one instruction multiplies eight pairs of bytes, another adds neighbouring products to four sums.
//!
//! A product is at most `127·127`, which 16 bits hold. Four numbers of four channels fill a register; sums are of the first two and
//! of the last two numbers of a channel, and are added in the end.
//!
//! There are instructions that multiply and add four bytes at once, but the oldest Rust that we allow does not offer them.

use std::arch::aarch64::{
    int32x4_t, vdupq_n_s32, vget_low_s8, vld1q_s8, vmull_high_s8, vmull_s8, vpadalq_s16, vpaddq_s32,
    vreinterpretq_s8_s32, vst1q_s32,
};

use super::{CHANNELS, QUAD, Step, Sums};
use crate::kernels::isa::Neon;

/// Rows that share a load of the panel.
const ROWS: usize = 2;

/// Registers of four channels for half a panel.
const PARTS: usize = 4;

pub(super) fn tile(proof: Neon, rows: &[i8], k: usize, panel: &[Step], sums: &mut Sums) {
    proof.assert_present();
    for (rows, sums) in rows.chunks(ROWS * k).zip(sums.chunks_mut(ROWS)) {
        match rows.len() / k {
            // SAFETY: `Neon` proves that the CPU has the instructions.
            1 => unsafe { with_neon::<1>(rows, k, panel, sums) },
            // SAFETY: as above.
            _ => unsafe { with_neon::<ROWS>(rows, k, panel, sums) },
        }
    }
}

#[target_feature(enable = "neon")]
fn with_neon<const R: usize>(rows: &[i8], k: usize, panel: &[Step], sums: &mut [[i32; CHANNELS]]) {
    assert!(rows.len() == R * k && panel.len() == k / QUAD);
    for half in 0..2 {
        let mut gathered: [[[int32x4_t; 2]; PARTS]; R] = [[[vdupq_n_s32(0); 2]; PARTS]; R];
        for (i, step) in panel.iter().enumerate() {
            for part in 0..PARTS {
                // SAFETY: a step has 128 bytes, eight times 16.
                let codes = unsafe { vld1q_s8(step.as_ptr().add((half * PARTS + part) * 16)) };
                for r in 0..R {
                    // SAFETY: row r has k bytes, and i < k / 4.
                    let quad = unsafe { rows.as_ptr().add(r * k + QUAD * i).cast::<i32>().read_unaligned() };
                    let quad = vreinterpretq_s8_s32(vdupq_n_s32(quad));
                    let [low, high] = &mut gathered[r][part];
                    *low = vpadalq_s16(*low, vmull_s8(vget_low_s8(codes), vget_low_s8(quad)));
                    *high = vpadalq_s16(*high, vmull_high_s8(codes, quad));
                }
            }
        }
        for (gathered, sums) in gathered.iter().zip(sums.iter_mut()) {
            for (part, [low, high]) in gathered.iter().enumerate() {
                // SAFETY: 4 of 32 integers, from a multiple of 4 below 32 on.
                unsafe { vst1q_s32(sums.as_mut_ptr().add(half * 16 + part * 4), vpaddq_s32(*low, *high)) };
            }
        }
    }
}
