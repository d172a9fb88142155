//! Pooled scores and the Hopfield update.
//!
//! Everything is computed in float64, with `exp` and `log` of the `libm` crate instead of the system's, so that the bits
//! are the same on every platform.

use crate::dense::{Metric, NormalRows};
use crate::error::InputError;
use crate::kernels::dot::dot64;
use crate::rows::Rows;

/// The energy of one group of scores: `(1/beta) · ln Σ exp(beta · s)`.
///
/// It lies between the largest score and that plus `ln(count) / beta`; `beta = ∞` gives the largest score. A group without
/// scores, or with none above −∞, has energy −∞. `beta` must be above 0, scores below ∞ and not NaN.
#[must_use]
pub fn energy(scores: impl Iterator<Item = f64> + Clone, beta: f64) -> f64 {
    let largest = scores.clone().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY || beta == f64::INFINITY {
        return largest;
    }
    // exp(0) is 1 without asking, and so is the sum of a group of one.
    let term = |score| if score == largest { 1.0 } else { libm::exp(beta * (score - largest)) };
    let sum: f64 = scores.map(term).sum();
    largest + if sum == 1.0 { 0.0 } else { libm::log(sum) / beta }
}

/// The energy of each group `scores[offsets[i]..offsets[i + 1]]`.
///
/// # Errors
/// [`InputError::Offsets`] if `offsets` do not ascend from 0 to the number of scores, [`InputError::Range`] for a `beta`
/// that is not above 0 or a score that is NaN or ∞.
pub fn energies(scores: &[f32], offsets: &[i64], beta: f64) -> Result<Vec<f64>, InputError> {
    check_beta(beta)?;
    let bounds = group_bounds(offsets, scores.len())?;
    if let Some(at) = scores.iter().position(|&score| score.is_nan() || score == f32::INFINITY) {
        return Err(InputError::Range {
            argument: "scores",
            wanted: "numbers below infinity",
            got: format!("{} at position {at}", scores[at]),
        });
    }
    let group = |pair: &[usize]| energy(scores[pair[0]..pair[1]].iter().map(|&score| f64::from(score)), beta);
    Ok(bounds.windows(2).map(group).collect())
}

/// Where a cue came to rest.
#[derive(Debug, Clone, PartialEq)]
pub struct Settled {
    /// The state, of unit length.
    pub vector: Vec<f32>,
    /// Its energy over the patterns: `(1/beta) · ln Σ exp(beta · p·x)`.
    pub energy: f64,
    /// Updates that were made.
    pub steps: usize,
}

/// Moves `cue` to the patterns it resembles: `x ← normalise(Pᵀ · softmax(beta · P · x))`, `steps` times.
///
/// Cue and patterns are scaled to unit length first. It stops early where an update changes nothing, where two updates
/// lead back, and where the weighted mean of the patterns vanishes and so has no direction.
///
/// # Errors
/// [`InputError`] for numbers that are not finite, zero rows, no patterns at all, another width, or a `beta` that is not
/// above 0.
pub fn settle(cue: &[f32], patterns: Rows<'_, f32>, beta: f64, steps: usize) -> Result<Settled, InputError> {
    check_beta(beta)?;
    if patterns.is_empty() {
        return Err(InputError::Range {
            argument: "patterns",
            wanted: "at least one row",
            got: "none".to_owned(),
        });
    }
    patterns.check_dim("patterns", cue.len())?;
    let cue = Rows::new(cue, 1, cue.len())?;
    let unit = |argument, rows: Rows<'_, f32>| -> Result<Vec<f32>, InputError> {
        let normal = NormalRows::new(argument, rows, Metric::Cosine)?;
        Ok((0..rows.len()).flat_map(|row| normal.vector(row, Metric::Cosine)).collect())
    };
    let units = unit("patterns", patterns)?;
    let patterns = Rows::new(&units, patterns.len(), patterns.dim())?;
    let mut state = unit("cue", cue)?;
    let mut before = Vec::new();
    let mut made = 0;
    while made < steps {
        let Some(next) = update(&state, patterns, beta) else { break };
        made += 1;
        let at_rest = next == state || next == before;
        before = std::mem::replace(&mut state, next);
        if at_rest {
            break;
        }
    }
    let similarities: Vec<f64> = patterns.iter().map(|pattern| dot64(pattern, &state)).collect();
    Ok(Settled { energy: energy(similarities.into_iter(), beta), vector: state, steps: made })
}

