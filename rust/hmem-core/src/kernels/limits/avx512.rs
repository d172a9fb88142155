//! AVX-512: a comparison of 16 limits gives 16 bits.

use std::arch::x86_64::{_CMP_GE_OQ, _mm512_cmp_ps_mask, _mm512_loadu_ps, _mm512_set1_ps};

use super::BLOCK;
use crate::kernels::isa::Avx512;

/// Limits in a register.
const LANES: usize = 16;

pub(super) fn reaching(proof: Avx512, limits: &[f32; BLOCK], floor: f32) -> u64 {
    proof.assert_present();
    // SAFETY: `Avx512` proves that the CPU has the instructions.
    unsafe { with_avx512(limits, floor) }
}

#[target_feature(enable = "avx512f")]
fn with_avx512(limits: &[f32; BLOCK], floor: f32) -> u64 {
    let floor = _mm512_set1_ps(floor);
    limits.as_chunks::<LANES>().0.iter().enumerate().fold(0, |bits, (i, sixteen)| {
        // SAFETY: 16 numbers of 4 bytes; the load needs no alignment.
        let limits = unsafe { _mm512_loadu_ps(sixteen.as_ptr()) };
        bits | u64::from(_mm512_cmp_ps_mask::<_CMP_GE_OQ>(limits, floor)) << (LANES * i)
    })
}
