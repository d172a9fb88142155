//! AVX2: one instruction multiplies four numbers of a row with those of 8 queries and adds them by twos, into 16 bits;
//! another one adds the twos into 32 bits.
//!
//! Two products are at most `2·255·64 = 32640`: there is no room for more, so each pair is widened at once. A tile is
//! [`ROWS`] rows and 16 queries: 8 registers of sums leave enough of the 16 for what is on the way. The two multipliers
//! are busy all the time; six loads for each 16 multiplications do not hold them up.

use std::arch::x86_64::{
    _mm256_add_epi32, _mm256_load_si256, _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_set1_epi16,
    _mm256_set1_epi32, _mm256_setzero_si256, _mm256_storeu_si256,
};

use super::{LANES, LINE, Lanes, Line, QUAD};
use crate::kernels::isa::Avx2;

const ROWS: usize = 4;

/// Queries in a register.
const HALF: usize = LANES / 2;

pub(super) fn sums(proof: Avx2, rows: &[Line], lines_per_row: usize, queries: &[Lanes], out: &mut [i32]) {
    proof.assert_present();
    // SAFETY: `Avx2` proves that the CPU has the instructions.
    unsafe { with_avx2(rows, lines_per_row, queries, out) }
}

#[target_feature(enable = "avx2")]
fn with_avx2(rows: &[Line], lines_per_row: usize, queries: &[Lanes], out: &mut [i32]) {
    if lines_per_row == 0 {
        return;
    }
    let outs = out.chunks_mut(ROWS * queries.len() * LANES);
    for (tile, out) in rows.chunks(ROWS * lines_per_row).zip(outs) {
        for (group, lanes) in queries.iter().enumerate() {
            let out = (&mut *out, group * LANES, queries.len() * LANES);
            match tile.len() / lines_per_row {
                1 => tile_sums::<1>(tile, lines_per_row, lanes, out),
                2 => tile_sums::<2>(tile, lines_per_row, lanes, out),
                3 => tile_sums::<3>(tile, lines_per_row, lanes, out),
                _ => tile_sums::<ROWS>(tile, lines_per_row, lanes, out),
            }
        }
    }
}

/// Sums of `R` rows with 16 queries. Those of a row stand `stride` behind those of the row before, the first ones at `at`.
#[inline]
#[target_feature(enable = "avx2")]
fn tile_sums<const R: usize>(
    rows: &[Line],
    lines_per_row: usize,
    lanes: &Lanes,
    (out, at, stride): (&mut [i32], usize, usize),
) {
    let quads = lines_per_row * (LINE / QUAD);
    assert!(rows.len() == R * lines_per_row && lanes.0.len() == quads, "width of rows and queries");
    let rows: [*const i32; R] = std::array::from_fn(|r| rows[r * lines_per_row..].as_ptr().cast());
    let ones = _mm256_set1_epi16(1);
    let mut sums = [[_mm256_setzero_si256(); 2]; R];
    for (quad, line) in lanes.0.iter().enumerate() {
        let halves: &[[i8; LINE / 2]; 2] = line.0.as_chunks().0.try_into().expect("two halves");
        for r in 0..R {
            // SAFETY: a row is `quads` times four bytes, aligned to 64.
            let codes = _mm256_set1_epi32(unsafe { rows[r].add(quad).read() });
            for (sum, half) in sums[r].iter_mut().zip(halves) {
                // SAFETY: 32 bytes at a multiple of 32: a line is aligned to 64.
                let numbers = unsafe { _mm256_load_si256(half.as_ptr().cast()) };
                let twos = _mm256_maddubs_epi16(codes, numbers);
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(twos, ones));
            }
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        let out = &mut out[at + r * stride..][..LANES];
        for (sum, out) in sums.iter().zip(out.as_chunks_mut::<HALF>().0) {
            // SAFETY: 8 numbers of 4 bytes; the store needs no alignment.
            unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), *sum) };
        }
    }
}
