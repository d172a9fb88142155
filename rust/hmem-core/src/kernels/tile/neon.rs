//! NEON: one instruction multiplies eight pairs of bytes into 16 bits, another one adds these by twos into 32.
//!
//! Both bytes must be signed, so a code `c` goes in as `c - 128`, and `128·Σq` is added in the end. A product is then at most
//! `128·127`, and two of them fit 16 bits: two quads of numbers gather there before they are widened. A tile is [`ROWS`]
//! rows and 16 queries: 16 of the 32 registers hold sums, two for each row and four queries.
//!
//! There are instructions that multiply and add four bytes at once, but the oldest Rust that we allow does not offer them.

use std::arch::aarch64::{
    int8x16_t, int32x4_t, vaddq_s32, vdupq_n_s8, vdupq_n_s32, veorq_s8, vget_low_s8, vld1q_s8, vmlal_high_s8,
    vmlal_s8, vmull_high_s8, vmull_s8, vpadalq_s16, vpaddlq_s8, vpaddq_s32, vreinterpretq_s8_s32,
    vshlq_n_s32, vst1q_s32,
};

use super::{LANES, LINE, Lanes, Line, QUAD};
use crate::kernels::isa::Neon;
use crate::kernels::line::SignedLine;

const ROWS: usize = 2;

/// Registers a line, and queries in a register.
const QUARTER: usize = 4;

/// A number for each of 16 queries.
type Sixteen = [int32x4_t; QUARTER];

pub(super) fn sums(proof: Neon, rows: &[Line], lines_per_row: usize, queries: &[Lanes], out: &mut [i32]) {
    proof.assert_present();
    // SAFETY: `Neon` proves that the CPU has the instructions.
    unsafe { with_neon(rows, lines_per_row, queries, out) }
}

#[target_feature(enable = "neon")]
fn with_neon(rows: &[Line], lines_per_row: usize, queries: &[Lanes], out: &mut [i32]) {
    if lines_per_row == 0 {
        return;
    }
    let stride = queries.len() * LANES;
    for (group, lanes) in queries.iter().enumerate() {
        let missing = missing(lanes);
        for (tile, out) in rows.chunks(ROWS * lines_per_row).zip(out.chunks_mut(ROWS * stride)) {
            let out = (out, group * LANES, stride);
            match tile.len() / lines_per_row {
                1 => tile_sums::<1>(tile, lines_per_row, lanes, missing, out),
                _ => tile_sums::<ROWS>(tile, lines_per_row, lanes, missing, out),
            }
        }
    }
}

/// `128·Σq` of each query.
#[inline]
#[target_feature(enable = "neon")]
fn missing(lanes: &Lanes) -> Sixteen {
    let mut sums = [vdupq_n_s32(0); QUARTER];
    for line in &lanes.0 {
        for (part, sum) in sums.iter_mut().enumerate() {
            *sum = vpadalq_s16(*sum, vpaddlq_s8(quarter(line, part)));
        }
    }
    sums.map(|sum| vshlq_n_s32::<7>(sum))
}

/// Sums of `R` rows with 16 queries. Those of a row stand `stride` behind those of the row before, the first ones at `at`.
#[inline]
#[target_feature(enable = "neon")]
fn tile_sums<const R: usize>(
    rows: &[Line],
    lines_per_row: usize,
    lanes: &Lanes,
    missing: Sixteen,
    (out, at, stride): (&mut [i32], usize, usize),
) {
    let quads = lines_per_row * (LINE / QUAD);
    assert!(rows.len() == R * lines_per_row && lanes.0.len() == quads, "width of rows and queries");
    let rows: [*const i32; R] = std::array::from_fn(|r| rows[r * lines_per_row..].as_ptr().cast());
    let mut sums = [[[vdupq_n_s32(0); 2]; QUARTER]; R];
    for (pair, lines) in lanes.0.as_chunks::<2>().0.iter().enumerate() {
        let codes: [[int8x16_t; 2]; R] = std::array::from_fn(|r| {
            // SAFETY: a row is `quads` times four bytes, an even number of quads, aligned to 64.
            [0, 1].map(|i| less_128(unsafe { rows[r].add(2 * pair + i).read() }))
        });
        for part in 0..QUARTER {
            let [q, p] = [quarter(&lines[0], part), quarter(&lines[1], part)];
            for (sums, [c, b]) in sums.iter_mut().zip(codes) {
                let low = vmlal_s8(vmull_s8(vget_low_s8(c), vget_low_s8(q)), vget_low_s8(b), vget_low_s8(p));
                let high = vmlal_high_s8(vmull_high_s8(c, q), b, p);
                let [of_low, of_high] = &mut sums[part];
                *of_low = vpadalq_s16(*of_low, low);
                *of_high = vpadalq_s16(*of_high, high);
            }
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        let out = &mut out[at + r * stride..][..LANES];
        for ((&[low, high], missing), out) in sums.iter().zip(missing).zip(out.as_chunks_mut::<QUARTER>().0) {
            let sum = vaddq_s32(vpaddq_s32(low, high), missing);
            // SAFETY: 4 numbers of 4 bytes; the store needs no alignment.
            unsafe { vst1q_s32(out.as_mut_ptr(), sum) };
        }
    }
}

/// Four codes, each less 128, in each of four places.
#[inline]
#[target_feature(enable = "neon")]
fn less_128(codes: i32) -> int8x16_t {
    veorq_s8(vreinterpretq_s8_s32(vdupq_n_s32(codes)), vdupq_n_s8(i8::MIN))
}

/// The numbers of four queries.
#[inline]
#[target_feature(enable = "neon")]
fn quarter(line: &SignedLine, part: usize) -> int8x16_t {
    let bytes: &[i8; LINE / QUARTER] = &line.0.as_chunks().0[part];
    // SAFETY: 16 bytes; the load needs no alignment.
    unsafe { vld1q_s8(bytes.as_ptr()) }
}
