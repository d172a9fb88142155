//! Rows of a given length, or of a given mean and deviation.

use super::{lanes, lanes_mut};
use crate::kernels::sixteen::{LANES, Sixteen, for_each_isa};

for_each_isa! {
    /// Layer normalisation of a row in place: mean 0 and deviation 1 (`epsilon` is added to the variance), times `gamma`, plus `beta`.
    ///
    /// J. Ba, J. Kiros, G. Hinton, "Layer normalization", 2016.
    pub fn normalise(row: &mut [f32], gamma: &[f32], beta: &[f32], epsilon: f32) = normalise_row;
}

#[inline(always)]
#[allow(clippy::cast_precision_loss, reason = "widths are below 2^24")]
fn normalise_row<S: Sixteen>(proof: S::Proof, row: &mut [f32], gamma: &[f32], beta: &[f32], epsilon: f32) {
    let count = row.len() as f32;
    let mut sum = S::splat(proof, 0.0);
    for numbers in lanes(row) {
        sum = sum.plus(S::load(proof, numbers));
    }
    let mean = S::splat(proof, sum.sum() / count);
    let mut squares = S::splat(proof, 0.0);
    for numbers in lanes(row) {
        let off = S::load(proof, numbers).minus(mean);
        squares = off.times_plus(off, squares);
    }
    let factor = S::splat(proof, 1.0 / (squares.sum() / count + epsilon).sqrt());
    for ((numbers, gamma), beta) in lanes_mut(row).iter_mut().zip(lanes(gamma)).zip(lanes(beta)) {
        let off = S::load(proof, numbers).minus(mean).times(factor);
        off.times_plus(S::load(proof, gamma), S::load(proof, beta)).store(numbers);
    }
}

/// Rows shorter than that have no direction.
const NOTHING: f32 = 1e-12;

for_each_isa! {
    /// A row of unit length with the direction of `row`; zeros where that is (nearly) zero.
    pub fn unit(row: &[f32], out: &mut [f32]) = unit_row;
}

#[inline(always)]
fn unit_row<S: Sixteen>(proof: S::Proof, row: &[f32], out: &mut [f32]) {
    let mut squares = S::splat(proof, 0.0);
    for numbers in lanes(row) {
        let numbers = S::load(proof, numbers);
        squares = numbers.times_plus(numbers, squares);
    }
    let length = squares.sum().sqrt();
    let factor = S::splat(proof, if length < NOTHING { 0.0 } else { 1.0 / length });
    for (numbers, out) in lanes(row).iter().zip(out.as_chunks_mut::<LANES>().0) {
        S::load(proof, numbers).times(factor).store(out);
    }
}
