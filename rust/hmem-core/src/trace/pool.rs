//! Energies in a hurry: for limits, and for moments, where the last bits do not matter.

use crate::kernels::exp::exp;

/// Nearly [`energy`](crate::attractor::energy), within [`margin`], at a fraction of its time; the same bits on every platform.
#[must_use]
pub(super) fn quick_energy(scores: &[f64], beta: f64) -> f64 {
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if scores.len() < 2 || largest == f64::NEG_INFINITY || beta == f64::INFINITY {
        return largest;
    }
    let sum: f64 = scores.iter().map(|score| exp(beta * (score - largest))).sum();
    largest + libm::log(sum) / beta
}

/// How far an energy may be off that was computed in float64, quickly or not: its largest score is `largest`, and `spread`
/// is at least `ln(count) / beta`. Relative errors of the sum become absolute ones of the logarithm, hence the spread.
pub(super) fn margin(largest: f64, spread: f64) -> f64 {
    1e-12 * (1.0 + largest.abs() + spread)
}

/// Whether scores may have an energy as large as a floor; false only if they cannot. `above` says by how much each of them
/// is at most above the floor, mostly below 0; `per_two` is [`to_twos`] of beta.
#[inline]
pub(super) fn may_reach(above: impl Iterator<Item = f32>, per_two: f32) -> bool {
    // The energy reaches the floor where Σ exp(beta · above) reaches 1. Rounding takes less than a thousandth.
    above.map(|above| power_of_two_above(above * per_two)).sum::<f32>() >= 0.999
}

/// `beta / ln 2`, or a smaller number, with which [`may_reach`] says yes more often.
#[allow(clippy::cast_possible_truncation, reason = "rounding is part of the margin")]
pub(super) fn to_twos(beta: f64) -> f32 {
    (beta * std::f64::consts::LOG2_E).min(1e30) as f32
}

/// No less than `2^x`, and less than 1.07 times as much, for `x` from −126 to 0: the line between the powers of whole
/// numbers. It takes other numbers for the nearest of these.
#[inline]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 127 times 2^23")]
fn power_of_two_above(x: f32) -> f32 {
    f32::from_bits(((x.clamp(-126.0, 0.0) + 127.0) * 8_388_608.0) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attractor::energy;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_quick_energy_is_within_the_margin(
            scores in prop::collection::vec(-1f64..=1.0, 0..40),
            beta in prop_oneof![1e-6f64..1e4, Just(f64::INFINITY)],
        ) {
            let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let (quick, exact) = (quick_energy(&scores, beta), energy(scores.iter().copied(), beta));
            let spread = (scores.len().max(1) as f64).ln() / beta;
            prop_assert!(quick == exact || (quick - exact).abs() <= 2.0 * margin(largest, spread));
            prop_assert!(scores.len() != 1 || quick == exact);
        }

        #[test]
        fn whoever_reaches_the_floor_may(
            scores in prop::collection::vec(-1f32..=1.0, 1..40),
            beta in prop_oneof![1e-6f64..1e4, Just(f64::INFINITY)],
            below in 0f32..1.0,
        ) {
            let reached = energy(scores.iter().map(|&score| score.into()), beta);
            let may = |floor: f64| {
                may_reach(scores.iter().map(|&score| (f64::from(score) - floor) as f32), to_twos(beta))
            };
            prop_assert!(may(reached) && may(reached - f64::from(below)));
            prop_assert!(!may(reached + (0.08 + 1e-6) / beta + 1e-6));
        }
    }
}
