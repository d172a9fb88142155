//! NEON: there is no instruction that gathers the results of comparisons as bits.
//!
//! Results are narrowed to one byte a limit. Each byte keeps the bit that its limit has in the answer, and three rounds of
//! adding neighbours make one byte of eight.

use std::arch::aarch64::{
    uint8x16_t, uint16x8_t, vandq_u8, vcgeq_f32, vcombine_u8, vcombine_u16, vdupq_n_f32, vgetq_lane_u64,
    vld1q_f32, vld1q_u8, vmovn_u16, vmovn_u32, vpaddq_u8, vreinterpretq_u64_u8,
};

use super::BLOCK;
use crate::kernels::isa::Neon;

/// The bit of each limit, for 16 of them.
const BITS: [u8; 16] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];

pub(super) fn reaching(proof: Neon, limits: &[f32; BLOCK], floor: f32) -> u64 {
    proof.assert_present();
    // SAFETY: `Neon` proves that the CPU has the instructions.
    unsafe { with_neon(limits, floor) }
}

#[target_feature(enable = "neon")]
fn with_neon(limits: &[f32; BLOCK], floor: f32) -> u64 {
    let ([a, b, c, d], []) = limits.as_chunks::<16>() else { unreachable!("64 is 4 times 16") };
    let first = vpaddq_u8(sixteen(a, floor), sixteen(b, floor));
    let last = vpaddq_u8(sixteen(c, floor), sixteen(d, floor));
    let pairs = vpaddq_u8(first, last);
    vgetq_lane_u64::<0>(vreinterpretq_u64_u8(vpaddq_u8(pairs, pairs)))
}

/// The bit of each limit that is at least `floor`, zero for the others.
#[inline]
#[target_feature(enable = "neon")]
fn sixteen(limits: &[f32; 16], floor: f32) -> uint8x16_t {
    let (first, last) = (eight(&limits.as_chunks().0[0], floor), eight(&limits.as_chunks().0[1], floor));
    let reaching = vcombine_u8(vmovn_u16(first), vmovn_u16(last));
    // SAFETY: 16 bytes; the load needs no alignment.
    vandq_u8(reaching, unsafe { vld1q_u8(BITS.as_ptr()) })
}

/// All bits for each limit that is at least `floor`, none for the others.
#[inline]
#[target_feature(enable = "neon")]
fn eight(limits: &[f32; 8], floor: f32) -> uint16x8_t {
    let (floor, [first, last]) = (vdupq_n_f32(floor), [0, 4].map(|at| limits[at..].as_ptr()));
    // SAFETY: 4 of 8 numbers from place 0, and 4 from place 4; the loads need no alignment.
    let (first, last) = unsafe { (vld1q_f32(first), vld1q_f32(last)) };
    vcombine_u16(vmovn_u32(vcgeq_f32(first, floor)), vmovn_u32(vcgeq_f32(last, floor)))
}
