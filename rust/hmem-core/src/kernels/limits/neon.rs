//! NEON: there is no instruction that gathers the results of comparisons as bits.
//!
//! Results are narrowed to one byte a limit. Each byte keeps the bit that its limit has in the answer, and three rounds of
//! adding neighbours make one byte of eight.

use std::arch::aarch64::{
    uint16x8_t, vandq_u8, vcgeq_f32, vcgeq_s16, vcombine_u8, vcombine_u16, vdupq_n_f32, vdupq_n_s16,
    vgetq_lane_u64, vld1q_f32, vld1q_s16, vld1q_u8, vmovn_u16, vmovn_u32, vpaddq_u8, vreinterpretq_u64_u8,
};

use crate::kernels::isa::Neon;
use crate::kernels::sign::BLOCK;

/// The bit of each limit, for 16 of them.
const BITS: [u8; 16] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];

pub(super) fn reaching(proof: Neon, limits: &[f32; BLOCK], floor: f32) -> u64 {
    proof.assert_present();
    // SAFETY: `Neon` proves that the CPU has the instructions.
    unsafe { bits(|at| limits_with_neon(&limits.as_chunks().0[at], floor)) }
}

pub(super) fn reaching_level(proof: Neon, levels: &[i16; BLOCK], floor: i16) -> u64 {
    proof.assert_present();
    // SAFETY: `Neon` proves that the CPU has the instructions.
    unsafe { bits(|at| levels_with_neon(&levels.as_chunks().0[at], floor)) }
}

pub(super) fn reaching_levels(proof: Neon, blocks: &[[i16; BLOCK]], floor: i16, out: &mut [u64]) {
    proof.assert_present();
    // SAFETY: `Neon` proves that the CPU has the instructions.
    unsafe { blocks_with_neon(blocks, floor, out) }
}

#[target_feature(enable = "neon")]
fn blocks_with_neon(blocks: &[[i16; BLOCK]], floor: i16, out: &mut [u64]) {
    for (block, out) in blocks.iter().zip(out) {
        *out = bits(|at| levels_with_neon(&block.as_chunks().0[at], floor));
    }
}

/// Gathers the bits of 64 comparisons; each call gives eight of them, all bits or none.
#[inline]
#[target_feature(enable = "neon")]
fn bits(eight: impl Fn(usize) -> uint16x8_t) -> u64 {
    // SAFETY: 16 bytes; the load needs no alignment.
    let places = unsafe { vld1q_u8(BITS.as_ptr()) };
    let sixteen = |at| vandq_u8(vcombine_u8(vmovn_u16(eight(at)), vmovn_u16(eight(at + 1))), places);
    let first = vpaddq_u8(sixteen(0), sixteen(2));
    let last = vpaddq_u8(sixteen(4), sixteen(6));
    let pairs = vpaddq_u8(first, last);
    vgetq_lane_u64::<0>(vreinterpretq_u64_u8(vpaddq_u8(pairs, pairs)))
}

/// All bits for each limit that is at least `floor`, none for the others.
#[inline]
#[target_feature(enable = "neon")]
fn limits_with_neon(limits: &[f32; 8], floor: f32) -> uint16x8_t {
    let (floor, [first, last]) = (vdupq_n_f32(floor), [0, 4].map(|at| limits[at..].as_ptr()));
    // SAFETY: 4 of 8 numbers from place 0, and 4 from place 4; the loads need no alignment.
    let (first, last) = unsafe { (vld1q_f32(first), vld1q_f32(last)) };
    vcombine_u16(vmovn_u32(vcgeq_f32(first, floor)), vmovn_u32(vcgeq_f32(last, floor)))
}

/// The same of levels.
#[inline]
#[target_feature(enable = "neon")]
fn levels_with_neon(levels: &[i16; 8], floor: i16) -> uint16x8_t {
    // SAFETY: 8 numbers of 2 bytes; the load needs no alignment.
    vcgeq_s16(unsafe { vld1q_s16(levels.as_ptr()) }, vdupq_n_s16(floor))
}
