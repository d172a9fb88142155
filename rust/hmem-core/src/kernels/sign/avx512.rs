//! AVX-512: 64 rows in a register.
//!
//! Sums of two table entries fit a byte, sums over many lines need two. Two registers of 16-bit sums therefore gather
//! them: one adds the bytes as pairs, so that the even row's sum has 256 times the odd row's on top; the other adds the
//! odd rows alone. In the end the second, shifted, is taken from the first. That is one instruction less a line than
//! widening both, and the wrap of 16 bits does no harm. The registers of several blocks do not help: a single stream
//! of lines is what the memory's prefetcher follows best.

use std::arch::x86_64::{
    __m512i, _mm_loadu_si128, _mm512_add_epi8, _mm512_add_epi16, _mm512_and_si512, _mm512_broadcast_i32x4,
    _mm512_load_si512, _mm512_permutex2var_epi16, _mm512_set1_epi8, _mm512_setzero_si512,
    _mm512_shuffle_epi8, _mm512_slli_epi16, _mm512_srli_epi16, _mm512_storeu_si512, _mm512_sub_epi16,
};

use super::{BLOCK, Line, Table};
use crate::kernels::isa::Avx512;

/// Sums in a register.
const HALF: usize = BLOCK / 2;

/// For [`_mm512_permutex2var_epi16`]: number `i` of the first register is row `2·i`, of the second row `2·i + 1`.
const INTERLEAVED: [[u16; HALF]; 2] = interleaved();

const fn interleaved() -> [[u16; HALF]; 2] {
    let mut order = [[0; HALF]; 2];
    let mut row = 0;
    while row < BLOCK {
        #[allow(clippy::cast_possible_truncation, reason = "row numbers below 64")]
        let (row_half, odd) = (row as u16 / 2, row as u16 % 2);
        order[row / HALF][row % HALF] = row_half + 32 * odd;
        row += 1;
    }
    order
}

pub(super) fn sums(proof: Avx512, blocks: &[Line], tables: &[Table], out: &mut [u16]) {
    proof.assert_present();
    // SAFETY: `Avx512` proves that the CPU has the instructions.
    unsafe { with_avx512(blocks, tables, out) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn with_avx512(blocks: &[Line], tables: &[Table], out: &mut [u16]) {
    if tables.is_empty() {
        out.fill(0);
        return;
    }
    let mask = _mm512_set1_epi8(15);
    // SAFETY: both are 64 bytes; the loads need no alignment.
    let order =
        INTERLEAVED.map(|order| unsafe { std::arch::x86_64::_mm512_loadu_si512(order.as_ptr().cast()) });
    for (block, out) in blocks.chunks_exact(tables.len()).zip(out.as_chunks_mut::<BLOCK>().0) {
        let (mut pairs, mut odd) = (_mm512_setzero_si512(), _mm512_setzero_si512());
        for (line, [lower, upper]) in block.iter().zip(tables) {
            // SAFETY: a line is 64 bytes and aligned to 64.
            let bits = unsafe { _mm512_load_si512(line.0.as_ptr().cast()) };
            let first = _mm512_shuffle_epi8(table(lower), _mm512_and_si512(bits, mask));
            let second =
                _mm512_shuffle_epi8(table(upper), _mm512_and_si512(_mm512_srli_epi16::<4>(bits), mask));
            let both = _mm512_add_epi8(first, second);
            pairs = _mm512_add_epi16(pairs, both);
            odd = _mm512_add_epi16(odd, _mm512_srli_epi16::<8>(both));
        }
        let even = _mm512_sub_epi16(pairs, _mm512_slli_epi16::<8>(odd));
        for (out, order) in out.as_chunks_mut::<HALF>().0.iter_mut().zip(order) {
            let sums = _mm512_permutex2var_epi16(even, order, odd);
            // SAFETY: 32 numbers of 2 bytes; the store needs no alignment.
            unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), sums) };
        }
    }
}

/// The table in each quarter of a register.
#[inline]
#[target_feature(enable = "avx512f")]
fn table(entries: &[u8; 16]) -> __m512i {
    // SAFETY: 16 bytes; the load needs no alignment.
    _mm512_broadcast_i32x4(unsafe { _mm_loadu_si128(entries.as_ptr().cast()) })
}
