//! From float rows to integer codes.
//!
//! Float32 and float64, each operation rounded once in the order written here; sums run in [`LANES`] lanes that are [`halved`]
//! in the end. The same bits from every variant, so that codes, and what is estimated from them, are the same everywhere.

use super::dot::product;
use super::lanes::{LANES, halved, padded};
use super::per_isa::per_isa;

/// Adding this to a float32 of at most 2²² leaves it no bits below the point: it is rounded to the nearest integer, of two
/// equally near ones to the even one.
const ROUNDER: f32 = 12_582_912.0;

per_isa! {
    /// `out = row · factor - centre`, rounded to float32; returns `‖out‖²`, and `(row · factor - centre) · centre` of the
    /// unrounded difference.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn centred(row: &[f32], factor: f64, centre: &[f32], out: &mut [f32]) -> (f64, f64) = centred_row;
}

per_isa! {
    /// `out = row · factor - centre · gain`, rounded to float32; returns `‖out‖²`.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn without(row: &[f32], factor: f64, centre: &[f32], gain: f64, out: &mut [f32]) -> f64 = row_without;
}

per_isa! {
    /// `sum += row · factor`.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn accumulate(row: &[f32], factor: f64, sum: &mut [f64]) -> () = add_row;
}

per_isa! {
    /// The largest magnitude, the sum of magnitudes and the sum of squares.
    pub fn norms(row: &[f32]) -> Norms = norms_of;
}

per_isa! {
    /// Each number times `inverse` as the nearest integer. `inverse` must keep all within ±2²².
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn rounded(row: &[f32], inverse: f32, out: &mut [i32]) -> () = round_row;
}

per_isa! {
    /// The squared distance of `row` from `unit` times `codes`.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn squared_distance(row: &[f32], unit: f64, codes: &[i32]) -> f64 = distance;
}

/// Three norms of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Norms {
    /// Largest magnitude.
    pub largest: f32,
    /// Sum of magnitudes.
    pub sum: f64,
    /// Sum of squares.
    pub squares: f64,
}

#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "rounding to float32 is the purpose")]
fn centred_row(row: &[f32], factor: f64, centre: &[f32], out: &mut [f32]) -> (f64, f64) {
    let d = out.len();
    let (row, centre) = (&row[..d], &centre[..d]);
    let (mut squares, mut products) = ([0f64; LANES], [0f64; LANES]);
    let mut take = |j: usize, x: f32, c: f32, out: &mut f32| {
        let difference = f64::from(x) * factor - f64::from(c);
        *out = difference as f32;
        squares[j] += f64::from(*out) * f64::from(*out);
        products[j] += difference * f64::from(c);
    };
    let (steps, tail) = out.as_chunks_mut::<LANES>();
    let (of_row, row_tail) = row.as_chunks::<LANES>();
    let (of_centre, centre_tail) = centre.as_chunks::<LANES>();
    for ((step, row), centre) in steps.iter_mut().zip(of_row).zip(of_centre) {
        for j in 0..LANES {
            take(j, row[j], centre[j], &mut step[j]);
        }
    }
    for (j, ((out, &x), &c)) in tail.iter_mut().zip(row_tail).zip(centre_tail).enumerate() {
        take(j, x, c, out);
    }
    (halved(&squares), halved(&products))
}

#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "rounding to float32 is the purpose")]
fn row_without(row: &[f32], factor: f64, centre: &[f32], gain: f64, out: &mut [f32]) -> f64 {
    let d = out.len();
    let (row, centre) = (&row[..d], &centre[..d]);
    for i in 0..d {
        out[i] = (f64::from(row[i]) * factor - f64::from(centre[i]) * gain) as f32;
    }
    product(out, out)
}

#[inline(always)]
fn add_row(row: &[f32], factor: f64, sum: &mut [f64]) {
    let row = &row[..sum.len()];
    for (sum, &x) in sum.iter_mut().zip(row) {
        *sum += f64::from(x) * factor;
    }
}

per_isa! {
    /// [`largest`], compiled for an instruction set: faster, and the same.
    #[must_use]
    pub fn largest_on(row: &[f32]) -> f32 = largest;
}

/// The largest magnitude of finite numbers; 0 if there are none.
#[must_use]
#[inline(always)]
pub fn largest(row: &[f32]) -> f32 {
    // Of numbers without a sign, the larger one has the larger bits; and of integers, compilers take many at a time.
    let bits = row.iter().fold(0, |largest, x| largest.max(x.abs().to_bits().cast_signed()));
    f32::from_bits(bits.cast_unsigned())
}

#[inline(always)]
fn norms_of(row: &[f32]) -> Norms {
    let (mut sums, mut squares) = ([0f64; LANES], [0f64; LANES]);
    let mut take = |step: &[f32; LANES]| {
        for j in 0..LANES {
            sums[j] += f64::from(step[j].abs());
            squares[j] += f64::from(step[j]) * f64::from(step[j]);
        }
    };
    let (steps, tail) = row.as_chunks();
    for step in steps {
        take(step);
    }
    if !tail.is_empty() {
        take(&padded(tail));
    }
    Norms { largest: largest(row), sum: halved(&sums), squares: halved(&squares) }
}

