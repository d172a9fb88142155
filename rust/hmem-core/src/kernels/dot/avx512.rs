//! AVX-512. The 16 lanes of the definition are one register.
//!
//! A fused multiply-add takes 4 cycles and two can start in each, so one row at a time would leave the unit idle for 7 of 8
//! slots. Eight rows are therefore in flight, each with its own accumulator; a piece of the query is loaded once for all
//! of them. The tail is loaded under a mask: what is masked out reads as zero and is never touched, so a row may end at
//! the end of a page. The lanes are summed by halving, as the definition says.

use std::arch::x86_64::{
    __m512, _mm512_castps512_ps256, _mm512_extractf32x8_ps, _mm512_fmadd_ps, _mm512_loadu_ps,
    _mm512_maskz_loadu_ps, _mm512_setzero_ps,
};

use super::LANES;
use super::avx2::sum16_halves;
use crate::kernels::isa::Avx512;
use crate::rows::Rows;

const ROWS: usize = 8;

pub(super) fn dot_rows(proof: Avx512, rows: Rows<'_, f32>, query: &[f32], out: &mut [f32]) {
    proof.assert_present();
    // SAFETY: `Avx512` proves that the CPU has the instructions.
    unsafe { with_avx512(rows, query, out) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")]
fn with_avx512(rows: Rows<'_, f32>, query: &[f32], out: &mut [f32]) {
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
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")]
fn dot_block<const R: usize>(block: &[f32], query: &[f32]) -> [f32; R] {
    let d = query.len();
    assert_eq!(block.len(), R * d, "{R} rows");
    let mut lanes = [_mm512_setzero_ps(); R];
    let steps = d / LANES;
    for step in 0..steps {
        let at = step * LANES;
        // SAFETY: at + 16 ≤ d, the query's length.
        let q = unsafe { load(query, at) };
        for (r, lanes) in lanes.iter_mut().enumerate() {
            // SAFETY: r < R and at + 16 ≤ d, so r·d + at + 16 ≤ R·d, the block's length.
            let x = unsafe { load(block, r * d + at) };
            *lanes = _mm512_fmadd_ps(x, q, *lanes);
        }
    }
    let (at, rest) = (steps * LANES, d % LANES);
    if rest > 0 {
        // SAFETY: at + rest = d, the query's length.
        let q = unsafe { load_first(query, at, rest) };
        for (r, lanes) in lanes.iter_mut().enumerate() {
            // SAFETY: r < R and at + rest = d, so r·d + at + rest ≤ R·d, the block's length.
            let x = unsafe { load_first(block, r * d + at, rest) };
            *lanes = _mm512_fmadd_ps(x, q, *lanes);
        }
    }
    lanes.map(|lanes| sum16(lanes))
}

/// # Safety
/// `at + 16` must not exceed the slice's length.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn load(from: &[f32], at: usize) -> __m512 {
    debug_assert!(at + LANES <= from.len());
    // SAFETY: the caller's promise.
    unsafe { _mm512_loadu_ps(from.as_ptr().add(at)) }
}

/// The next `count` (1 to 15) numbers, then zeros.
///
/// # Safety
/// `at + count` must not exceed the slice's length.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn load_first(from: &[f32], at: usize, count: usize) -> __m512 {
    debug_assert!(count < LANES && at + count <= from.len());
    // SAFETY: the caller's promise; the mask keeps the instruction from touching anything behind.
    unsafe { _mm512_maskz_loadu_ps((1 << count) - 1, from.as_ptr().add(at)) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx2,fma")]
fn sum16(x: __m512) -> f32 {
    sum16_halves(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps::<1>(x))
}
