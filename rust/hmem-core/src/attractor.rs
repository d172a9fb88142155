//! Pooled scores and the Hopfield update.
//!
//! The same bits on every platform: `exp` and `log` are our own and the `libm` crate's instead of the system's, and sums have one
//! order. Energies are computed in float64. An update compares and sums in float32, in the lanes and with the bounds of
//! [`hopfield`](crate::kernels::hopfield), and weighs in float64.

use std::ops::RangeInclusive;

use crate::dense::{Metric, NormalRows};
use crate::error::InputError;
use crate::kernels::dot::dot64_on;
use crate::kernels::exp::{log_means_exp, log_sum_exp, log_sums_exp};
use crate::kernels::hopfield::{self, MOST_ROWS};
use crate::kernels::isa::Isa;
use crate::kernels::quantise::largest_on;
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

/// What becomes of the powers of a group's scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pool {
    /// Their sum: more scores give more energy.
    Sum,
    /// Their mean, over the scores above −∞: how many there are does not count.
    Mean,
}

/// The energy of each group `scores[offsets[i]..offsets[i + 1]]`.
///
/// # Errors
/// [`InputError::Offsets`] if `offsets` do not ascend from 0 to the number of scores, [`InputError::Range`] for a `beta`
/// that is not above 0 or a score that is NaN or ∞.
pub fn energies(
    isa: Isa,
    scores: &[f32],
    offsets: &[i64],
    beta: f64,
    pool: Pool,
) -> Result<Vec<f64>, InputError> {
    check_beta(beta)?;
    let bounds = group_bounds(offsets, scores.len())?;
    // Looking at all of them is quicker than stopping at the first.
    if !scores.iter().fold(true, |all, &score| all & (score < f32::INFINITY)) {
        let at = scores.iter().position(|&score| score.is_nan() || score == f32::INFINITY);
        return Err(InputError::Range {
            argument: "scores",
            wanted: "numbers below infinity",
            got: at.map_or_else(String::new, |at| format!("{} at position {at}", scores[at])),
        });
    }
    let mut energies = vec![0.0; bounds.len() - 1];
    match pool {
        Pool::Sum => log_sums_exp(isa, scores, &bounds, beta, &mut energies),
        Pool::Mean => log_means_exp(isa, scores, &bounds, beta, &mut energies),
    }
    Ok(energies)
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
pub fn settle(
    isa: Isa,
    cue: &[f32],
    patterns: Rows<'_, f32>,
    beta: f64,
    steps: usize,
) -> Result<Settled, InputError> {
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
    // As they lie, if their numbers are of a size that float32 can multiply; else scaled by powers of two, which is exact.
    let normal;
    let mut stored = patterns;
    if !patterns.iter().all(|pattern| ORDINARY.contains(&largest_on(isa, pattern))) {
        normal = NormalRows::new("patterns", patterns, Metric::Cosine)?;
        stored = normal.rows();
    }
    let norms = stored.iter().map(|pattern| dot64_on(isa, pattern, pattern).sqrt()).collect();
    let cue = NormalRows::new("cue", cue, Metric::Cosine)?;
    let state = cue.vector(0, Metric::Cosine).collect();
    Ok(Patterns::new(stored.iter().collect(), norms).settle(isa, state, beta, steps).0)
}

/// Largest magnitudes of rows that are taken as they lie. NaN and infinities are not among them.
const ORDINARY: RangeInclusive<f32> = 1e-12..=1e12;

/// What a cue settles among: rows whose largest magnitudes are [`ORDINARY`], and their lengths.
#[derive(Debug)]
pub(crate) struct Patterns<'a> {
    rows: Vec<&'a [f32]>,
    norms: Vec<f64>,
    inverse_norms: Vec<f64>,
}

impl<'a> Patterns<'a> {
    /// One norm a row, none of them zero.
    pub(crate) fn new(rows: Vec<&'a [f32]>, norms: Vec<f64>) -> Self {
        assert_eq!(rows.len(), norms.len(), "one norm a row");
        let inverse_norms = norms.iter().map(|norm| norm.recip()).collect();
        Self { rows, norms, inverse_norms }
    }

