//! NEON: eight lanes are one register.

use std::arch::aarch64::{
    int16x8_t, vaddq_s16, vld1_s8, vld1q_s16, vmovl_s8, vmulq_n_s16, vst1q_s16, vsubq_s16,
};

use super::butterfly::{Lanes, transforms};
use super::{LEAST_LANES, Projection};
use crate::kernels::isa::Neon;

pub(super) fn apply(proof: Neon, projection: &Projection, row: &[i16], out: &mut [i16]) {
    proof.assert_present();
    // SAFETY: `Neon` proves that the CPU has the instructions.
    unsafe { with_neon(proof, projection, row, out) }
}

#[target_feature(enable = "neon")]
fn with_neon(proof: Neon, projection: &Projection, row: &[i16], out: &mut [i16]) {
    transforms::<LEAST_LANES, Register>(proof, projection, row, out);
}

/// Made with a proof of Neon only.
#[derive(Clone, Copy)]
struct Register(int16x8_t);

impl Lanes<LEAST_LANES> for Register {
    type Proof = Neon;

    #[inline(always)]
    fn signs(_: Neon, from: &[i8; LEAST_LANES]) -> Self {
        // SAFETY: `Neon` proves that the CPU has the instructions; LEAST_LANES bytes, and the load needs no alignment.
        Self(unsafe { vmovl_s8(vld1_s8(from.as_ptr())) })
    }

    #[inline(always)]
    fn load(_: Neon, from: &[i16; LEAST_LANES]) -> Self {
        // SAFETY: `Neon` proves that the CPU has the instruction; LEAST_LANES numbers of 2 bytes, and the load needs no alignment.
        Self(unsafe { vld1q_s16(from.as_ptr()) })
    }

    #[inline(always)]
    fn store(self, to: &mut [i16; LEAST_LANES]) {
        // SAFETY: there is a register, so there was a proof; LEAST_LANES numbers of 2 bytes, and the store needs no alignment.
        unsafe { vst1q_s16(to.as_mut_ptr(), self.0) }
    }

    #[inline(always)]
    fn times(self, x: i16) -> Self {
        // SAFETY: there is a register, so there was a proof.
        Self(unsafe { vmulq_n_s16(self.0, x) })
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        // SAFETY: there is a register, so there was a proof.
        Self(unsafe { vaddq_s16(self.0, other.0) })
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        // SAFETY: there is a register, so there was a proof.
        Self(unsafe { vsubq_s16(self.0, other.0) })
    }
}
