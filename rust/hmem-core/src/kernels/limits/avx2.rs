//! AVX2: a comparison of eight limits gives eight signs.

use std::arch::x86_64::{_CMP_GE_OQ, _mm256_cmp_ps, _mm256_loadu_ps, _mm256_movemask_ps, _mm256_set1_ps};

use super::BLOCK;
use crate::kernels::isa::Avx2;

/// Limits in a register.
const LANES: usize = 8;

pub(super) fn reaching(proof: Avx2, limits: &[f32; BLOCK], floor: f32) -> u64 {
    proof.assert_present();
    // SAFETY: `Avx2` proves that the CPU has the instructions.
    unsafe { with_avx2(limits, floor) }
}

#[target_feature(enable = "avx2")]
fn with_avx2(limits: &[f32; BLOCK], floor: f32) -> u64 {
    let floor = _mm256_set1_ps(floor);
    limits.as_chunks::<LANES>().0.iter().enumerate().fold(0, |bits, (i, eight)| {
        // SAFETY: 8 numbers of 4 bytes; the load needs no alignment.
        let limits = unsafe { _mm256_loadu_ps(eight.as_ptr()) };
        let signs = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GE_OQ>(limits, floor));
        bits | u64::from(signs.cast_unsigned()) << (LANES * i)
    })
}