    /// Moves `state`, which has unit length, as [`settle`](fn@settle) says; with the cosine of each pattern where it comes to rest.
    /// Without patterns it stays where it is.
    pub(crate) fn settle(
        &self,
        isa: Isa,
        mut state: Vec<f32>,
        beta: f64,
        steps: usize,
    ) -> (Settled, Vec<f64>) {
        let mut before = Vec::new();
        let mut update = Update::new(self.rows.len(), state.len());
        let mut made = 0;
        while made < steps && update.made(isa, self, &state, beta) {
            made += 1;
            let at_rest = update.next == state || update.next == before;
            before.clear();
            before.extend_from_slice(&state);
            state.copy_from_slice(&update.next);
            if at_rest {
                break;
            }
        }
        let cosine = |(row, norm): (&&[f32], &f64)| dot64_on(isa, row, &state) / norm;
        let cosines: Vec<f64> = self.rows.iter().zip(&self.norms).map(cosine).collect();
        let energy = log_sum_exp(isa, &cosines, beta);
        (Settled { vector: state, energy, steps: made }, cosines)
    }
}

/// What an update needs memory for.
struct Update {
    products: Vec<f32>,
    weights: Vec<f32>,
    sum: Vec<f32>,
    /// Where there are too many patterns for one sum in float32.
    total: Vec<f64>,
    next: Vec<f32>,
}

impl Update {
    fn new(n: usize, d: usize) -> Self {
        let total = vec![0.0; if n > MOST_ROWS { d } else { 0 }];
        Self { products: vec![0.0; n], weights: vec![0.0; n], sum: vec![0.0; d], total, next: vec![0.0; d] }
    }

    /// Puts where `state` moves to into `next`; false where the weighted mean of the patterns is zero, and where there are none.
    #[allow(clippy::cast_possible_truncation, reason = "the state is kept in float32, as the patterns are")]
    fn made(&mut self, isa: Isa, patterns: &Patterns<'_>, state: &[f32], beta: f64) -> bool {
        hopfield::products(isa, &patterns.rows, state, &mut self.products);
        hopfield::weights(isa, &self.products, &patterns.inverse_norms, beta, &mut self.weights);
        if self.total.is_empty() {
            hopfield::blend(isa, &patterns.rows, &self.weights, &mut self.sum);
        } else {
            self.total.fill(0.0);
            for (rows, weights) in patterns.rows.chunks(MOST_ROWS).zip(self.weights.chunks(MOST_ROWS)) {
                hopfield::blend(isa, rows, weights, &mut self.sum);
                self.total.iter_mut().zip(&self.sum).for_each(|(total, &sum)| *total += f64::from(sum));
            }
            self.sum.iter_mut().zip(&self.total).for_each(|(sum, &total)| *sum = total as f32);
        }
        let norm = dot64_on(isa, &self.sum, &self.sum).sqrt();
        if norm > 0.0 {
            hopfield::scaled(isa, &self.sum, norm.recip(), &mut self.next);
        }
        norm > 0.0
    }
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
    use crate::kernels::random::Random;
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

    fn pooled(scores: &[f32], offsets: &[i64], beta: f64) -> Result<Vec<f64>, InputError> {
        energies(Isa::Scalar, scores, offsets, beta, Pool::Sum)
    }

    #[test]
    fn limits_of_energy() {
        assert_eq!(
            pooled(&[1.0, 3.0, 2.0], &[0, 2, 2, 3], f64::INFINITY),
            Ok(vec![3.0, f64::NEG_INFINITY, 2.0])
        );
        assert_eq!(energy([f64::NEG_INFINITY].into_iter(), 1.0), f64::NEG_INFINITY);
        assert!(pooled(&[f32::NAN], &[0, 1], 1.0).is_err());
        assert!(pooled(&[1.0], &[0, 1], f64::NAN).is_err());
        assert!(pooled(&[1.0], &[], 1.0).is_err());
        assert!(pooled(&[1.0, 2.0], &[0, 2, 1, 2], 1.0).is_err());
    }

    #[test]
    fn a_mean_does_not_count_scores() {
        let scores = [0.5, 0.5, 0.5, f32::NEG_INFINITY, 0.25];
        let means = energies(Isa::Scalar, &scores, &[0, 1, 4, 5], 7.0, Pool::Mean).unwrap();
        assert!(means[0] == 0.5 && (means[1] - 0.5).abs() < 1e-15 && means[2] == 0.25);
    }

    #[test]
    fn a_noisy_cue_settles_on_its_pattern() {
        let patterns = [1.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 3.0];
        let patterns = Rows::new(&patterns, 3, 3).unwrap();
        for isa in Isa::available() {
            let settled = settle(isa, &[0.3, 0.9, 0.2], patterns, 50.0, 10).unwrap();
            assert!(settled.vector[1] > 0.999_999 && settled.energy > 0.999_999);
            assert_eq!(settle(isa, &[0.0, 0.0, 5.0], patterns, 1.0, 0).unwrap().vector, [0.0, 0.0, 1.0]);
        }
    }

