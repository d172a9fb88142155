//! AVX-512: a comparison gives one bit a limit; levels are computed 32 at a time.

use std::arch::x86_64::{
    __m512i, _CMP_GE_OQ, _mm256_max_epi16, _mm512_add_epi16, _mm512_add_ps, _mm512_and_si512,
    _mm512_castsi512_si256, _mm512_cmp_ps_mask, _mm512_cmpge_epi16_mask, _mm512_cvtepi32_ps,
    _mm512_extracti64x4_epi64, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_max_epi16, _mm512_mul_ps,
    _mm512_mulhrs_epi16, _mm512_mullo_epi16, _mm512_set1_epi16, _mm512_set1_ps, _mm512_slli_epi16,
    _mm512_storeu_si512, _mm512_sub_epi16, _mm512_sub_epi32,
};

use super::avx2::largest_of;
use super::levels::{Blocks, PerSignQuery};
use super::many::{PerLane, lanes};
use super::{LANES, PerRow};
use crate::kernels::isa::Avx512;
use crate::kernels::sign::BLOCK;

/// Levels in a register.
const HALF: usize = BLOCK / 2;

pub(super) fn reaching(proof: Avx512, limits: &[f32; BLOCK], floor: f32) -> u64 {
    proof.assert_present();
    // SAFETY: `Avx512` proves that the CPU has the instructions.
    unsafe { limits_with_avx512(limits, floor) }
}

#[target_feature(enable = "avx512f")]
fn limits_with_avx512(limits: &[f32; BLOCK], floor: f32) -> u64 {
    let floor = _mm512_set1_ps(floor);
    limits.as_chunks::<LANES>().0.iter().enumerate().fold(0, |bits, (i, sixteen)| {
        // SAFETY: 16 numbers of 4 bytes; the load needs no alignment.
        let limits = unsafe { _mm512_loadu_ps(sixteen.as_ptr()) };
        bits | u64::from(_mm512_cmp_ps_mask::<_CMP_GE_OQ>(limits, floor)) << (LANES * i)
    })
}

