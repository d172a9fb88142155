//! `eˣ` in float64, and the logarithm of sums of it.
//!
//! Plain Rust: compilers make vector code of it, and no rounding depends on which. Sums run in [`LANES`] lanes that are [`halved`] in
//! the end; places behind the last number hold −∞, whose power is too small to change a sum that holds a 1.

use super::lanes::{LANES, halved};
use super::per_isa::per_isa;

/// `exp(x)` for `x` up to 0, to a relative error of 2·10⁻¹⁴; below −700 it stays what it is there.
#[inline(always)]
pub(crate) fn exp(x: f64) -> f64 {
    /// Added and taken away, it leaves a number rounded to an integer, which meanwhile stands in the lowest bits.
    const SHIFT: f64 = 6_755_399_441_055_744.0;
    /// The upper bits of `ln 2`: its product with an integer of ten bits is exact.
    const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    let x = x.max(-700.0);
    let shifted = x * std::f64::consts::LOG2_E + SHIFT;
    let twos = shifted - SHIFT;
    let r = (x - twos * LN_2_HIGH) - twos * LN_2_LOW;
    // Taylor's series; |r| ≤ 0.35, so that the first term left out is below 10⁻¹⁴.
    let term = |n: usize| INVERSE_FACTORIALS[n] + r * INVERSE_FACTORIALS[n + 1];
    let (square, fourth) = (r * r, r * r * (r * r));
    let low = term(0) + square * term(2);
    let middle = term(4) + square * term(6);
    let high = term(8) + square * term(10);
    let series = low + fourth * (middle + fourth * high);
    let exponent = shifted.to_bits().wrapping_sub(SHIFT.to_bits()).wrapping_add(1023);
    series * f64::from_bits(exponent << 52)
}

/// `1 / n!`
const INVERSE_FACTORIALS: [f64; 12] = {
    let mut inverse = [1.0; 12];
    let mut n = 1;
    while n < inverse.len() {
        inverse[n] = inverse[n - 1] / n as f64;
        n += 1;
    }
    inverse
};

per_isa! {
    /// `(1/beta) · ln Σ exp(beta · s)`. −∞ where no score is above it; with `beta = ∞` the largest score. Scores must be below ∞
    /// and not NaN, `beta` above 0.
    ///
    /// Error: 10⁻¹³ / beta and an ulp of the largest score.
    #[must_use]
    pub fn log_sum_exp(scores: &[f64], beta: f64) -> f64 = log_sum;
}

per_isa! {
    /// As [`log_sum_exp`], for each group `scores[bounds[i]..bounds[i + 1]]`.
    ///
    /// # Panics
    /// If the bounds do not fit the scores, or `out` has not one place a group.
    pub fn log_sums_exp(scores: &[f32], bounds: &[usize], beta: f64, out: &mut [f64]) = log_sums;
}

per_isa! {
    /// As [`log_sums_exp`], with the mean in place of the sum: over the scores of a group that are above −∞.
    ///
    /// # Panics
    /// If the bounds do not fit the scores, or `out` has not one place a group.
    pub fn log_means_exp(scores: &[f32], bounds: &[usize], beta: f64, out: &mut [f64]) = log_means;
}

#[inline(always)]
fn log_sums(scores: &[f32], bounds: &[usize], beta: f64, out: &mut [f64]) {
    assert_eq!(bounds.len(), out.len() + 1, "one place a group");
    for (out, pair) in out.iter_mut().zip(bounds.windows(2)) {
        *out = log_sum(&scores[pair[0]..pair[1]], beta);
    }
}

#[inline(always)]
fn log_means(scores: &[f32], bounds: &[usize], beta: f64, out: &mut [f64]) {
    log_sums(scores, bounds, beta, out);
    for (out, pair) in out.iter_mut().zip(bounds.windows(2)) {
        let count = scores[pair[0]..pair[1]].iter().filter(|&&score| score > f32::NEG_INFINITY).count();
        if count > 1 {
            *out -= libm::log(count as f64) / beta;
        }
    }
}

