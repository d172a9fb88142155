//! AVX2: 32 rows in a register, two registers a line.
//!
//! As in the AVX-512 file, one register of 16-bit sums adds bytes as pairs, so that the even row's sum has 256 times the
//! odd row's on top; another adds the odd rows alone, and in the end is taken, shifted, from the first.

use std::arch::x86_64::{
    __m256i, _mm_loadu_si128, _mm256_add_epi8, _mm256_add_epi16, _mm256_and_si256,
    _mm256_broadcastsi128_si256, _mm256_load_si256, _mm256_permute2x128_si256, _mm256_set1_epi8,
    _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_slli_epi16, _mm256_srli_epi16, _mm256_storeu_si256,
    _mm256_sub_epi16, _mm256_unpackhi_epi16, _mm256_unpacklo_epi16,
};

use super::{BLOCK, GROUP, Line, TOGETHER, Table};
use crate::kernels::isa::Avx2;
use crate::kernels::line::LINE;

/// Sums in a register.
const QUARTER: usize = BLOCK / 4;

pub(super) fn sums(proof: Avx2, groups: &[Line], tables: &[Table], out: &mut [u16]) {
    proof.assert_present();
    // SAFETY: `Avx2` proves that the CPU has the instructions.
    unsafe { with_avx2(groups, tables, out) }
}

#[target_feature(enable = "avx2")]
fn with_avx2(groups: &[Line], tables: &[Table], out: &mut [u16]) {
    for (group, out) in groups.chunks_exact(GROUP * tables.len()).zip(out.chunks_exact_mut(GROUP * BLOCK)) {
        let lines = group.as_chunks::<GROUP>().0;
        for (block, out) in out.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
            block_sums(lines, block, tables, out);
        }
    }
}

/// The sums of one block of a group.
#[inline]
#[target_feature(enable = "avx2")]
fn block_sums(lines: &[[Line; GROUP]], block: usize, tables: &[Table], out: &mut [u16; BLOCK]) {
    let mask = _mm256_set1_epi8(15);
    let (mut pairs, mut odd) = ([_mm256_setzero_si256(); 2], [_mm256_setzero_si256(); 2]);
    for (lines, tables) in lines.chunks(TOGETHER).zip(tables.chunks(TOGETHER)) {
        let mut bytes = [_mm256_setzero_si256(); 2];
        for (lines, [lower, upper]) in lines.iter().zip(tables) {
            let (lower, upper) = (table(lower), table(upper));
            for (part, bytes) in bytes.iter_mut().enumerate() {
                let bits = load(&lines[block], part);
                let first = _mm256_shuffle_epi8(lower, _mm256_and_si256(bits, mask));
                let second = _mm256_shuffle_epi8(upper, _mm256_and_si256(_mm256_srli_epi16::<4>(bits), mask));
                *bytes = _mm256_add_epi8(*bytes, _mm256_add_epi8(first, second));
            }
        }
        for part in 0..2 {
            pairs[part] = _mm256_add_epi16(pairs[part], bytes[part]);
            odd[part] = _mm256_add_epi16(odd[part], _mm256_srli_epi16::<8>(bytes[part]));
        }
    }
    let out: &mut [[u16; QUARTER]; 4] = &mut out.as_chunks_mut().0.as_chunks_mut().0[0];
    for part in 0..2 {
        let even = _mm256_sub_epi16(pairs[part], _mm256_slli_epi16::<8>(odd[part]));
        // Within each 128-bit half: the rows' first eight in order, then the last eight.
        let first = _mm256_unpacklo_epi16(even, odd[part]);
        let last = _mm256_unpackhi_epi16(even, odd[part]);
        store(&mut out[2 * part], _mm256_permute2x128_si256::<0x20>(first, last));
        store(&mut out[2 * part + 1], _mm256_permute2x128_si256::<0x31>(first, last));
    }
}

/// The table in each half of a register.
#[inline]
#[target_feature(enable = "avx2")]
fn table(entries: &[u8; 16]) -> __m256i {
    // SAFETY: 16 bytes; the load needs no alignment.
    _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(entries.as_ptr().cast()) })
}

/// Half a line.
#[inline]
#[target_feature(enable = "avx2")]
fn load(line: &Line, part: usize) -> __m256i {
    let bytes: &[u8; LINE / 2] = &line.0.as_chunks().0[part];
    // SAFETY: 32 bytes at a multiple of 32: a line is aligned to 64.
    unsafe { _mm256_load_si256(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(to: &mut [u16; QUARTER], sums: __m256i) {
    // SAFETY: 16 numbers of 2 bytes; the store needs no alignment.
    unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), sums) }
}
