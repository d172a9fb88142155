//! AVX-512 with VBMI: 64 rows in a register.
//!
//! `vpermb` looks up 64 bytes in a table of 64 and takes six bits of each as its place. A table of sixteen stands in it four
//! times over, so that the upper two bits make no difference and nothing has to be masked: six instructions a line.
//!
//! The entries of two lines fit a byte, the sums of all need two. Two registers of 16-bit sums therefore gather them: one
//! adds the bytes as pairs, so that the even row's sum has 256 times the odd row's on top; the other adds the odd rows
//! alone. In the end the second, shifted, is taken from the first; that its 16 bits wrap does no harm. Registers for
//! several blocks would not help: a single stream of lines is what the memory's prefetcher follows best.

use std::arch::x86_64::{
    __m512i, _mm_loadu_si128, _mm512_add_epi8, _mm512_add_epi16, _mm512_broadcast_i32x4, _mm512_load_si512,
    _mm512_loadu_si512, _mm512_permutex2var_epi16, _mm512_permutexvar_epi8, _mm512_setzero_si512,
    _mm512_slli_epi16, _mm512_srli_epi16, _mm512_storeu_si512, _mm512_sub_epi16,
};

use super::{BLOCK, Line, Table};
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

pub(super) fn sums(proof: Vbmi, blocks: &[Line], tables: &[Table], out: &mut [u16]) {
    proof.assert_present();
    // SAFETY: `Vbmi` proves that the CPU has the instructions.
    unsafe { with_vbmi(blocks, tables, out) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi")]
fn with_vbmi(blocks: &[Line], tables: &[Table], out: &mut [u16]) {
    if tables.is_empty() {
        out.fill(0);
        return;
    }
    // SAFETY: both are 64 bytes; the loads need no alignment.
    let order = INTERLEAVED.map(|order| unsafe { _mm512_loadu_si512(order.as_ptr().cast()) });
    let (pairs_of_tables, last_table) = tables.as_chunks::<2>();
    for (block, out) in blocks.chunks_exact(tables.len()).zip(out.as_chunks_mut::<BLOCK>().0) {
        let mut sums = Sums { pairs: _mm512_setzero_si512(), odd: _mm512_setzero_si512() };
        let (pairs_of_lines, last_line) = block.as_chunks::<2>();
        for ([a, b], [of_a, of_b]) in pairs_of_lines.iter().zip(pairs_of_tables) {
            sums.add(_mm512_add_epi8(look_up(a, of_a), look_up(b, of_b)));
        }
        if let ([line], [table]) = (last_line, last_table) {
            sums.add(look_up(line, table));
        }
        let even = _mm512_sub_epi16(sums.pairs, _mm512_slli_epi16::<8>(sums.odd));
        for (out, order) in out.as_chunks_mut::<HALF>().0.iter_mut().zip(order) {
            let sums = _mm512_permutex2var_epi16(even, order, sums.odd);
            // SAFETY: 32 numbers of 2 bytes; the store needs no alignment.
            unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), sums) };
        }
    }
}

struct Sums {
    pairs: __m512i,
    odd: __m512i,
}

impl Sums {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn add(&mut self, bytes: __m512i) {
        self.pairs = _mm512_add_epi16(self.pairs, bytes);
        self.odd = _mm512_add_epi16(self.odd, _mm512_srli_epi16::<8>(bytes));
    }
}

/// What the bits of each byte stand for.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn look_up(line: &Line, [lower, upper]: &Table) -> __m512i {
    // SAFETY: a line is 64 bytes and aligned to 64.
    let bits = unsafe { _mm512_load_si512(line.0.as_ptr().cast()) };
    let first = _mm512_permutexvar_epi8(bits, four_times(lower));
    let second = _mm512_permutexvar_epi8(_mm512_srli_epi16::<4>(bits), four_times(upper));
    _mm512_add_epi8(first, second)
}

/// The table in each quarter of a register.
#[inline]
#[target_feature(enable = "avx512f")]
fn four_times(entries: &[u8; 16]) -> __m512i {
    // SAFETY: 16 bytes; the load needs no alignment.
    _mm512_broadcast_i32x4(unsafe { _mm_loadu_si128(entries.as_ptr().cast()) })
}
