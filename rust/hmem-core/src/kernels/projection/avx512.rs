//! AVX-512: thirty-two lanes are one register.

use std::arch::x86_64::{
    __m512i, _mm256_loadu_si256, _mm512_add_epi16, _mm512_cvtepi8_epi16, _mm512_loadu_si512,
    _mm512_mullo_epi16, _mm512_set1_epi16, _mm512_storeu_si512, _mm512_sub_epi16,
};

use super::butterfly::{Lanes, transforms};
use super::{MOST_LANES, Projection};
use crate::kernels::isa::Avx512;

pub(super) fn apply(proof: Avx512, projection: &Projection, row: &[i16], out: &mut [i16]) {
    proof.assert_present();
    // SAFETY: `Avx512` proves that the CPU has the instructions.
    unsafe { with_avx512(proof, projection, row, out) }
}

#[target_feature(enable = "avx512f,avx512bw")]
fn with_avx512(proof: Avx512, projection: &Projection, row: &[i16], out: &mut [i16]) {
    transforms::<MOST_LANES, Register>(proof, projection, row, out);
}

/// Made with a proof of Avx512 only.
#[derive(Clone, Copy)]
struct Register(__m512i);

impl Lanes<MOST_LANES> for Register {
    type Proof = Avx512;

    #[inline(always)]
    fn signs(_: Avx512, from: &[i8; MOST_LANES]) -> Self {
        // SAFETY: `Avx512` proves that the CPU has the instructions; MOST_LANES bytes, and the load needs no alignment.
        Self(unsafe { _mm512_cvtepi8_epi16(_mm256_loadu_si256(from.as_ptr().cast())) })
    }

    #[inline(always)]
    fn load(_: Avx512, from: &[i16; MOST_LANES]) -> Self {
        // SAFETY: `Avx512` proves that the CPU has the instruction; MOST_LANES numbers of 2 bytes, and the load needs no alignment.
        Self(unsafe { _mm512_loadu_si512(from.as_ptr().cast()) })
    }

    #[inline(always)]
    fn store(self, to: &mut [i16; MOST_LANES]) {
        // SAFETY: there is a register, so there was a proof; MOST_LANES numbers of 2 bytes, and the store needs no alignment.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), self.0) }
    }

    #[inline(always)]
    fn times(self, x: i16) -> Self {
        // SAFETY: there is a register, so there was a proof.
        Self(unsafe { _mm512_mullo_epi16(self.0, _mm512_set1_epi16(x)) })
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        // SAFETY: there is a register, so there was a proof.
        Self(unsafe { _mm512_add_epi16(self.0, other.0) })
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        // SAFETY: there is a register, so there was a proof.
        Self(unsafe { _mm512_sub_epi16(self.0, other.0) })
    }
}
