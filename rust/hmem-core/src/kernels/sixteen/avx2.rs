//! AVX2 and FMA: two registers of eight.

use std::arch::x86_64::{
    __m256, __m256i, _mm_loadu_si128, _mm_packs_epi16, _mm_srli_si128, _mm_storeu_si128, _mm256_add_ps,
    _mm256_andnot_ps, _mm256_castps_si256, _mm256_castsi256_ps, _mm256_castsi256_si128, _mm256_cvtepi8_epi32,
    _mm256_cvtepi32_ps, _mm256_cvtps_epi32, _mm256_extracti128_si256, _mm256_fmadd_ps, _mm256_loadu_ps,
    _mm256_loadu_si256, _mm256_max_ps, _mm256_min_ps, _mm256_mul_ps, _mm256_packs_epi32,
    _mm256_permute4x64_epi64, _mm256_set1_ps, _mm256_slli_epi32, _mm256_storeu_ps, _mm256_sub_ps,
};

use super::{LANES, Sixteen};
use crate::kernels::isa::Avx2;

/// Made with a proof of AVX2 and FMA only.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Registers([__m256; 2]);

/// The bits of each number, moved up by 23.
///
/// # Safety
/// The CPU has AVX2.
#[inline(always)]
unsafe fn moved_up(numbers: __m256) -> __m256 {
    // SAFETY: as the caller promises.
    unsafe { _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_castps_si256(numbers))) }
}

impl Sixteen for Registers {
    type Proof = Avx2;

    #[inline(always)]
    fn splat(_: Avx2, number: f32) -> Self {
        // SAFETY: `Avx2` proves that the CPU has the instruction.
        Self([unsafe { _mm256_set1_ps(number) }; 2])
    }

    #[inline(always)]
    fn load(_: Avx2, from: &[f32; LANES]) -> Self {
        // SAFETY: as above; 16 numbers of 4 bytes, and the loads need no alignment.
        unsafe {
            let from = from.as_ptr();
            Self([_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))])
        }
    }

    #[inline(always)]
    fn of_integers(_: Avx2, from: &[i32; LANES]) -> Self {
        // SAFETY: as above; 16 integers of 4 bytes.
        unsafe {
            let from: *const __m256i = from.as_ptr().cast();
            Self([
                _mm256_cvtepi32_ps(_mm256_loadu_si256(from)),
                _mm256_cvtepi32_ps(_mm256_loadu_si256(from.add(1))),
            ])
        }
    }

    #[inline(always)]
    fn of_bytes(_: Avx2, from: &[i8; LANES]) -> Self {
        // SAFETY: as above; 16 bytes.
        unsafe {
            let bytes = _mm_loadu_si128(from.as_ptr().cast());
            let upper = _mm_srli_si128::<8>(bytes);
            Self([
                _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)),
                _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(upper)),
            ])
        }
    }

    #[inline(always)]
    fn store(self, to: &mut [f32; LANES]) {
        // SAFETY: there is a register, so there was a proof. 16 numbers of 4 bytes.
        unsafe {
            let to = to.as_mut_ptr();
            _mm256_storeu_ps(to, self.0[0]);
            _mm256_storeu_ps(to.add(8), self.0[1]);
        }
    }

    #[inline(always)]
    fn store_bytes(self, to: &mut [i8; LANES]) {
        // SAFETY: there is a register, so there was a proof. 16 bytes.
        unsafe {
            let words = _mm256_packs_epi32(_mm256_cvtps_epi32(self.0[0]), _mm256_cvtps_epi32(self.0[1]));
            // Halves of registers were packed side by side: 0 to 3, 8 to 11, 4 to 7, 12 to 15.
            let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(words);
            let bytes = _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
            _mm_storeu_si128(to.as_mut_ptr().cast(), bytes);
        }
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        let ([a, b], [c, d]) = (self.0, other.0);
        // SAFETY: there is a register, so there was a proof.
        Self(unsafe { [_mm256_add_ps(a, c), _mm256_add_ps(b, d)] })
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        let ([a, b], [c, d]) = (self.0, other.0);
        // SAFETY: there is a register, so there was a proof.
        Self(unsafe { [_mm256_sub_ps(a, c), _mm256_sub_ps(b, d)] })
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        let ([a, b], [c, d]) = (self.0, other.0);
        // SAFETY: there is a register, so there was a proof.
        Self(unsafe { [_mm256_mul_ps(a, c), _mm256_mul_ps(b, d)] })
    }

    #[inline(always)]
    fn or_larger(self, other: Self) -> Self {
        let ([a, b], [c, d]) = (self.0, other.0);
        // SAFETY: there is a register, so there was a proof.
        Self(unsafe { [_mm256_max_ps(a, c), _mm256_max_ps(b, d)] })
    }

    #[inline(always)]
    fn or_smaller(self, other: Self) -> Self {
        let ([a, b], [c, d]) = (self.0, other.0);
        // SAFETY: there is a register, so there was a proof.
        Self(unsafe { [_mm256_min_ps(a, c), _mm256_min_ps(b, d)] })
    }

    #[inline(always)]
    fn times_plus(self, factor: Self, more: Self) -> Self {
        // SAFETY: there is a register, so there was a proof.
        Self(unsafe {
            [
                _mm256_fmadd_ps(self.0[0], factor.0[0], more.0[0]),
                _mm256_fmadd_ps(self.0[1], factor.0[1], more.0[1]),
            ]
        })
    }

    #[inline(always)]
    fn magnitude(self) -> Self {
        // SAFETY: there is a register, so there was a proof.
        unsafe {
            let sign = _mm256_set1_ps(-0.0);
            Self([_mm256_andnot_ps(sign, self.0[0]), _mm256_andnot_ps(sign, self.0[1])])
        }
    }

    #[inline(always)]
    fn low_bits_as_exponent(self) -> Self {
        // SAFETY: there is a register, so there was a proof.
        Self(unsafe { [moved_up(self.0[0]), moved_up(self.0[1])] })
    }
}
