//! AVX-512 with VNNI: four numbers of a row times those of 16 queries in one instruction.
//!
//! A tile is [`ROWS`] rows and up to 64 queries: 24 registers of sums, four of queries, and one for the row's four numbers,
//! sent to all lanes. For 24 multiplications there are ten loads, so the multiplier never waits for them; and the
//! queries of a tile, 24 KiB at a width of 384, stay in the nearest cache while rows stream by.

use std::arch::x86_64::{
    __m512i, _mm512_dpbusd_epi32, _mm512_load_si512, _mm512_set1_epi32, _mm512_setzero_si512,
    _mm512_storeu_si512,
};

use super::{LANES, LINE, Lanes, Line, QUAD};
use crate::kernels::isa::Vnni;

const ROWS: usize = 6;

pub(super) fn sums(_: Vnni, rows: &[Line], lines_per_row: usize, queries: &[Lanes], out: &mut [i32]) {
    // SAFETY: `Vnni` proves that the CPU has the instructions.
    unsafe {
        match queries {
            [a] => with_vnni(rows, lines_per_row, [a], out),
            [a, b] => with_vnni(rows, lines_per_row, [a, b], out),
            [a, b, c] => with_vnni(rows, lines_per_row, [a, b, c], out),
            [a, b, c, d] => with_vnni(rows, lines_per_row, [a, b, c, d], out),
            _ => unreachable!("one to four groups"),
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
fn with_vnni<const G: usize>(rows: &[Line], lines_per_row: usize, queries: [&Lanes; G], out: &mut [i32]) {
    if lines_per_row == 0 {
        return;
    }
    let mut tiles = rows.chunks_exact(ROWS * lines_per_row);
    let mut outs = out.chunks_exact_mut(ROWS * G * LANES);
    for (tile, out) in tiles.by_ref().zip(outs.by_ref()) {
        tile_sums::<ROWS, G>(tile, lines_per_row, queries, out);
    }
    let (rows, out) = (tiles.remainder(), outs.into_remainder());
    match rows.len() / lines_per_row {
        0 => {}
        1 => tile_sums::<1, G>(rows, lines_per_row, queries, out),
        2 => tile_sums::<2, G>(rows, lines_per_row, queries, out),
        3 => tile_sums::<3, G>(rows, lines_per_row, queries, out),
        4 => tile_sums::<4, G>(rows, lines_per_row, queries, out),
        _ => tile_sums::<5, G>(rows, lines_per_row, queries, out),
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
fn tile_sums<const R: usize, const G: usize>(
    rows: &[Line],
    lines_per_row: usize,
    queries: [&Lanes; G],
    out: &mut [i32],
) {
    let quads = lines_per_row * (LINE / QUAD);
    assert!(rows.len() == R * lines_per_row && out.len() == R * G * LANES, "a tile");
    assert!(queries.iter().all(|lanes| lanes.0.len() == quads), "width of rows and queries");
    let rows: [*const i32; R] = std::array::from_fn(|r| rows[r * lines_per_row..].as_ptr().cast());
    let mut sums = [[_mm512_setzero_si512(); G]; R];
    for quad in 0..quads {
        let mut numbers = [_mm512_setzero_si512(); G];
        for g in 0..G {
            // SAFETY: quad is below the number of lines, and a line is 64 bytes and aligned to 64.
            numbers[g] = unsafe { _mm512_load_si512(queries[g].0.as_ptr().add(quad).cast()) };
        }
        for r in 0..R {
            // SAFETY: a row is `quads` times four bytes, aligned to 64.
            let codes: __m512i = _mm512_set1_epi32(unsafe { rows[r].add(quad).read() });
            for g in 0..G {
                sums[r][g] = _mm512_dpbusd_epi32(sums[r][g], codes, numbers[g]);
            }
        }
    }
    for (sums, out) in sums.as_flattened().iter().zip(out.as_chunks_mut::<LANES>().0) {
        // SAFETY: 16 numbers of 4 bytes; the store needs no alignment.
        unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), *sums) };
    }
}
