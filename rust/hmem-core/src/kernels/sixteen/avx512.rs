//! AVX-512: one register.

use std::arch::x86_64::{
    __m512, _mm_loadu_si128, _mm_storeu_si128, _mm512_abs_ps, _mm512_add_ps, _mm512_castps_si512,
    _mm512_castsi512_ps, _mm512_cvtepi8_epi32, _mm512_cvtepi32_epi8, _mm512_cvtepi32_ps, _mm512_cvtps_epi32,
    _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_max_ps, _mm512_min_ps, _mm512_mul_ps,
    _mm512_set1_ps, _mm512_slli_epi32, _mm512_storeu_ps, _mm512_sub_ps,
};

use super::{LANES, Sixteen};
use crate::kernels::isa::Avx512;

/// Made with a proof of AVX-512 only.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Register(__m512);

impl Sixteen for Register {
    type Proof = Avx512;

    #[inline(always)]
    fn splat(_: Avx512, number: f32) -> Self {
        // SAFETY: `Avx512` proves that the CPU has the instruction.
        Self(unsafe { _mm512_set1_ps(number) })
    }

    #[inline(always)]
    fn load(_: Avx512, from: &[f32; LANES]) -> Self {
        // SAFETY: as above; 16 numbers of 4 bytes, and the load needs no alignment.
        Self(unsafe { _mm512_loadu_ps(from.as_ptr()) })
    }

    #[inline(always)]
    fn of_integers(_: Avx512, from: &[i32; LANES]) -> Self {
        // SAFETY: as above; 16 integers of 4 bytes.
        Self(unsafe { _mm512_cvtepi32_ps(_mm512_loadu_si512(from.as_ptr().cast())) })
    }

    #[inline(always)]
    fn of_bytes(_: Avx512, from: &[i8; LANES]) -> Self {
        // SAFETY: as above; 16 bytes.
        Self(unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(from.as_ptr().cast()))) })
    }

    #[inline(always)]
    fn store(self, to: &mut [f32; LANES]) {
        // SAFETY: there is a register, so there was a proof. 16 numbers of 4 bytes.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), self.0) }
    }

    #[inline(always)]
    fn store_bytes(self, to: &mut [i8; LANES]) {
        // SAFETY: there is a register, so there was a proof. 16 bytes.
        unsafe {
            let bytes = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(self.0));
            _mm_storeu_si128(to.as_mut_ptr().cast(), bytes);
        }
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        // SAFETY: there is a register, so there was a proof.
        Self(unsafe { _mm512_add_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        // SAFETY: there is a register, so there was a proof.
        Self(unsafe { _mm512_sub_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        // SAFETY: there is a register, so there was a proof.
        Self(unsafe { _mm512_mul_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn or_larger(self, other: Self) -> Self {
        // SAFETY: there is a register, so there was a proof.
        Self(unsafe { _mm512_max_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn or_smaller(self, other: Self) -> Self {
        // SAFETY: there is a register, so there was a proof.
        Self(unsafe { _mm512_min_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn times_plus(self, factor: Self, more: Self) -> Self {
        // SAFETY: there is a register, so there was a proof.
        Self(unsafe { _mm512_fmadd_ps(self.0, factor.0, more.0) })
    }

    #[inline(always)]
    fn magnitude(self) -> Self {
        // SAFETY: there is a register, so there was a proof.
        Self(unsafe { _mm512_abs_ps(self.0) })
    }

    #[inline(always)]
    fn low_bits_as_exponent(self) -> Self {
        // SAFETY: there is a register, so there was a proof.
        Self(unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<23>(_mm512_castps_si512(self.0))) })
    }
}
