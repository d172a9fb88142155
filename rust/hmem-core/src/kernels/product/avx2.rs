//! AVX2: one instruction multiplies eight pairs of 16-bit numbers and adds the two products of each.
//!
//! There is one for bytes, but it saturates. So both sides are widened: rows once for all panels, a panel anew for each three
//! rows. Four numbers of four channels fill a register; its sums are of the first two and of the last two numbers of a channel,
//! and are added in the end. Three rows by four registers of sums are what sixteen registers hold.

use std::arch::x86_64::{
    __m256i, _mm_loadu_si128, _mm256_add_epi32, _mm256_cvtepi8_epi16, _mm256_hadd_epi32, _mm256_madd_epi16,
    _mm256_permute4x64_epi64, _mm256_set1_epi64x, _mm256_setzero_si256, _mm256_storeu_si256,
};

use super::{CHANNELS, QUAD, Step, Sums};
use crate::kernels::isa::Avx2;

/// Rows that share a widened panel.
const ROWS: usize = 3;

/// Registers of sums for half a panel.
const PARTS: usize = 4;

pub(super) fn tile(proof: Avx2, rows: &[i16], k: usize, panel: &[Step], sums: &mut Sums) {
    proof.assert_present();
    for (rows, sums) in rows.chunks(ROWS * k).zip(sums.chunks_mut(ROWS)) {
        match rows.len() / k {
            // SAFETY: `Avx2` proves that the CPU has the instructions.
            1 => unsafe { with_avx2::<1>(rows, k, panel, sums) },
            // SAFETY: as above.
            2 => unsafe { with_avx2::<2>(rows, k, panel, sums) },
            // SAFETY: as above.
            _ => unsafe { with_avx2::<ROWS>(rows, k, panel, sums) },
        }
    }
}

#[target_feature(enable = "avx2,fma")]
#[allow(clippy::needless_range_loop, reason = "plain loops keep sums in registers")]
fn with_avx2<const R: usize>(rows: &[i16], k: usize, panel: &[Step], sums: &mut [[i32; CHANNELS]]) {
    assert!(rows.len() == R * k && panel.len() == k / QUAD);
    for half in 0..2 {
        let mut gathered: [[__m256i; PARTS]; R] = [[_mm256_setzero_si256(); PARTS]; R];
        for (i, step) in panel.iter().enumerate() {
            let mut quads = [_mm256_setzero_si256(); R];
            for (r, quad) in quads.iter_mut().enumerate() {
                // SAFETY: row r has k numbers, and i < k / 4.
                let four = unsafe { rows.as_ptr().add(r * k + QUAD * i).cast::<i64>().read_unaligned() };
                *quad = _mm256_set1_epi64x(four);
            }
            for part in 0..PARTS {
                // SAFETY: a step has 128 bytes, eight times 16.
                let codes = unsafe { _mm_loadu_si128(step.as_ptr().add((half * PARTS + part) * 16).cast()) };
                let codes = _mm256_cvtepi8_epi16(codes);
                for r in 0..R {
                    let products = _mm256_madd_epi16(quads[r], codes);
                    gathered[r][part] = _mm256_add_epi32(gathered[r][part], products);
                }
            }
        }
        for (gathered, sums) in gathered.iter().zip(sums.iter_mut()) {
            for (i, pair) in gathered.as_chunks::<2>().0.iter().enumerate() {
                // Channels 0 1 4 5 2 3 6 7, by how this instruction adds.
                let eight = _mm256_hadd_epi32(pair[0], pair[1]);
                let eight = _mm256_permute4x64_epi64::<0b11_01_10_00>(eight);
                // SAFETY: 8 of 32 integers, from a multiple of 8 below 32 on.
                unsafe { _mm256_storeu_si256(sums.as_mut_ptr().add(half * 16 + i * 8).cast(), eight) };
            }
        }
    }
}