#[inline(always)]
fn round_row(row: &[f32], inverse: f32, out: &mut [i32]) {
    let row = &row[..out.len()];
    for (out, &x) in out.iter_mut().zip(row) {
        *out = (x * inverse + ROUNDER).to_bits().wrapping_sub(ROUNDER.to_bits()).cast_signed();
    }
}

#[inline(always)]
fn distance(row: &[f32], unit: f64, codes: &[i32]) -> f64 {
    let mut lanes = [0f64; LANES];
    let (steps, tail) = row.as_chunks::<LANES>();
    let (of_steps, of_tail) = codes[..row.len()].as_chunks::<LANES>();
    for (row, codes) in steps.iter().zip(of_steps) {
        for j in 0..LANES {
            let error = f64::from(row[j]) - unit * f64::from(codes[j]);
            lanes[j] += error * error;
        }
    }
    if !tail.is_empty() {
        let (row, codes) = (padded(tail), padded(of_tail));
        for j in 0..LANES {
            let error = f64::from(row[j]) - unit * f64::from(codes[j]);
            lanes[j] += error * error;
        }
    }
    halved(&lanes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::isa::Isa;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_variant_gives_the_same_bits(
            rows in prop::collection::vec((-4f32..4.0, -1f32..1.0), 0..300),
            factor in 0.01f64..2.0,
        ) {
            let (row, centre): (Vec<f32>, Vec<f32>) = rows.into_iter().unzip();
            let all = |isa| {
                let (mut out, mut other, mut codes) = (row.clone(), row.clone(), vec![0; row.len()]);
                let mut sum = vec![0.5; row.len()];
                accumulate(isa, &row, factor, &mut sum);
                let squares = centred(isa, &row, factor, &centre, &mut out);
                let rest = without(isa, &row, factor, &centre, 0.3, &mut other);
                rounded(isa, &out, 100.0, &mut codes);
                let error = squared_distance(isa, &out, 0.01, &codes);
                (squares, rest, norms(isa, &out), error, out, other, codes, sum)
            };
            let wanted = all(Isa::Scalar);
            for isa in Isa::available() {
                prop_assert_eq!(all(isa), wanted.clone());
            }
        }

        /// Lane `j` takes the numbers `j`, `j + 8`, … in this order; then halves are added.
        #[test]
        fn sums_run_in_lanes(
            rows in prop::collection::vec((-4f32..4.0, -1f32..1.0), 0..100),
            factor in 0.01f64..2.0,
        ) {
            let (row, centre): (Vec<f32>, Vec<f32>) = rows.into_iter().unzip();
            let sum = |term: &dyn Fn(usize) -> f64| {
                let mut lanes = [0f64; 8];
                (0..row.len()).for_each(|i| lanes[i % 8] += term(i));
                let [a, b, c, d] = [0, 1, 2, 3].map(|j| lanes[j] + lanes[j + 4]);
                (a + c) + (b + d)
            };
            let (mut out, mut codes) = (row.clone(), vec![0; row.len()]);
            rounded(Isa::Scalar, &row, 9.0, &mut codes);
            for isa in Isa::available() {
                let squares = without(isa, &row, factor, &centre, 0.3, &mut out);
                for i in 0..row.len() {
                    let rest = f64::from(row[i]) * factor - f64::from(centre[i]) * 0.3;
                    prop_assert_eq!(out[i].to_bits(), (rest as f32).to_bits());
                }
                prop_assert_eq!(squares.to_bits(), sum(&|i| f64::from(out[i]).powi(2)).to_bits());
                let wanted = Norms {
                    largest: row.iter().map(|x| x.abs()).fold(0.0, f32::max),
                    sum: sum(&|i| f64::from(row[i].abs())),
                    squares: sum(&|i| f64::from(row[i]).powi(2)),
                };
                prop_assert_eq!(norms(isa, &row), wanted);
                let error = squared_distance(isa, &row, 0.11, &codes);
                let term = |i: usize| (f64::from(row[i]) - 0.11 * f64::from(codes[i])).powi(2);
                prop_assert_eq!(error.to_bits(), sum(&term).to_bits());
                let (squares, products) = centred(isa, &row, factor, &centre, &mut out);
                prop_assert_eq!(squares.to_bits(), sum(&|i| f64::from(out[i]).powi(2)).to_bits());
                let term = |i: usize| {
                    let c = f64::from(centre[i]);
                    (f64::from(row[i]) * factor - c) * c
                };
                prop_assert_eq!(products.to_bits(), sum(&term).to_bits());
            }
        }

        #[test]
        fn codes_are_the_nearest_integers(row in prop::collection::vec(-3f32..3.0, 1..50)) {
            let mut codes = vec![0; row.len()];
            rounded(Isa::Scalar, &row, 2.0, &mut codes);
            let error = squared_distance(Isa::Scalar, &row, 0.5, &codes);
            let wanted: Vec<i32> = row.iter().map(|x| (x * 2.0).round_ties_even() as i32).collect();
            prop_assert_eq!(&codes, &wanted);
            let distance: f64 =
                row.iter().zip(&codes).map(|(&x, &c)| (f64::from(x) - 0.5 * f64::from(c)).powi(2)).sum();
            prop_assert!((error - distance).abs() < 1e-12);
        }
    }
}