    #[test]
    fn opposite_patterns_leave_the_cue_where_it_is() {
        let patterns = Rows::new(&[1.0, 0.0, -1.0, 0.0], 2, 2).unwrap();
        let settled = settle(Isa::Scalar, &[0.0, 1.0], patterns, 1.0, 5).unwrap();
        assert_eq!((settled.vector, settled.steps), (vec![0.0, 1.0], 0));
    }

    /// The update as it is written, in float64.
    fn updated(patterns: &[Vec<f64>], state: &[f64], beta: f64) -> (Vec<f64>, f64) {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        let cosines: Vec<f64> = patterns.iter().map(|pattern| dot(pattern, state)).collect();
        let largest = cosines.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = cosines.iter().map(|cosine| libm::exp(beta * (cosine - largest))).collect();
        let total: f64 = weights.iter().sum();
        let mean: Vec<f64> = (0..state.len())
            .map(|c| patterns.iter().zip(&weights).map(|(pattern, w)| w / total * pattern[c]).sum())
            .collect();
        let length = dot(&mean, &mean).sqrt();
        (mean.iter().map(|x| x / length).collect(), length)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// One update from a given state, held against float64 with the bound of docs/numerics.md; and all instruction sets agree
        /// to the bit, for any number of steps.
        #[test]
        fn an_update_is_within_its_bound_and_the_same_everywhere(
            seed in any::<u64>(),
            n in prop::sample::select(vec![1usize, 3, 4, 20, 64, 65, 150]),
            d in prop::sample::select(vec![1usize, 15, 16, 17, 48, 100, 384]),
            beta in prop::sample::select(vec![0.1, 8.0, 64.0, 1000.0]),
            scale in prop::sample::select(vec![1e-30f32, 1e-10, 1.0, 1e10, 1e30]),
            noise in prop::sample::select(vec![0.1f32, 1.0, 4.0]),
        ) {
            let mut random = Random::new(seed);
            let mut number = || f32::from(random.next_i8(127)) / 127.0;
            let cue: Vec<f32> = (0..d).map(|_| number() + 0.01).collect();
            let data: Vec<f32> = (0..n * d).map(|i| (cue[i % d] + noise * number() + 0.003) * scale).collect();
            let patterns = Rows::new(&data, n, d).unwrap();
            prop_assume!(patterns.iter().chain([&cue[..]]).all(|row| row.iter().any(|&x| x != 0.0)));
            let start = settle(Isa::Scalar, &cue, patterns, beta, 0).unwrap();
            let one = settle(Isa::Scalar, &cue, patterns, beta, 1).unwrap();
            let many = settle(Isa::Scalar, &cue, patterns, beta, 7).unwrap();
            for isa in Isa::available() {
                prop_assert_eq!(&settle(isa, &cue, patterns, beta, 1).unwrap(), &one);
                prop_assert_eq!(&settle(isa, &cue, patterns, beta, 7).unwrap(), &many);
            }
            let unit = |row: &[f32]| -> Vec<f64> {
                let length = row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
                row.iter().map(|&x| f64::from(x) / length).collect()
            };
            let units: Vec<Vec<f64>> = patterns.iter().map(unit).collect();
            let state: Vec<f64> = start.vector.iter().map(|&x| f64::from(x)).collect();
            let (wanted, length) = updated(&units, &state, beta);
            let off = one.vector.iter().zip(&wanted).map(|(&x, y)| (f64::from(x) - y).powi(2)).sum::<f64>().sqrt();
            let u = 0.5f64.powi(24);
            let of_products = (d.div_ceil(16) + 4) as f64 * u * 1.001;
            let bound = 2.0 * (4.0 * beta * of_products + 68.0 * u) / length + 2.0 * u;
            prop_assert!(off <= bound, "{off} {bound}");
            let cosines = units.iter().map(|unit| {
                one.vector.iter().zip(unit).map(|(&x, y)| f64::from(x) * y).sum::<f64>()
            });
            let wanted = energy(cosines, beta);
            prop_assert!((one.energy - wanted).abs() <= 1e-13 / beta + 1e-14, "{} {wanted}", one.energy);
        }
    }
}
