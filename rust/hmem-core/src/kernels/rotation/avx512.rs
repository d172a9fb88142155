//! AVX-512: sixteen numbers are one register.

use std::arch::x86_64::{
    __m512, _mm512_add_ps, _mm512_castsi512_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_loadu_si512,
    _mm512_mask_blend_ps, _mm512_mul_ps, _mm512_permute_ps, _mm512_set1_ps, _mm512_shuffle_f32x4,
    _mm512_storeu_ps, _mm512_sub_ps, _mm512_xor_ps,
};

use super::Rotation;
use super::butterfly::{Group, round};
use crate::kernels::isa::Avx512;

pub(super) fn rounds(proof: Avx512, rotation: &Rotation, row: &mut [f32]) {
    proof.assert_present();
    // SAFETY: `Avx512` proves that the CPU has the instructions.
    unsafe { with_avx512(proof, rotation, row) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")]
fn with_avx512(proof: Avx512, rotation: &Rotation, row: &mut [f32]) {
    rotation.each_round(row, |row, flips| round::<LANES, Register>(proof, row, flips, rotation.factor));
}

/// Numbers in registers.
const LANES: usize = 16;

/// Made with a proof of AVX-512 only. All is compiled into [`with_avx512`].
#[derive(Clone, Copy)]
struct Register(__m512);

impl Group<LANES> for Register {
    type Proof = Avx512;

    #[inline(always)]
    fn load(_: Avx512, from: &[f32; LANES]) -> Self {
        // SAFETY: `Avx512` proves that the CPU has the instruction; 16 numbers of 4 bytes, and the load needs no alignment.
        Self(unsafe { _mm512_loadu_ps(from.as_ptr()) })
    }

    #[inline(always)]
    fn store(self, to: &mut [f32; LANES]) {
        // SAFETY: there is a register, so there was a proof; 16 numbers of 4 bytes, and the store needs no alignment.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), self.0) }
    }

    #[inline(always)]
    fn flipped(self, bits: &[u32; LANES]) -> Self {
        // SAFETY: there is a register, so there was a proof; 16 numbers of 4 bytes, and the load needs no alignment.
        Self(unsafe { _mm512_xor_ps(self.0, _mm512_castsi512_ps(_mm512_loadu_si512(bits.as_ptr().cast()))) })
    }

    #[inline(always)]
    fn times(self, factor: f32) -> Self {
        // SAFETY: there is a register, so there was a proof.
        Self(unsafe { _mm512_mul_ps(self.0, _mm512_set1_ps(factor)) })
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

    /// A number times one or minus one is exact, so one rounding is left: that of the sum or the difference.
    #[inline(always)]
    fn transformed(self) -> Self {
        // SAFETY: there is a register, so there was a proof.
        Self(unsafe {
            let signs = |bits: u16| {
                // Numbers whose bit is set are subtracted.
                _mm512_mask_blend_ps(bits, _mm512_set1_ps(1.0), _mm512_set1_ps(-1.0))
            };
            let x = self.0;
            let x = _mm512_fmadd_ps(x, signs(0xAAAA), _mm512_permute_ps::<0b10_11_00_01>(x));
            let x = _mm512_fmadd_ps(x, signs(0xCCCC), _mm512_permute_ps::<0b01_00_11_10>(x));
            let x = _mm512_fmadd_ps(x, signs(0xF0F0), _mm512_shuffle_f32x4::<0b10_11_00_01>(x, x));
            _mm512_fmadd_ps(x, signs(0xFF00), _mm512_shuffle_f32x4::<0b01_00_11_10>(x, x))
        })
    }
}
