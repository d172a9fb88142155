//! NEON: one instruction multiplies eight pairs of bytes and adds them to eight 16-bit sums.
//!
//! A product is at most `15·127 = 1905`, so that the 16 products which a step adds to each sum stay below 2¹⁵. They gather
//! in two registers, so that additions wait less for each other, and are widened once a step. Four rows are in flight, and
//! a piece of the query is loaded once for all of them.
//!
//! There are instructions that multiply and add four bytes at once, but the oldest Rust that we allow does not offer them.

use std::arch::aarch64::{
    int8x16_t, int16x8_t, int32x4_t, vaddq_s16, vaddq_s32, vaddvq_s32, vandq_u8, vdupq_n_s16, vdupq_n_s32,
    vdupq_n_u8, vget_low_s8, vld1q_s8, vld1q_u8, vmlal_high_s8, vmlal_s8, vpadalq_s16, vreinterpretq_s8_u8,
    vshlq_n_s32, vshrq_n_u8,
};

use super::{Line, Planes, SignedLine, Step};
use crate::kernels::isa::Neon;
use crate::kernels::line::LINE;

/// Rows in flight.
const ROWS: usize = 4;

/// Bytes in a register.
const QUARTER: usize = LINE / 4;

pub(super) fn dot_rows(proof: Neon, rows: &[Line], query: &[Step], out: &mut [i32]) {
    proof.assert_present();
    // SAFETY: `Neon` proves that the CPU has the instructions.
    unsafe { with_neon(rows, query, out) }
}

pub(super) fn dot_chosen(proof: Neon, rows: &[Line], chosen: &[u32], query: &[Step], out: &mut [i32]) {
    proof.assert_present();
    // SAFETY: as above.
    unsafe { chosen_with_neon(rows, chosen, query, out) }
}

pub(super) fn dot_codes(
    proof: Neon,
    planes: Planes<'_>,
    chosen: &[u32],
    query: [&[Step]; 2],
    out: &mut [i32],
) {
    proof.assert_present();
    // SAFETY: as above.
    unsafe { codes_with_neon(planes, chosen, query, out) }
}

#[target_feature(enable = "neon")]
fn with_neon(rows: &[Line], query: &[Step], out: &mut [i32]) {
    let steps = query.len();
    if steps == 0 {
        out.fill(0);
        return;
    }
    let mut blocks = rows.chunks_exact(ROWS * steps);
    let (outs, rest) = out.as_chunks_mut::<ROWS>();
    for (block, out) in blocks.by_ref().zip(outs) {
        let (first, second) = block.split_at(2 * steps);
        let ((a, b), (c, d)) = (first.split_at(steps), second.split_at(steps));
        let sums = dot([a, b, c, d], [query]);
        for (sum, out) in sums.as_flattened().iter().zip(out) {
            *out = vaddvq_s32(*sum);
        }
    }
    for (row, out) in blocks.remainder().chunks_exact(steps).zip(rest) {
        let [[sums]] = dot([row], [query]);
        *out = vaddvq_s32(sums);
    }
}

#[target_feature(enable = "neon")]
fn chosen_with_neon(rows: &[Line], chosen: &[u32], query: &[Step], out: &mut [i32]) {
    let steps = query.len();
    let of = |row: u32| &rows[row as usize * steps..(row as usize + 1) * steps];
    let (fours, last) = chosen.as_chunks::<ROWS>();
    let (outs, last_out) = out.as_chunks_mut::<ROWS>();
    for (four, out) in fours.iter().zip(outs) {
        let sums = dot(four.map(of), [query]);
        *out = sums.map(|[sums]| vaddvq_s32(sums));
    }
    for (&row, out) in last.iter().zip(last_out) {
        let [[sums]] = dot([of(row)], [query]);
        *out = vaddvq_s32(sums);
    }
}

#[target_feature(enable = "neon")]
fn codes_with_neon(planes: Planes<'_>, chosen: &[u32], query: [&[Step]; 2], out: &mut [i32]) {
    let steps = planes.steps;
    for (&row, out) in chosen.iter().zip(out) {
        let at = row as usize * steps;
        let [high, low] = dot([&planes.high[at..at + steps], &planes.low[at..at + steps]], query);
        let of_a = vaddq_s32(vshlq_n_s32::<4>(high[0]), low[0]);
        let of_b = vaddq_s32(vshlq_n_s32::<4>(high[1]), low[1]);
        *out = vaddvq_s32(vaddq_s32(vshlq_n_s32::<7>(of_a), of_b));
    }
}

/// Four partial sums of the products of each row with each query.
#[inline]
#[target_feature(enable = "neon")]
fn dot<const R: usize, const Q: usize>(rows: [&[Line]; R], queries: [&[Step]; Q]) -> [[int32x4_t; Q]; R] {
    let mut sums = [[vdupq_n_s32(0); Q]; R];
    for step in 0..queries[0].len() {
        let mut products = [[[vdupq_n_s16(0); 2]; Q]; R];
        for part in 0..4 {
            for (row, products) in rows.iter().zip(&mut products) {
                let numbers = halves(&row[step], part);
                for (query, products) in queries.iter().zip(products) {
                    for half in 0..2 {
                        let query = signed(&query[step][half], part);
                        products[half] = multiply_add(products[half], numbers[half], query);
                    }
                }
            }
        }
        for (sum, [first, second]) in sums.as_flattened_mut().iter_mut().zip(products.as_flattened()) {
            *sum = vpadalq_s16(*sum, vaddq_s16(*first, *second));
        }
    }
    sums
}

#[inline]
#[target_feature(enable = "neon")]
fn multiply_add(sums: int16x8_t, a: int8x16_t, b: int8x16_t) -> int16x8_t {
    vmlal_high_s8(vmlal_s8(sums, vget_low_s8(a), vget_low_s8(b)), a, b)
}

/// The numbers in the lower and in the upper four bits of each byte of a quarter of a line.
#[inline]
#[target_feature(enable = "neon")]
fn halves(line: &Line, part: usize) -> [int8x16_t; 2] {
    let bytes: &[u8; QUARTER] = &line.0.as_chunks().0[part];
    // SAFETY: 16 bytes; the load needs no alignment.
    let bytes = unsafe { vld1q_u8(bytes.as_ptr()) };
    let (first, second) = (vandq_u8(bytes, vdupq_n_u8(15)), vshrq_n_u8::<4>(bytes));
    [vreinterpretq_s8_u8(first), vreinterpretq_s8_u8(second)]
}

#[inline]
#[target_feature(enable = "neon")]
fn signed(line: &SignedLine, part: usize) -> int8x16_t {
    let bytes: &[i8; QUARTER] = &line.0.as_chunks().0[part];
    // SAFETY: as above.
    unsafe { vld1q_s8(bytes.as_ptr()) }
}