#[inline(always)]
fn log_sum<T: Copy + Into<f64>>(scores: &[T], beta: f64) -> f64 {
    let (steps, tail) = scores.as_chunks::<LANES>();
    let mut last = [f64::NEG_INFINITY; LANES];
    for (last, &score) in last.iter_mut().zip(tail) {
        *last = score.into();
    }
    let mut largest = last;
    for step in steps {
        for j in 0..LANES {
            let score: f64 = step[j].into();
            largest[j] = if score > largest[j] { score } else { largest[j] };
        }
    }
    let mut most = largest[0];
    for &lane in &largest[1..] {
        most = if lane > most { lane } else { most };
    }
    if most == f64::NEG_INFINITY || beta == f64::INFINITY {
        return most;
    }
    let mut sums = [0.0; LANES];
    for step in steps {
        for j in 0..LANES {
            sums[j] += exp(beta * (step[j].into() - most));
        }
    }
    if !tail.is_empty() {
        for j in 0..LANES {
            sums[j] += exp(beta * (last[j] - most));
        }
    }
    let sum = halved(&sums);
    most + if sum == 1.0 { 0.0 } else { libm::log(sum) / beta }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::isa::Isa;
    use proptest::prelude::*;

    fn definition(scores: &[f64], beta: f64) -> f64 {
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if largest == f64::NEG_INFINITY {
            return largest;
        }
        largest
            + libm::log(scores.iter().map(|score| libm::exp(beta * (score - largest))).sum::<f64>()) / beta
    }

    proptest! {
        #[test]
        fn it_is_close_to_the_exponential(x in -699f64..=0.0) {
            prop_assert!((exp(x) / x.exp() - 1.0).abs() < 2e-14);
        }

        #[test]
        fn every_variant_gives_the_bits_of_the_definition_within_the_bound(
            scores in prop::collection::vec(prop_oneof![8 => -4f32..4.0, 1 => Just(f32::NEG_INFINITY)], 0..70),
            cut in 0usize..70,
            beta in prop_oneof![1e-3f64..1e4, Just(f64::INFINITY)],
        ) {
            let cut = cut.min(scores.len());
            let bounds = [0, cut, cut, scores.len()];
            let (mut sums, mut means) = ([0.0; 3], [0.0; 3]);
            log_sums_exp(Isa::Scalar, &scores, &bounds, beta, &mut sums);
            log_means_exp(Isa::Scalar, &scores, &bounds, beta, &mut means);
            for isa in Isa::available() {
                let (mut again, mut means_again) = ([f64::NAN; 3], [f64::NAN; 3]);
                log_sums_exp(isa, &scores, &bounds, beta, &mut again);
                log_means_exp(isa, &scores, &bounds, beta, &mut means_again);
                prop_assert_eq!(again.map(f64::to_bits), sums.map(f64::to_bits));
                prop_assert_eq!(means_again.map(f64::to_bits), means.map(f64::to_bits));
                let wide: Vec<f64> = scores[..cut].iter().map(|&score| score.into()).collect();
                prop_assert_eq!(log_sum_exp(isa, &wide, beta).to_bits(), sums[0].to_bits());
            }
            for (pair, (sum, mean)) in bounds.windows(2).zip(sums.into_iter().zip(means)) {
                let group: Vec<f64> = scores[pair[0]..pair[1]].iter().map(|&score| score.into()).collect();
                let wanted = definition(&group, beta);
                prop_assert!(beta == f64::INFINITY || sum == wanted || (sum - wanted).abs() <= 1e-13 / beta + 1e-15);
                let count = group.iter().filter(|&&score| score > f64::NEG_INFINITY).count().max(1) as f64;
                let wanted = sum - libm::log(count) / beta;
                prop_assert!(mean == wanted || (mean - wanted).abs() <= 1e-15 / beta);
            }
        }
    }

    #[test]
    fn ends_of_the_exponential() {
        assert_eq!(exp(0.0), 1.0);
        assert!((0.0..1e-300).contains(&exp(-1e9)) && exp(f64::NEG_INFINITY) < 1e-300);
    }
}