/// One update; `None` where the weighted mean of the patterns is zero.
#[allow(clippy::cast_possible_truncation, reason = "the state is kept in float32, as the patterns are")]
fn update(state: &[f32], patterns: Rows<'_, f32>, beta: f64) -> Option<Vec<f32>> {
    let similarities: Vec<f64> = patterns.iter().map(|pattern| dot64(pattern, state)).collect();
    let largest = similarities.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut mean = vec![0f64; state.len()];
    for (pattern, &similarity) in patterns.iter().zip(&similarities) {
        // Spelled out, since ∞ · 0 is no number: with beta = ∞ the closest patterns share all weight.
        let weight = if similarity == largest { 1.0 } else { libm::exp(beta * (similarity - largest)) };
        for (mean, &x) in mean.iter_mut().zip(pattern) {
            *mean += weight * f64::from(x);
        }
    }
    let norm = mean.iter().map(|x| x * x).sum::<f64>().sqrt();
    (norm > 0.0).then(|| mean.iter().map(|x| (x / norm) as f32).collect())
}

/// Refuses a `beta` that is not above 0.
pub(crate) fn check_beta(beta: f64) -> Result<(), InputError> {
    if beta > 0.0 {
        return Ok(());
    }
    Err(InputError::Range { argument: "beta", wanted: "a number above 0", got: beta.to_string() })
}

/// `offsets` as slice bounds, if they cut `len` things into groups.
pub(crate) fn group_bounds(offsets: &[i64], len: usize) -> Result<Vec<usize>, InputError> {
    let refused = |got: String| InputError::Offsets { argument: "offsets", wanted: len, got };
    let bounds = offsets
        .iter()
        .map(|&offset| usize::try_from(offset).map_err(|_| refused(format!("{offset}"))))
        .collect::<Result<Vec<_>, _>>()?;
    match (bounds.first(), bounds.last()) {
        (Some(0), Some(&last)) if last == len && bounds.is_sorted() => Ok(bounds),
        (Some(0), Some(&last)) if last == len => Err(refused("a smaller one after a larger one".to_owned())),
        (Some(first), Some(last)) => Err(refused(format!("{first} to {last}"))),
        _ => Err(refused("none".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn energy_lies_between_its_limits(scores in prop::collection::vec(-1e3f64..1e3, 1..50), beta in 1e-3f64..1e4) {
            let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let energy = energy(scores.iter().copied(), beta);
            let limit = largest + (scores.len() as f64).ln() / beta;
            prop_assert!(energy >= largest && energy <= limit + 1e-9 * limit.abs().max(1.0));
        }
    }

    #[test]
    fn limits_of_energy() {
        assert_eq!(
            energies(&[1.0, 3.0, 2.0], &[0, 2, 2, 3], f64::INFINITY),
            Ok(vec![3.0, f64::NEG_INFINITY, 2.0])
        );
        assert_eq!(energy([f64::NEG_INFINITY].into_iter(), 1.0), f64::NEG_INFINITY);
        assert!(energies(&[f32::NAN], &[0, 1], 1.0).is_err());
        assert!(energies(&[1.0], &[0, 1], f64::NAN).is_err());
        assert!(energies(&[1.0], &[], 1.0).is_err());
        assert!(energies(&[1.0, 2.0], &[0, 2, 1, 2], 1.0).is_err());
    }

    #[test]
    fn a_noisy_cue_settles_on_its_pattern() {
        let patterns = [1.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 3.0];
        let patterns = Rows::new(&patterns, 3, 3).unwrap();
        let settled = settle(&[0.3, 0.9, 0.2], patterns, 50.0, 10).unwrap();
        assert!(settled.vector[1] > 0.999_999 && settled.energy > 0.999_999);
        assert_eq!(settle(&[0.0, 0.0, 5.0], patterns, 1.0, 0).unwrap().vector, [0.0, 0.0, 1.0]);
    }

    #[test]
    fn opposite_patterns_leave_the_cue_where_it_is() {
        let patterns = Rows::new(&[1.0, 0.0, -1.0, 0.0], 2, 2).unwrap();
        let settled = settle(&[0.0, 1.0], patterns, 1.0, 5).unwrap();
        assert_eq!((settled.vector, settled.steps), (vec![0.0, 1.0], 0));
    }
}
