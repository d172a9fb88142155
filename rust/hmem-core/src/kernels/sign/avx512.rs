//! AVX-512 with VBMI: 64 rows in a register.
//!
//! `vpermb` looks up 64 bytes in a table of 64 and takes six bits of each as its place. A table of sixteen stands in it four
//! times over, so that the upper two bits make no difference and nothing has to be masked. The two tables of a line stay in
//! registers for all four blocks of a group.
//!
//! The entries of four lines fit a byte, the sums of all need two. Two registers of 16-bit sums therefore gather them: one
//! adds the bytes as pairs, so that the even row's sum has 256 times the odd row's on top; the other adds the odd rows
//! alone. In the end the second, shifted, is taken from the first; that its 16 bits wrap does no harm.

use std::arch::x86_64::{
    __m512i, _mm_loadu_si128, _mm512_add_epi8, _mm512_add_epi16, _mm512_broadcast_i32x4, _mm512_load_si512,
    _mm512_loadu_si512, _mm512_permutex2var_epi16, _mm512_permutexvar_epi8, _mm512_setzero_si512,
    _mm512_slli_epi16, _mm512_srli_epi16, _mm512_storeu_si512, _mm512_sub_epi16,
};

use super::{BLOCK, GROUP, Line, TOGETHER, Table};
use crate::kernels::isa::Vbmi;

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

pub(super) fn sums(proof: Vbmi, groups: &[Line], tables: &[Table], out: &mut [u16]) {
    proof.assert_present();
    // SAFETY: `Vbmi` proves that the CPU has the instructions.
    unsafe { with_vbmi(groups, tables, out) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi")]
fn with_vbmi(groups: &[Line], tables: &[Table], out: &mut [u16]) {
    // SAFETY: both are 64 bytes; the loads need no alignment.
    let order = INTERLEAVED.map(|order| unsafe { _mm512_loadu_si512(order.as_ptr().cast()) });
    let (chunks_of_tables, last_tables) = tables.as_chunks::<TOGETHER>();
    for (group, out) in groups.chunks_exact(GROUP * tables.len()).zip(out.chunks_exact_mut(GROUP * BLOCK)) {
        let mut sums = [Sums { pairs: _mm512_setzero_si512(), odd: _mm512_setzero_si512() }; GROUP];
        let (lines, _) = group.as_chunks::<GROUP>();
        let (chunks_of_lines, last_lines) = lines.as_chunks::<TOGETHER>();
        for (lines, tables) in chunks_of_lines.iter().zip(chunks_of_tables) {
            add(&mut sums, lines, tables);
        }
        if !last_lines.is_empty() {
            add(&mut sums, last_lines, last_tables);
        }
        for (sums, out) in sums.iter().zip(out.as_chunks_mut::<BLOCK>().0) {
            let even = _mm512_sub_epi16(sums.pairs, _mm512_slli_epi16::<8>(sums.odd));
            for (out, order) in out.as_chunks_mut::<HALF>().0.iter_mut().zip(order) {
                let sums = _mm512_permutex2var_epi16(even, order, sums.odd);
                // SAFETY: 32 numbers of 2 bytes; the store needs no alignment.
                unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), sums) };
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Sums {
    pairs: __m512i,
    odd: __m512i,
}

/// Adds what the bits of some lines stand for, up to [`TOGETHER`] of them.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn add(sums: &mut [Sums; GROUP], lines: &[[Line; GROUP]], tables: &[Table]) {
    let mut bytes = [_mm512_setzero_si512(); GROUP];
    for (lines, [lower, upper]) in lines.iter().zip(tables) {
        let (lower, upper) = (four_times(lower), four_times(upper));
        for (bytes, line) in bytes.iter_mut().zip(lines) {
            // SAFETY: a line is 64 bytes and aligned to 64.
            let bits = unsafe { _mm512_load_si512(line.0.as_ptr().cast()) };
            let first = _mm512_permutexvar_epi8(bits, lower);
            let second = _mm512_permutexvar_epi8(_mm512_srli_epi16::<4>(bits), upper);
            *bytes = _mm512_add_epi8(*bytes, _mm512_add_epi8(first, second));
        }
    }
    for (sums, bytes) in sums.iter_mut().zip(bytes) {
        sums.pairs = _mm512_add_epi16(sums.pairs, bytes);
        sums.odd = _mm512_add_epi16(sums.odd, _mm512_srli_epi16::<8>(bytes));
    }
}

/// The table in each quarter of a register.
#[inline]
#[target_feature(enable = "avx512f")]
fn four_times(entries: &[u8; 16]) -> __m512i {
    // SAFETY: 16 bytes; the load needs no alignment.
    _mm512_broadcast_i32x4(unsafe { _mm_loadu_si128(entries.as_ptr().cast()) })
}
