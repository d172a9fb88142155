//! Inner product in float64. Plain Rust: compilers make vector code of it, and no rounding depends on which.

use crate::kernels::lanes::{LANES, halved, padded};
use crate::kernels::per_isa::per_isa;

/// Inner product of two float32 slices of equal length, in float64.
///
/// # Panics
/// If the lengths differ.
#[must_use]
pub fn dot64(a: &[f32], b: &[f32]) -> f64 {
    product(a, b)
}

per_isa! {
    /// [`dot64`], compiled for an instruction set: faster, and the same bits.
    ///
    /// # Panics
    /// If the lengths differ.
    #[must_use]
    pub fn dot64_on(a: &[f32], b: &[f32]) -> f64 = product;
}

/// To be compiled into what needs it.
#[inline(always)]
pub(in crate::kernels) fn product(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len(), "width of both rows");
    let mut lanes = [0f64; LANES];
    let (a_steps, a_tail) = a.as_chunks::<LANES>();
    let (b_steps, b_tail) = b.as_chunks::<LANES>();
    for (a, b) in a_steps.iter().zip(b_steps) {
        for j in 0..LANES {
            lanes[j] += f64::from(a[j]) * f64::from(b[j]);
        }
    }
    if !a_tail.is_empty() {
        let (a, b) = (padded(a_tail), padded(b_tail));
        for j in 0..LANES {
            lanes[j] += f64::from(a[j]) * f64::from(b[j]);
        }
    }
    halved(&lanes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_exact_on_small_integers() {
        for d in 0..70u8 {
            let a: Vec<f32> = (0..d).map(f32::from).collect();
            let wanted: f64 = (0..d).map(|i| f64::from(i) * f64::from(i)).sum();
            assert_eq!(dot64(&a, &a), wanted);
        }
    }
}
