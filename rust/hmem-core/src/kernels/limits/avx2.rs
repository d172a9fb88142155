//! AVX2: comparisons give signs, which are gathered as bits; levels are computed 16 at a time.

use std::arch::x86_64::{
    __m256i, _CMP_GE_OQ, _mm_cvtsi128_si32, _mm_max_epi16, _mm_minpos_epu16, _mm_set1_epi16, _mm_xor_si128,
    _mm256_add_epi16, _mm256_and_si256, _mm256_castsi256_si128, _mm256_cmp_ps, _mm256_cmpgt_epi16,
    _mm256_extracti128_si256, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_max_epi16, _mm256_movemask_epi8,
    _mm256_movemask_ps, _mm256_mulhrs_epi16, _mm256_mullo_epi16, _mm256_packs_epi16,
    _mm256_permute4x64_epi64, _mm256_set1_epi16, _mm256_set1_ps, _mm256_slli_epi16, _mm256_storeu_si256,
    _mm256_sub_epi16,
};

use super::levels::{Blocks, PerSignQuery};
use crate::kernels::isa::Avx2;
use crate::kernels::sign::BLOCK;

/// Limits in a register.
const LANES: usize = 8;

/// Levels in a register.
const QUARTER: usize = BLOCK / 4;

pub(super) fn reaching(proof: Avx2, limits: &[f32; BLOCK], floor: f32) -> u64 {
    proof.assert_present();
    // SAFETY: `Avx2` proves that the CPU has the instructions.
    unsafe { limits_with_avx2(limits, floor) }
}

#[target_feature(enable = "avx2")]
fn limits_with_avx2(limits: &[f32; BLOCK], floor: f32) -> u64 {
    let floor = _mm256_set1_ps(floor);
    limits.as_chunks::<LANES>().0.iter().enumerate().fold(0, |bits, (i, eight)| {
        // SAFETY: 8 numbers of 4 bytes; the load needs no alignment.
        let limits = unsafe { _mm256_loadu_ps(eight.as_ptr()) };
        let signs = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GE_OQ>(limits, floor));
        bits | u64::from(signs.cast_unsigned()) << (LANES * i)
    })
}

pub(super) fn reaching_level(proof: Avx2, levels: &[i16; BLOCK], floor: i16) -> u64 {
    proof.assert_present();
    // SAFETY: `Avx2` proves that the CPU has the instructions.
    unsafe { levels_with_avx2(levels, floor) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn levels_with_avx2(levels: &[i16; BLOCK], floor: i16) -> u64 {
    let floor = _mm256_set1_epi16(floor);
    let below = |at: usize| {
        // SAFETY: 16 of 64 numbers of 2 bytes from place 0, 16, 32 or 48; the load needs no alignment.
        let levels = unsafe { _mm256_loadu_si256(levels[at..].as_ptr().cast()) };
        _mm256_cmpgt_epi16(floor, levels)
    };
    let bits = [0, 2 * QUARTER].map(|at| {
        // Packing puts eight of each register in turn.
        let packed = _mm256_packs_epi16(below(at), below(at + QUARTER));
        let below = _mm256_movemask_epi8(_mm256_permute4x64_epi64::<0b11_01_10_00>(packed));
        u64::from(!below.cast_unsigned())
    });
    bits[0] | bits[1] << (2 * QUARTER)
}

pub(super) fn reaching_levels(proof: Avx2, blocks: &[[i16; BLOCK]], floor: i16, out: &mut [u64]) {
    proof.assert_present();
    // SAFETY: `Avx2` proves that the CPU has the instructions.
    unsafe { blocks_with_avx2(blocks, floor, out) }
}

#[target_feature(enable = "avx2")]
fn blocks_with_avx2(blocks: &[[i16; BLOCK]], floor: i16, out: &mut [u64]) {
    for (block, out) in blocks.iter().zip(out) {
        *out = levels_with_avx2(block, floor);
    }
}

pub(super) fn levels(proof: Avx2, blocks: Blocks<'_>, query: PerSignQuery) {
    proof.assert_present();
    // SAFETY: `Avx2` proves that the CPU has the instructions.
    unsafe { with_avx2(blocks, query) }
}

#[target_feature(enable = "avx2")]
fn with_avx2(blocks: Blocks<'_>, query: PerSignQuery) {
    let middle = _mm256_set1_epi16(query.middle.cast_signed());
    let times = _mm256_set1_epi16(query.times);
    let middle_factor = _mm256_set1_epi16(query.factor);
    let factor_step = _mm256_set1_epi16(query.factor_step);
    let offset_step = _mm256_set1_epi16(query.offset_step);
    let spread_step = _mm256_set1_epi16(query.spread_step);
    let upper = _mm256_set1_epi16(!0xff);
    let Blocks { sums, offset, shape, out, largest } = blocks;
    let rows = sums.iter().zip(offset).zip(shape);
    for (((sums, offset), shape), (out, largest)) in rows.zip(out.iter_mut().zip(largest)) {
        let [a, b, c, d] = [0, QUARTER, 2 * QUARTER, 3 * QUARTER].map(|at| {
            let load = |numbers: *const __m256i| {
                // SAFETY: 16 of 64 numbers of 2 bytes from place 0, 16, 32 or 48; the load needs no alignment.
                unsafe { _mm256_loadu_si256(numbers) }
            };
            let sums = _mm256_sub_epi16(load(sums[at..].as_ptr().cast()), middle);
            let shape = load(shape[at..].as_ptr().cast());
            let more = _mm256_mulhrs_epi16(_mm256_slli_epi16::<8>(shape), factor_step);
            let factor = _mm256_add_epi16(middle_factor, more);
            let estimate = _mm256_mulhrs_epi16(_mm256_mullo_epi16(sums, times), factor);
            let centre = _mm256_mulhrs_epi16(load(offset[at..].as_ptr().cast()), offset_step);
            let reach = _mm256_mulhrs_epi16(_mm256_and_si256(shape, upper), spread_step);
            let levels = _mm256_add_epi16(_mm256_add_epi16(estimate, centre), reach);
            // SAFETY: as above; the store needs no alignment.
            unsafe { _mm256_storeu_si256(out[at..].as_mut_ptr().cast(), levels) };
            levels
        });
        *largest = largest_of(_mm256_max_epi16(_mm256_max_epi16(a, b), _mm256_max_epi16(c, d)));
    }
}

/// The largest of 16 levels.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn largest_of(levels: __m256i) -> i16 {
    let eight = _mm_max_epi16(_mm256_castsi256_si128(levels), _mm256_extracti128_si256::<1>(levels));
    // There is an instruction for the least of eight numbers without signs: turned around, the largest is the least.
    let turn = _mm_set1_epi16(i16::MAX);
    let least = _mm_cvtsi128_si32(_mm_minpos_epu16(_mm_xor_si128(eight, turn)));
    #[allow(clippy::cast_possible_truncation, reason = "the number stands in the lower half")]
    let least = least as i16;
    least ^ i16::MAX
}
