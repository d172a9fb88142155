//! NEON: four registers of four.

use std::arch::aarch64::{
    float32x4_t, vabsq_f32, vaddq_f32, vbslq_f32, vcgtq_f32, vcltq_f32, vcombine_s8, vcombine_s16,
    vcvtnq_s32_f32, vcvtq_f32_s32, vdupq_n_f32, vfmaq_f32, vld1q_f32, vld1q_s32, vmovn_s16, vmovn_s32,
    vmulq_f32, vreinterpretq_f32_u32, vreinterpretq_u32_f32, vshlq_n_u32, vst1q_f32, vst1q_s8, vsubq_f32,
};

use super::{LANES, Sixteen};
use crate::kernels::isa::Neon;

/// Made with a proof of NEON only.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Registers([float32x4_t; 4]);

impl Sixteen for Registers {
    type Proof = Neon;

    #[inline(always)]
    fn splat(_: Neon, number: f32) -> Self {
        // SAFETY: `Neon` proves that the CPU has the instruction.
        Self([unsafe { vdupq_n_f32(number) }; 4])
    }

    #[inline(always)]
    fn load(_: Neon, from: &[f32; LANES]) -> Self {
        // SAFETY: as above; 16 numbers of 4 bytes.
        unsafe {
            let from = from.as_ptr();
            Self([vld1q_f32(from), vld1q_f32(from.add(4)), vld1q_f32(from.add(8)), vld1q_f32(from.add(12))])
        }
    }

    #[inline(always)]
    fn of_integers(_: Neon, from: &[i32; LANES]) -> Self {
        // SAFETY: as above; 16 integers of 4 bytes.
        unsafe {
            let from = from.as_ptr();
            Self([
                vcvtq_f32_s32(vld1q_s32(from.add(0))),
                vcvtq_f32_s32(vld1q_s32(from.add(4))),
                vcvtq_f32_s32(vld1q_s32(from.add(8))),
                vcvtq_f32_s32(vld1q_s32(from.add(12))),
            ])
        }
    }

    #[inline(always)]
    fn of_bytes(proof: Neon, from: &[i8; LANES]) -> Self {
        Self::of_integers(proof, &from.map(i32::from))
    }

    #[inline(always)]
    fn store(self, to: &mut [f32; LANES]) {
        // SAFETY: there is a register, so there was a proof. 16 numbers of 4 bytes.
        unsafe {
            let to = to.as_mut_ptr();
            vst1q_f32(to, self.0[0]);
            vst1q_f32(to.add(4), self.0[1]);
            vst1q_f32(to.add(8), self.0[2]);
            vst1q_f32(to.add(12), self.0[3]);
        }
    }

    #[inline(always)]
    fn store_bytes(self, to: &mut [i8; LANES]) {
        // SAFETY: there is a register, so there was a proof. 16 bytes.
        unsafe {
            let [a, b, c, d] = [
                vcvtnq_s32_f32(self.0[0]),
                vcvtnq_s32_f32(self.0[1]),
                vcvtnq_s32_f32(self.0[2]),
                vcvtnq_s32_f32(self.0[3]),
            ];
            let low = vmovn_s16(vcombine_s16(vmovn_s32(a), vmovn_s32(b)));
            let high = vmovn_s16(vcombine_s16(vmovn_s32(c), vmovn_s32(d)));
            vst1q_s8(to.as_mut_ptr(), vcombine_s8(low, high));
        }
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        // SAFETY: there is a register, so there was a proof.
        unsafe {
            Self([
                vaddq_f32(self.0[0], other.0[0]),
                vaddq_f32(self.0[1], other.0[1]),
                vaddq_f32(self.0[2], other.0[2]),
                vaddq_f32(self.0[3], other.0[3]),
            ])
        }
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        // SAFETY: there is a register, so there was a proof.
        unsafe {
            Self([
                vsubq_f32(self.0[0], other.0[0]),
                vsubq_f32(self.0[1], other.0[1]),
                vsubq_f32(self.0[2], other.0[2]),
                vsubq_f32(self.0[3], other.0[3]),
            ])
        }
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        // SAFETY: there is a register, so there was a proof.
        unsafe {
            Self([
                vmulq_f32(self.0[0], other.0[0]),
                vmulq_f32(self.0[1], other.0[1]),
                vmulq_f32(self.0[2], other.0[2]),
                vmulq_f32(self.0[3], other.0[3]),
            ])
        }
    }

    #[inline(always)]
    fn times_plus(self, factor: Self, more: Self) -> Self {
        // SAFETY: there is a register, so there was a proof.
        unsafe {
            Self([
                vfmaq_f32(more.0[0], self.0[0], factor.0[0]),
                vfmaq_f32(more.0[1], self.0[1], factor.0[1]),
                vfmaq_f32(more.0[2], self.0[2], factor.0[2]),
                vfmaq_f32(more.0[3], self.0[3], factor.0[3]),
            ])
        }
    }

    #[inline(always)]
    fn or_larger(self, other: Self) -> Self {
        // SAFETY: there is a register, so there was a proof.
        unsafe {
            Self([
                vbslq_f32(vcgtq_f32(self.0[0], other.0[0]), self.0[0], other.0[0]),
                vbslq_f32(vcgtq_f32(self.0[1], other.0[1]), self.0[1], other.0[1]),
                vbslq_f32(vcgtq_f32(self.0[2], other.0[2]), self.0[2], other.0[2]),
                vbslq_f32(vcgtq_f32(self.0[3], other.0[3]), self.0[3], other.0[3]),
            ])
        }
    }

    #[inline(always)]
    fn or_smaller(self, other: Self) -> Self {
        // SAFETY: there is a register, so there was a proof.
        unsafe {
            Self([
                vbslq_f32(vcltq_f32(self.0[0], other.0[0]), self.0[0], other.0[0]),
                vbslq_f32(vcltq_f32(self.0[1], other.0[1]), self.0[1], other.0[1]),
                vbslq_f32(vcltq_f32(self.0[2], other.0[2]), self.0[2], other.0[2]),
                vbslq_f32(vcltq_f32(self.0[3], other.0[3]), self.0[3], other.0[3]),
            ])
        }
    }

    #[inline(always)]
    fn magnitude(self) -> Self {
        // SAFETY: there is a register, so there was a proof.
        unsafe {
            Self([vabsq_f32(self.0[0]), vabsq_f32(self.0[1]), vabsq_f32(self.0[2]), vabsq_f32(self.0[3])])
        }
    }

    #[inline(always)]
    fn low_bits_as_exponent(self) -> Self {
        // SAFETY: there is a register, so there was a proof.
        unsafe {
            Self([
                vreinterpretq_f32_u32(vshlq_n_u32::<23>(vreinterpretq_u32_f32(self.0[0]))),
                vreinterpretq_f32_u32(vshlq_n_u32::<23>(vreinterpretq_u32_f32(self.0[1]))),
                vreinterpretq_f32_u32(vshlq_n_u32::<23>(vreinterpretq_u32_f32(self.0[2]))),
                vreinterpretq_f32_u32(vshlq_n_u32::<23>(vreinterpretq_u32_f32(self.0[3]))),
            ])
        }
    }
}
