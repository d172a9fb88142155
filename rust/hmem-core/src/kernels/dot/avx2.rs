//! AVX2 and FMA. The 16 lanes of the definition are two registers.
//!
//! Four rows are in flight with two accumulators each, which keeps both multiply-add units busy (8 chains of 4 cycles)
//! and leaves registers for the query. The tail is loaded under a mask: what is masked out reads as zero and is never
//! touched, so a row may end at the end of a page.

use std::arch::x86_64::{
    __m256, __m256i, _mm_add_ps, _mm_add_ss, _mm_cvtss_f32, _mm_movehl_ps, _mm_shuffle_ps, _mm256_add_ps,
    _mm256_castps256_ps128, _mm256_cmpgt_epi32, _mm256_extractf128_ps, _mm256_fmadd_ps, _mm256_loadu_ps,
    _mm256_maskload_ps, _mm256_set1_epi32, _mm256_setr_epi32, _mm256_setzero_ps,
};

use super::LANES;
use crate::kernels::isa::Avx2;
use crate::rows::Rows;

const ROWS: usize = 4;

/// Numbers in one register.
const HALF: usize = LANES / 2;

pub(super) fn dot_rows(proof: Avx2, rows: Rows<'_, f32>, query: &[f32], out: &mut [f32]) {
    proof.assert_present();
    // SAFETY: `Avx2` proves that the CPU has the instructions.
    unsafe { with_avx2(rows, query, out) }
}

#[target_feature(enable = "avx2,fma")]
fn with_avx2(rows: Rows<'_, f32>, query: &[f32], out: &mut [f32]) {
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
#[target_feature(enable = "avx2,fma")]
fn dot_block<const R: usize>(block: &[f32], query: &[f32]) -> [f32; R] {
    let d = query.len();
    assert_eq!(block.len(), R * d, "{R} rows");
    let mut lower = [_mm256_setzero_ps(); R];
    let mut upper = [_mm256_setzero_ps(); R];
    let steps = d / LANES;
    for step in 0..steps {
        let at = step * LANES;
        // SAFETY: at + 16 ≤ d, the query's length.
        let (q_lower, q_upper) = unsafe { (load(query, at), load(query, at + HALF)) };
        for r in 0..R {
            // SAFETY: r < R and at + 16 ≤ d, so r·d + at + 16 ≤ R·d, the block's length.
            let (x_lower, x_upper) = unsafe { (load(block, r * d + at), load(block, r * d + at + HALF)) };
            lower[r] = _mm256_fmadd_ps(x_lower, q_lower, lower[r]);
            upper[r] = _mm256_fmadd_ps(x_upper, q_upper, upper[r]);
        }
    }
    let (at, rest) = (steps * LANES, d % LANES);
    if rest > 0 {
        let (in_lower, in_upper) = (rest.min(HALF), rest.saturating_sub(HALF));
        // SAFETY: at + rest = d, the query's length. The upper half starts within the slice or, with nothing to load, at
        // `at + in_lower`, its end.
        let (q_lower, q_upper) =
            unsafe { (load_first(query, at, in_lower), load_first(query, at + in_lower, in_upper)) };
        for r in 0..R {
            let at = r * d + at;
            // SAFETY: r < R and at + rest ≤ R·d, the block's length; as above for the upper half.
            let (x_lower, x_upper) =
                unsafe { (load_first(block, at, in_lower), load_first(block, at + in_lower, in_upper)) };
            lower[r] = _mm256_fmadd_ps(x_lower, q_lower, lower[r]);
            upper[r] = _mm256_fmadd_ps(x_upper, q_upper, upper[r]);
        }
    }
    std::array::from_fn(|r| sum16_halves(lower[r], upper[r]))
}

/// # Safety
/// `at + 8` must not exceed the slice's length.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn load(from: &[f32], at: usize) -> __m256 {
    debug_assert!(at + HALF <= from.len());
    // SAFETY: the caller's promise.
    unsafe { _mm256_loadu_ps(from.as_ptr().add(at)) }
}

/// The next `count` (0 to 8) numbers, then zeros.
///
/// # Safety
/// `at + count` must not exceed the slice's length.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn load_first(from: &[f32], at: usize, count: usize) -> __m256 {
    debug_assert!(count <= HALF && at + count <= from.len());
    // SAFETY: the caller's promise; the mask keeps the instruction from touching anything behind.
    unsafe { _mm256_maskload_ps(from.as_ptr().add(at), first(count)) }
}

/// A mask of the first `count` lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn first(count: usize) -> __m256i {
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
}

/// The halving sum of 16 lanes.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn sum16_halves(lower: __m256, upper: __m256) -> f32 {
    let eight = _mm256_add_ps(lower, upper);
    let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
}