pub(super) fn reaching_level(proof: Avx512, levels: &[i16; BLOCK], floor: i16) -> u64 {
    proof.assert_present();
    // SAFETY: `Avx512` proves that the CPU has the instructions.
    unsafe { levels_with_avx512(levels, floor) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn levels_with_avx512(levels: &[i16; BLOCK], floor: i16) -> u64 {
    let floor = _mm512_set1_epi16(floor);
    let bits = [0, HALF].map(|at| {
        // SAFETY: 32 of 64 numbers from place 0 or 32; the load needs no alignment.
        let levels = unsafe { _mm512_loadu_si512(levels[at..].as_ptr().cast()) };
        u64::from(_mm512_cmpge_epi16_mask(levels, floor))
    });
    bits[0] | bits[1] << HALF
}

pub(super) fn reaching_levels(proof: Avx512, blocks: &[[i16; BLOCK]], floor: i16, out: &mut [u64]) {
    proof.assert_present();
    // SAFETY: `Avx512` proves that the CPU has the instructions.
    unsafe { blocks_with_avx512(blocks, floor, out) }
}

#[target_feature(enable = "avx512f,avx512bw")]
fn blocks_with_avx512(blocks: &[[i16; BLOCK]], floor: i16, out: &mut [u64]) {
    for (block, out) in blocks.iter().zip(out) {
        *out = levels_with_avx512(block, floor);
    }
}

pub(super) fn levels(proof: Avx512, blocks: Blocks<'_>, query: PerSignQuery) {
    proof.assert_present();
    // SAFETY: `Avx512` proves that the CPU has the instructions.
    unsafe { with_avx512(blocks, query) }
}

#[target_feature(enable = "avx512f,avx512bw,avx2")]
fn with_avx512(blocks: Blocks<'_>, query: PerSignQuery) {
    let middle = _mm512_set1_epi16(query.middle.cast_signed());
    let times = _mm512_set1_epi16(query.times);
    let middle_factor = _mm512_set1_epi16(query.factor);
    let factor_step = _mm512_set1_epi16(query.factor_step);
    let offset_step = _mm512_set1_epi16(query.offset_step);
    let spread_step = _mm512_set1_epi16(query.spread_step);
    let upper = _mm512_set1_epi16(!0xff);
    let Blocks { sums, offset, shape, out, largest } = blocks;
    let rows = sums.iter().zip(offset).zip(shape);
    for (((sums, offset), shape), (out, largest)) in rows.zip(out.iter_mut().zip(largest)) {
        let [first, second] = [0, HALF].map(|at| {
            let load = |numbers: *const __m512i| {
                // SAFETY: 32 of 64 numbers of 2 bytes from place 0 or 32; the load needs no alignment.
                unsafe { _mm512_loadu_si512(numbers) }
            };
            let sums = _mm512_sub_epi16(load(sums[at..].as_ptr().cast()), middle);
            let shape = load(shape[at..].as_ptr().cast());
            let more = _mm512_mulhrs_epi16(_mm512_slli_epi16::<8>(shape), factor_step);
            let factor = _mm512_add_epi16(middle_factor, more);
            let estimate = _mm512_mulhrs_epi16(_mm512_mullo_epi16(sums, times), factor);
            let centre = _mm512_mulhrs_epi16(load(offset[at..].as_ptr().cast()), offset_step);
            let reach = _mm512_mulhrs_epi16(_mm512_and_si512(shape, upper), spread_step);
            let levels = _mm512_add_epi16(_mm512_add_epi16(estimate, centre), reach);
            // SAFETY: as above; the store needs no alignment.
            unsafe { _mm512_storeu_si512(out[at..].as_mut_ptr().cast(), levels) };
            levels
        });
        let larger = _mm512_max_epi16(first, second);
        let halves = [_mm512_castsi512_si256(larger), _mm512_extracti64x4_epi64::<1>(larger)];
        *largest = largest_of(_mm256_max_epi16(halves[0], halves[1]));
    }
}

/// `width` is a multiple of 16.
pub(super) fn entering(
    proof: Avx512,
    sums: &[i32],
    width: usize,
    rows: PerRow<'_>,
    queries: &PerLane,
    out: &mut [u64],
) {
    proof.assert_present();
    // SAFETY: `Avx512` proves that the CPU has the instructions.
    unsafe { entering_with_avx512(sums, width, rows, queries, out) }
}

#[target_feature(enable = "avx512f")]
fn entering_with_avx512(sums: &[i32], width: usize, rows: PerRow<'_>, queries: &PerLane, out: &mut [u64]) {
    out.fill(0);
    for part in 0..width / LANES {
        let load = |numbers: [f32; LANES]| {
            // SAFETY: 16 numbers of 4 bytes; the load needs no alignment.
            unsafe { _mm512_loadu_ps(numbers.as_ptr()) }
        };
        let minus = lanes(&queries.minus, part);
        // SAFETY: as above.
        let minus = unsafe { _mm512_loadu_si512(minus.as_ptr().cast()) };
        let (unit, gain) = (load(lanes(&queries.unit, part)), load(lanes(&queries.gain, part)));
        let (reach, floor) = (load(lanes(&queries.reach, part)), load(lanes(&queries.floor, part)));
        let columns = rows.offset.iter().zip(rows.scale).zip(rows.error);
        for ((sums, ((&offset, &scale), &error)), out) in sums.chunks_exact(width).zip(columns).zip(&mut *out)
        {
            let sums: &[i32; LANES] = &sums.as_chunks().0[part];
            // SAFETY: as above.
            let sums = unsafe { _mm512_loadu_si512(sums.as_ptr().cast()) };
            let sums = _mm512_mul_ps(unit, _mm512_cvtepi32_ps(_mm512_sub_epi32(sums, minus)));
            let product = _mm512_mul_ps(_mm512_set1_ps(scale), sums);
            let estimate = _mm512_add_ps(_mm512_mul_ps(gain, _mm512_set1_ps(offset)), product);
            let limit = _mm512_add_ps(estimate, _mm512_mul_ps(reach, _mm512_set1_ps(error)));
            // A difference of two numbers is at least zero where the first is at least the second.
            *out |= u64::from(_mm512_cmp_ps_mask::<_CMP_GE_OQ>(limit, floor)) << (LANES * part);
        }
    }
}
