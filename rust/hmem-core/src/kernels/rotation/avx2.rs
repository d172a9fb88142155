//! AVX2 and FMA: eight numbers are one register.

use std::arch::x86_64::{
    __m256, _mm256_add_ps, _mm256_castsi256_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_loadu_si256,
    _mm256_mul_ps, _mm256_permute_ps, _mm256_permute2f128_ps, _mm256_set1_ps, _mm256_setr_ps,
    _mm256_storeu_ps, _mm256_sub_ps, _mm256_xor_ps,
};

use super::Rotation;
use super::butterfly::{Group, round};
use crate::kernels::isa::Avx2;

pub(super) fn rounds(proof: Avx2, rotation: &Rotation, row: &mut [f32]) {
    proof.assert_present();
    // SAFETY: `Avx2` proves that the CPU has the instructions.
    unsafe { with_avx2(proof, rotation, row) }
}

#[target_feature(enable = "avx2,fma")]
fn with_avx2(proof: Avx2, rotation: &Rotation, row: &mut [f32]) {
    rotation.each_round(row, |row, flips| round::<LANES, Register>(proof, row, flips, rotation.factor));
}

/// Numbers in registers.
const LANES: usize = 8;

/// Made with a proof of AVX2 and FMA only. All is compiled into [`with_avx2`].
#[derive(Clone, Copy)]
struct Register(__m256);

impl Group<LANES> for Register {
    type Proof = Avx2;

    #[inline(always)]
    fn load(_: Avx2, from: &[f32; LANES]) -> Self {
        // SAFETY: `Avx2` proves that the CPU has the instruction; 8 numbers of 4 bytes, and the load needs no alignment.
        Self(unsafe { _mm256_loadu_ps(from.as_ptr()) })
    }

    #[inline(always)]
    fn store(self, to: &mut [f32; LANES]) {
        // SAFETY: there is a register, so there was a proof; 8 numbers of 4 bytes, and the store needs no alignment.
        unsafe { _mm256_storeu_ps(to.as_mut_ptr(), self.0) }
    }

    #[inline(always)]
    fn flipped(self, bits: &[u32; LANES]) -> Self {
        // SAFETY: there is a register, so there was a proof; 8 numbers of 4 bytes, and the load needs no alignment.
        Self(unsafe { _mm256_xor_ps(self.0, _mm256_castsi256_ps(_mm256_loadu_si256(bits.as_ptr().cast()))) })
    }

    #[inline(always)]
    fn times(self, factor: f32) -> Self {
        // SAFETY: there is a register, so there was a proof.
        Self(unsafe { _mm256_mul_ps(self.0, _mm256_set1_ps(factor)) })
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        // SAFETY: there is a register, so there was a proof.
        Self(unsafe { _mm256_add_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        // SAFETY: there is a register, so there was a proof.
        Self(unsafe { _mm256_sub_ps(self.0, other.0) })
    }

    /// A number times one or minus one is exact, so one rounding is left: that of the sum or the difference.
    #[inline(always)]
    fn transformed(self) -> Self {
        // SAFETY: there is a register, so there was a proof.
        Self(unsafe {
            let signs = _mm256_setr_ps(1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0);
            let x = _mm256_fmadd_ps(self.0, signs, _mm256_permute_ps::<0b10_11_00_01>(self.0));
            let signs = _mm256_setr_ps(1.0, 1.0, -1.0, -1.0, 1.0, 1.0, -1.0, -1.0);
            let x = _mm256_fmadd_ps(x, signs, _mm256_permute_ps::<0b01_00_11_10>(x));
            let signs = _mm256_setr_ps(1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0, -1.0);
            _mm256_fmadd_ps(x, signs, _mm256_permute2f128_ps::<1>(x, x))
        })
    }
}
