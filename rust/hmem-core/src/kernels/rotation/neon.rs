//! NEON: eight numbers are two registers.

use std::arch::aarch64::{
    float32x4_t, vaddq_f32, veorq_u32, vextq_f32, vfmaq_f32, vld1q_f32, vld1q_u32, vmulq_n_f32,
    vreinterpretq_f32_u32, vreinterpretq_u32_f32, vrev64q_f32, vst1q_f32, vsubq_f32,
};

use super::Rotation;
use super::butterfly::{Group, round};
use crate::kernels::isa::Neon;

pub(super) fn rounds(proof: Neon, rotation: &Rotation, row: &mut [f32]) {
    proof.assert_present();
    // SAFETY: `Neon` proves that the CPU has the instructions.
    unsafe { with_neon(proof, rotation, row) }
}

#[target_feature(enable = "neon")]
fn with_neon(proof: Neon, rotation: &Rotation, row: &mut [f32]) {
    rotation.each_round(row, |row, flips| round::<LANES, Registers>(proof, row, flips, rotation.factor));
}

/// Numbers in registers.
const LANES: usize = 8;

/// Made with a proof of NEON only. All is compiled into [`with_neon`].
#[derive(Clone, Copy)]
struct Registers(float32x4_t, float32x4_t);

/// Places of one register.
const HALF: usize = LANES / 2;

impl Group<LANES> for Registers {
    type Proof = Neon;

    #[inline(always)]
    fn load(_: Neon, from: &[f32; LANES]) -> Self {
        let (first, last) = (&from[..HALF], &from[HALF..]);
        // SAFETY: `Neon` proves that the CPU has the instruction; 4 numbers of 4 bytes each, and loads need no alignment.
        unsafe { Self(vld1q_f32(first.as_ptr()), vld1q_f32(last.as_ptr())) }
    }

    #[inline(always)]
    fn store(self, to: &mut [f32; LANES]) {
        let (first, last) = to.split_at_mut(HALF);
        // SAFETY: there are registers, so there was a proof; 4 numbers of 4 bytes each, and stores need no alignment.
        unsafe {
            vst1q_f32(first.as_mut_ptr(), self.0);
            vst1q_f32(last.as_mut_ptr(), self.1);
        }
    }

    #[inline(always)]
    fn flipped(self, bits: &[u32; LANES]) -> Self {
        let (first, last) = (&bits[..HALF], &bits[HALF..]);
        // SAFETY: there are registers, so there was a proof; 4 numbers of 4 bytes each, and loads need no alignment.
        unsafe {
            Self(
                vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(self.0), vld1q_u32(first.as_ptr()))),
                vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(self.1), vld1q_u32(last.as_ptr()))),
            )
        }
    }

    #[inline(always)]
    fn times(self, factor: f32) -> Self {
        // SAFETY: there are registers, so there was a proof.
        unsafe { Self(vmulq_n_f32(self.0, factor), vmulq_n_f32(self.1, factor)) }
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        // SAFETY: there are registers, so there was a proof.
        unsafe { Self(vaddq_f32(self.0, other.0), vaddq_f32(self.1, other.1)) }
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        // SAFETY: there are registers, so there was a proof.
        unsafe { Self(vsubq_f32(self.0, other.0), vsubq_f32(self.1, other.1)) }
    }

    #[inline(always)]
    fn transformed(self) -> Self {
        let (first, last) = (near(self.0), near(self.1));
        // SAFETY: there are registers, so there was a proof.
        unsafe { Self(vaddq_f32(first, last), vsubq_f32(first, last)) }
    }
}

/// The levels of numbers 1 and 2 places apart, of a part of [`Registers`]. A number times one or minus one is exact, so one
/// rounding is left: that of the sum or the difference.
#[inline(always)]
fn near(x: float32x4_t) -> float32x4_t {
    let signs: [[f32; HALF]; 2] = [[1.0, -1.0, 1.0, -1.0], [1.0, 1.0, -1.0, -1.0]];
    // SAFETY: there are registers, so there was a proof; 4 numbers of 4 bytes each, and loads need no alignment.
    unsafe {
        let x = vfmaq_f32(vrev64q_f32(x), x, vld1q_f32(signs[0].as_ptr()));
        vfmaq_f32(vextq_f32::<2>(x, x), x, vld1q_f32(signs[1].as_ptr()))
    }
}
