//! The definition.

use super::{LANES, Sixteen};

/// Sixteen numbers in an array.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct Lanes([f32; LANES]);

/// Added to a number and taken away again, it leaves no room for digits behind the point.
const NO_FRACTION: f32 = 12_582_912.0;

impl Lanes {
    #[inline(always)]
    fn each(mut self, other: Self, of: impl Fn(f32, f32) -> f32) -> Self {
        for (a, b) in self.0.iter_mut().zip(other.0) {
            *a = of(*a, b);
        }
        self
    }
}

impl Sixteen for Lanes {
    type Proof = ();

    #[inline(always)]
    fn splat((): (), number: f32) -> Self {
        Self([number; LANES])
    }

    #[inline(always)]
    fn load((): (), from: &[f32; LANES]) -> Self {
        Self(*from)
    }

    #[inline(always)]
    #[allow(clippy::cast_precision_loss, reason = "to the nearest is what is wanted")]
    fn of_integers((): (), from: &[i32; LANES]) -> Self {
        Self(from.map(|integer| integer as f32))
    }

    #[inline(always)]
    fn of_bytes((): (), from: &[i8; LANES]) -> Self {
        Self(from.map(f32::from))
    }

    #[inline(always)]
    fn store(self, to: &mut [f32; LANES]) {
        *to = self.0;
    }

    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "it lies within ±127")]
    fn store_bytes(self, to: &mut [i8; LANES]) {
        *to = self.0.map(|number| ((number + NO_FRACTION) - NO_FRACTION) as i8);
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self.each(other, |a, b| a + b)
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        self.each(other, |a, b| a - b)
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        self.each(other, |a, b| a * b)
    }

    #[inline(always)]
    fn times_plus(mut self, factor: Self, more: Self) -> Self {
        for ((a, b), c) in self.0.iter_mut().zip(factor.0).zip(more.0) {
            *a = a.mul_add(b, c);
        }
        self
    }

    #[inline(always)]
    fn or_larger(self, other: Self) -> Self {
        self.each(other, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn or_smaller(self, other: Self) -> Self {
        self.each(other, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn magnitude(self) -> Self {
        Self(self.0.map(f32::abs))
    }

    #[inline(always)]
    fn low_bits_as_exponent(self) -> Self {
        Self(self.0.map(|number| f32::from_bits(number.to_bits() << 23)))
    }
}
