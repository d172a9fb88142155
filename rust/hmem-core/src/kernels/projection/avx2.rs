//! AVX2: sixteen lanes are one register, and eight are half of one.

use std::arch::x86_64::{
    __m128i, __m256i, _mm_add_epi16, _mm_cvtepi8_epi16, _mm_loadl_epi64, _mm_loadu_si128, _mm_mullo_epi16,
    _mm_set1_epi16, _mm_storeu_si128, _mm_sub_epi16, _mm256_add_epi16, _mm256_cvtepi8_epi16,
    _mm256_loadu_si256, _mm256_mullo_epi16, _mm256_set1_epi16, _mm256_storeu_si256, _mm256_sub_epi16,
};

use super::Projection;
use super::butterfly::{Lanes, transforms};
use crate::kernels::isa::Avx2;

pub(super) fn apply(proof: Avx2, projection: &Projection, row: &[i16], out: &mut [i16]) {
    proof.assert_present();
    // SAFETY: `Avx2` proves that the CPU has the instructions.
    unsafe { with_avx2(proof, projection, row, out) }
}

#[target_feature(enable = "avx2")]
fn with_avx2(proof: Avx2, projection: &Projection, row: &[i16], out: &mut [i16]) {
    if projection.lanes < WHOLE {
        transforms::<HALF, Half>(proof, projection, row, out);
    } else {
        transforms::<WHOLE, Whole>(proof, projection, row, out);
    }
}

/// Lanes of a register, and of half of one.
const WHOLE: usize = 16;
const HALF: usize = 8;

/// Made with a proof of Avx2 only.
#[derive(Clone, Copy)]
struct Whole(__m256i);

impl Lanes<WHOLE> for Whole {
    type Proof = Avx2;

    #[inline(always)]
    fn signs(_: Avx2, from: &[i8; WHOLE]) -> Self {
        // SAFETY: `Avx2` proves that the CPU has the instructions; WHOLE bytes, and the load needs no alignment.
        Self(unsafe { _mm256_cvtepi8_epi16(_mm_loadu_si128(from.as_ptr().cast())) })
    }

    #[inline(always)]
    fn load(_: Avx2, from: &[i16; WHOLE]) -> Self {
        // SAFETY: `Avx2` proves that the CPU has the instruction; WHOLE numbers of 2 bytes, and the load needs no alignment.
        Self(unsafe { _mm256_loadu_si256(from.as_ptr().cast()) })
    }

    #[inline(always)]
    fn store(self, to: &mut [i16; WHOLE]) {
        // SAFETY: there is a register, so there was a proof; WHOLE numbers of 2 bytes, and the store needs no alignment.
        unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), self.0) }
    }

    #[inline(always)]
    fn times(self, x: i16) -> Self {
        // SAFETY: there is a register, so there was a proof.
        Self(unsafe { _mm256_mullo_epi16(self.0, _mm256_set1_epi16(x)) })
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        // SAFETY: there is a register, so there was a proof.
        Self(unsafe { _mm256_add_epi16(self.0, other.0) })
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        // SAFETY: there is a register, so there was a proof.
        Self(unsafe { _mm256_sub_epi16(self.0, other.0) })
    }
}

/// Made with a proof of Avx2 only.
#[derive(Clone, Copy)]
struct Half(__m128i);

impl Lanes<HALF> for Half {
    type Proof = Avx2;

    #[inline(always)]
    fn signs(_: Avx2, from: &[i8; HALF]) -> Self {
        // SAFETY: `Avx2` proves that the CPU has the instructions; HALF bytes, and the load needs no alignment.
        Self(unsafe { _mm_cvtepi8_epi16(_mm_loadl_epi64(from.as_ptr().cast())) })
    }

    #[inline(always)]
    fn load(_: Avx2, from: &[i16; HALF]) -> Self {
        // SAFETY: `Avx2` proves that the CPU has the instruction; HALF numbers of 2 bytes, and the load needs no alignment.
        Self(unsafe { _mm_loadu_si128(from.as_ptr().cast()) })
    }

    #[inline(always)]
    fn store(self, to: &mut [i16; HALF]) {
        // SAFETY: there is a register, so there was a proof; HALF numbers of 2 bytes, and the store needs no alignment.
        unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), self.0) }
    }

    #[inline(always)]
    fn times(self, x: i16) -> Self {
        // SAFETY: there is a register, so there was a proof.
        Self(unsafe { _mm_mullo_epi16(self.0, _mm_set1_epi16(x)) })
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        // SAFETY: there is a register, so there was a proof.
        Self(unsafe { _mm_add_epi16(self.0, other.0) })
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        // SAFETY: there is a register, so there was a proof.
        Self(unsafe { _mm_sub_epi16(self.0, other.0) })
    }
}
