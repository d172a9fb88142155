//! NEON. The 16 lanes of the definition are four registers.
//!
//! Four rows are in flight with four accumulators each: 16 chains of multiply-adds, and 4 of the 32 registers hold the
//! query. There are no masked loads, so the tail is copied into a padded step first.

use std::arch::aarch64::{
    float32x4_t, vadd_f32, vaddq_f32, vdupq_n_f32, vfmaq_f32, vget_high_f32, vget_lane_f32, vget_low_f32,
    vld1q_f32,
};

use super::LANES;
use super::scalar::padded;
use crate::kernels::isa::Neon;
use crate::rows::Rows;

const ROWS: usize = 4;

/// Numbers in one register.
const QUARTER: usize = LANES / 4;

/// The 16 lanes.
type Lanes = [float32x4_t; 4];

pub(super) fn dot_rows(proof: Neon, rows: Rows<'_, f32>, query: &[f32], out: &mut [f32]) {
    proof.assert_present();
    // SAFETY: `Neon` proves that the CPU has the instructions.
    unsafe { with_neon(rows, query, out) }
}

#[target_feature(enable = "neon")]
fn with_neon(rows: Rows<'_, f32>, query: &[f32], out: &mut [f32]) {
    let d = query.len();
    if d == 0 {
        out.fill(0.0);
        return;
    }
    let mut blocks = rows.data().chunks_exact(ROWS * d);
    let mut outs = out.chunks_exact_mut(ROWS);
    for (block, out) in blocks.by_ref().zip(outs.by_ref()) {
        out.copy_from_slice(&dot_block::<ROWS>(block, query));
    }
    for (row, out) in blocks.remainder().chunks_exact(d).zip(outs.into_remainder()) {
        [*out] = dot_block::<1>(row, query);
    }
}

/// Inner products of `R` rows, which stand one after the other in `block`.
#[inline]
#[target_feature(enable = "neon")]
fn dot_block<const R: usize>(block: &[f32], query: &[f32]) -> [f32; R] {
    let d = query.len();
    assert_eq!(block.len(), R * d, "{R} rows");
    let mut lanes = [[vdupq_n_f32(0.0); 4]; R];
    let steps = d / LANES;
    for step in 0..steps {
        let at = step * LANES;
        // SAFETY: at + 16 ≤ d, the query's length.
        let q = unsafe { load(query, at) };
        for (r, lanes) in lanes.iter_mut().enumerate() {
            // SAFETY: r < R and at + 16 ≤ d, so r·d + at + 16 ≤ R·d, the block's length.
            let x = unsafe { load(block, r * d + at) };
            multiply_add(lanes, x, q);
        }
    }
    let at = steps * LANES;
    if at < d {
        let q = padded(&query[at..]);
        // SAFETY: a padded step holds 16 numbers.
        let q = unsafe { load(&q, 0) };
        for (r, lanes) in lanes.iter_mut().enumerate() {
            let x = padded(&block[r * d + at..(r + 1) * d]);
            // SAFETY: a padded step holds 16 numbers.
            let x = unsafe { load(&x, 0) };
            multiply_add(lanes, x, q);
        }
    }
    std::array::from_fn(|r| sum(lanes[r]))
}

/// # Safety
/// `at + 16` must not exceed the slice's length.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn load(from: &[f32], at: usize) -> Lanes {
    debug_assert!(at + LANES <= from.len());
    // SAFETY: the caller's promise: quarter < 4, so at + 4·quarter + 4 ≤ at + 16.
    std::array::from_fn(|quarter| unsafe { vld1q_f32(from.as_ptr().add(at + quarter * QUARTER)) })
}

#[inline]
#[target_feature(enable = "neon")]
fn multiply_add(lanes: &mut Lanes, x: Lanes, q: Lanes) {
    for quarter in 0..4 {
        lanes[quarter] = vfmaq_f32(lanes[quarter], x[quarter], q[quarter]);
    }
}

/// The halving sum of 16 lanes.
#[inline]
#[target_feature(enable = "neon")]
fn sum(lanes: Lanes) -> f32 {
    let four = vaddq_f32(vaddq_f32(lanes[0], lanes[2]), vaddq_f32(lanes[1], lanes[3]));
    let two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    vget_lane_f32::<0>(two) + vget_lane_f32::<1>(two)
}
