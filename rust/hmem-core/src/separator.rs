//! Pattern separation: a vector becomes the few units that respond to it most.
//!
//! A unit's response is the inner product of the row with a random pattern of signs; the `n_active` units of the largest
//! responses are the row's code. Rows at an angle share fewer units than their cosine would say, so similar rows get codes
//! that can be told apart.
//!
//! Patterns are never stored. The row is rotated (random signs and a Walsh–Hadamard transform, so that no row is special),
//! rounded to integers so small that no sum overflows 16 bits, and projected by [`Projection`]. Unit `j · lanes + t` is number
//! `j` of transform `t`. From the row's numbers to the responses, everything is either exact or summed in one fixed order, so a
//! code is the same on every CPU.

use crate::codes::CodeShape;
use crate::error::InputError;
use crate::kernels::dot::dot_rows;
use crate::kernels::isa::Isa;
use crate::kernels::projection::{LEAST, Projection};
use crate::kernels::quantise::{norms, rounded};
use crate::kernels::random::{Random, mixed};
use crate::kernels::rotation::Rotation;
use crate::kernels::winners::Winners;
use crate::rows::Rows;

/// Beyond this width, rounding to the integers that 16-bit sums leave room for would tell.
pub const MOST_NUMBERS: usize = 1 << 14;

/// Makes codes of rows of one width.
#[derive(Debug)]
pub struct Separator {
    isa: Isa,
    dim: usize,
    shape: CodeShape,
    mean: Option<Vec<f32>>,
    /// Column after column, each as a row: what it is multiplied by. Scaled until the largest magnitude lies in [1, 2).
    transform: Option<Vec<f32>>,
    rotation: Rotation,
    projection: Projection,
    /// A response is about normally distributed, and so many deviations leave a few more than `n_active` units.
    deviations: f64,
}

impl Separator {
    /// For rows of `dim` numbers. Before all else, `mean` is subtracted from a row, and what is left is multiplied by
    /// `transform` (from the right, as `row @ transform`; `dim` rows of `dim` numbers).
    ///
    /// # Errors
    /// [`InputError`] for a `dim` outside 1 to [`MOST_NUMBERS`], a mean or transform that does not fit or is not finite, and a
    /// transform of zeros.
    pub fn new(
        isa: Isa,
        dim: usize,
        shape: CodeShape,
        seed: u64,
        mean: Option<&[f32]>,
        transform: Option<Rows<'_, f32>>,
    ) -> Result<Self, InputError> {
        if !(1..=MOST_NUMBERS).contains(&dim) {
            return Err(InputError::Range { argument: "dim", wanted: "1 to 16384", got: dim.to_string() });
        }
        if let Some(mean) = mean {
            let mean = Rows::new(mean, 1, mean.len())?;
            mean.check_dim("mean", dim)?;
            mean.check_finite("mean")?;
        }
        let transform = transform.map(|transform| columns(transform, dim)).transpose()?;
        let window = dim.next_power_of_two().max(LEAST);
        let mut random = Random::new(mixed(seed));
        let signs: Vec<i8> = (0..window).map(|_| if random.next_u64() >> 63 == 0 { 1 } else { -1 }).collect();
        Ok(Self {
            isa,
            dim,
            shape,
            mean: mean.map(<[f32]>::to_vec),
            transform,
            rotation: Rotation::of_blocks(&signs, window),
            projection: Projection::new(window, shape.n_units().div_ceil(window), &mut random),
            deviations: deviations(shape),
        })
    }

    /// Width of a row.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Width of a code.
    #[must_use]
    pub fn shape(&self) -> CodeShape {
        self.shape
    }

    /// The code of each row: `n_active` distinct units, ascending. Of equal responses, those of the smaller units win.
    ///
    /// # Errors
    /// [`InputError`] for rows of another width, numbers that are not finite, and rows without a direction: zeros, before or
    /// after mean and transform.
    #[allow(clippy::cast_possible_wrap, reason = "at most 2^16 units")]
    pub fn separate(&self, rows: Rows<'_, f32>) -> Result<Vec<i32>, InputError> {
        rows.check_dim("rows", self.dim)?;
        rows.check_finite("rows")?;
        let mut scratch = Scratch::new(self.dim, &self.projection);
        let mut winners = vec![0; self.shape.n_active()];
        let mut codes = Vec::with_capacity(rows.len() * winners.len());
        for (number, row) in rows.iter().enumerate() {
            if !self.prepare(row, &mut scratch) {
                return Err(InputError::Range {
                    argument: "rows",
                    wanted: "rows that have a direction",
                    got: format!("row {number}, {}", self.zeros()),
                });
            }
            self.winners(&mut scratch, &mut winners);
            codes.extend(winners.iter().map(|&unit| unit as i32));
        }
        Ok(codes)
    }

    fn zeros(&self) -> &'static str {
        match (&self.mean, &self.transform) {
            (None, None) => "which is all zeros",
            (Some(_), None) => "of which the mean leaves nothing but zeros",
            _ => "of which the transform leaves nothing but zeros",
        }
    }

    /// Puts the row, centred and transformed, into the window; false where nothing of it is left.
    fn prepare(&self, row: &[f32], scratch: &mut Scratch) -> bool {
        let Scratch { centred, scaled, window, .. } = scratch;
        match &self.mean {
            // The difference of two float32 may be beyond their range.
            Some(mean) => {
                for ((out, &x), &m) in centred.iter_mut().zip(row).zip(mean) {
                    *out = f64::from(x) - f64::from(m);
                }
            }
            None => {
                for (out, &x) in centred.iter_mut().zip(row) {
                    *out = f64::from(x);
                }
            }
        }
        let Some(factor) = normal_factor(centred) else { return false };
        for (out, x) in scaled.iter_mut().zip(centred) {
            *out = narrow(*x * factor);
        }
        let padding = self.dim..;
        match &self.transform {
            None => window[..self.dim].copy_from_slice(scaled),
            Some(columns) => {
                let Ok(columns) = Rows::new(columns, self.dim, self.dim) else {
                    unreachable!("checked when made")
                };
                dot_rows(self.isa, columns, scaled, &mut window[..self.dim]);
            }
        }
        window[padding].fill(0.0);
        window.iter().any(|&x| x != 0.0)
    }

    fn winners(&self, scratch: &mut Scratch, out: &mut [u32]) {
        let Scratch { window, integers, narrow, responses, winners, .. } = scratch;
        self.rotation.apply(self.isa, window);
        let sizes = norms(self.isa, window);
        #[allow(clippy::cast_precision_loss, reason = "at most 2^14 numbers")]
        let room = f64::from(i16::MAX - 1) - window.len() as f64 / 2.0;
        // Σ |rounded| ≤ Σ |x| · factor + window / 2 ≤ i16::MAX − 1, and one is left for the rounding of the factor.
        let factor = room / sizes.sum;
        #[allow(clippy::cast_possible_truncation, reason = "rounding to float32 is the purpose")]
        rounded(self.isa, window, factor as f32, integers);
        for (out, &x) in narrow.iter_mut().zip(&*integers) {
            #[allow(clippy::cast_possible_truncation, reason = "their magnitudes sum to less than 2^15")]
            let x = x as i16;
            *out = x;
        }
        self.projection.apply(self.isa, narrow, responses);
        let floor = self.deviations * factor * sizes.squares.sqrt();
        #[allow(
            clippy::cast_possible_truncation,
            reason = "what is out of range becomes the end of the range"
        )]
        let floor = floor as i16;
        winners.find(self.isa, &responses[..self.shape.n_units()], floor, out);
    }
}

/// Memory of one call.
struct Scratch {
    centred: Vec<f64>,
    scaled: Vec<f32>,
    window: Vec<f32>,
    integers: Vec<i32>,
    narrow: Vec<i16>,
    responses: Vec<i16>,
    winners: Winners,
}

impl Scratch {
    fn new(dim: usize, projection: &Projection) -> Self {
        let window = projection.window();
        Self {
            centred: vec![0.0; dim],
            scaled: vec![0.0; dim],
            window: vec![0.0; window],
            integers: vec![0; window],
            narrow: vec![0; window],
            responses: vec![0; projection.len()],
            winners: Winners::default(),
        }
    }
}

/// The power of two that brings the largest magnitude into [1, 2). `None` for zeros alone.
fn normal_factor(numbers: &[f64]) -> Option<f64> {
    let largest = numbers.iter().fold(0f64, |largest, x| largest.max(x.abs()));
    // Differences of float32 are no denormal float64, so all of the exponent stands in its bits.
    (largest > 0.0).then(|| f64::from_bits((2046 << 52) - (largest.to_bits() & (2047 << 52))))
}

#[allow(clippy::cast_possible_truncation, reason = "rounding to float32 is the purpose")]
fn narrow(x: f64) -> f32 {
    x as f32
}

/// The columns of a transform, one after the other, scaled: directions are all that matters, and no product overflows.
fn columns(transform: Rows<'_, f32>, dim: usize) -> Result<Vec<f32>, InputError> {
    transform.check_dim("transform", dim)?;
    if transform.len() != dim {
        let partner = "its columns";
        return Err(InputError::Length { argument: "transform", partner, wanted: dim, got: transform.len() });
    }
    transform.check_finite("transform")?;
    let wide: Vec<f64> = transform.data().iter().map(|&x| f64::from(x)).collect();
    let Some(factor) = normal_factor(&wide) else {
        let got = "zeros alone".to_owned();
        return Err(InputError::Range {
            argument: "transform",
            wanted: "a matrix that leaves something of a row",
            got,
        });
    };
    Ok((0..dim)
        .flat_map(|column| wide.iter().skip(column).step_by(dim).map(|&x| narrow(x * factor)))
        .collect())
}

/// Standard normal deviations that a few more than `n_active` of `n_units` numbers exceed: so many more that fewer than
/// `n_active` are rare. What they are moves the time that a code takes, and not the code.
#[allow(clippy::cast_precision_loss, reason = "at most 2^16 units")]
fn deviations(shape: CodeShape) -> f64 {
    let (n, k) = (shape.n_units() as f64, shape.n_active() as f64);
    let share = (k + 4.0 * k.sqrt() + 8.0) / n;
    let (mut low, mut high) = (-8.0, 8.0);
    for _ in 0..50 {
        let middle = (low + high) / 2.0;
        let above = libm::erfc(middle / std::f64::consts::SQRT_2) / 2.0;
        if above >= share { low = middle } else { high = middle }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn separator(isa: Isa, dim: usize, n_units: usize, n_active: usize) -> Separator {
        Separator::new(isa, dim, CodeShape::new(n_units, n_active).unwrap(), 1, None, None).unwrap()
    }

    fn row(dim: usize) -> impl Strategy<Value = Vec<f32>> {
        let number = prop_oneof![4 => -1f32..1.0, 1 => Just(0.0), 1 => Just(3e38f32), 1 => Just(-1e-45f32)];
        prop::collection::vec(number, dim)
    }

    proptest! {
        #[test]
        fn codes_are_the_same_everywhere_and_ascend(
            (dim, data) in (1usize..90).prop_flat_map(|dim| (Just(dim), row(3 * dim))),
            n_units in 1usize..5000,
            part in any::<prop::sample::Index>(),
        ) {
            let n_active = 1 + part.index(n_units);
            let rows = Rows::new(&data, 3, dim).unwrap();
            let wanted = separator(Isa::Scalar, dim, n_units, n_active).separate(rows);
            prop_assert_eq!(wanted.is_err(), rows.iter().any(|row| row.iter().all(|&x| x == 0.0)));
            for isa in Isa::available() {
                prop_assert_eq!(separator(isa, dim, n_units, n_active).separate(rows), wanted.clone());
            }
            for code in wanted.iter().flat_map(|codes| codes.chunks(n_active)) {
                prop_assert!(code.windows(2).all(|pair| pair[0] < pair[1]));
                prop_assert!(code[0] >= 0 && (code[n_active - 1] as usize) < n_units);
            }
        }

        /// A row's size is no part of its direction; powers of two are exact.
        #[test]
        fn codes_depend_on_the_direction_alone(data in prop::collection::vec(-1f32..1.0, 40), exponent in -90i32..90) {
            prop_assume!(data.iter().any(|x| x.abs() > 1e-6));
            let separator = separator(Isa::Scalar, 40, 1000, 20);
            let code = |data: &[f32]| separator.separate(Rows::new(data, 1, 40).unwrap()).unwrap();
            let scaled: Vec<f32> = data.iter().map(|x| if x.abs() < 1e-8 { 0.0 } else { x * 2f32.powi(exponent) }).collect();
            let data: Vec<f32> = data.iter().map(|&x| if x.abs() < 1e-8 { 0.0 } else { x }).collect();
            prop_assert_eq!(code(&scaled), code(&data));
        }
    }

    #[test]
    fn mean_and_transform_come_first() {
        let shape = CodeShape::new(500, 10).unwrap();
        let (mean, transform) = ([1.0, -2.0, 3e38], [0.0, 4.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0, 8.0]);
        let transform = Rows::new(&transform, 3, 3).unwrap();
        let plain = Separator::new(Isa::Scalar, 3, shape, 5, None, None).unwrap();
        let both = Separator::new(Isa::Scalar, 3, shape, 5, Some(&mean), Some(transform)).unwrap();
        let separate =
            |separator: &Separator, row: [f32; 3]| separator.separate(Rows::new(&row, 1, 3).unwrap());
        // (3, 0.5, 3e38) − mean = (2, 2.5, 0); times the transform (5, 8, 0).
        assert_eq!(separate(&both, [3.0, 0.5, 3e38]), separate(&plain, [5.0, 8.0, 0.0]));
        // A difference beyond the range of float32 is a direction all the same.
        assert_eq!(separate(&both, [1.0, -2.0, -3e38]), separate(&plain, [0.0, 0.0, -1.0]));
        assert!(separate(&both, mean).unwrap_err().to_string().contains("row 0"));
        assert!(separate(&plain, [0.0; 3]).unwrap_err().to_string().contains("all zeros"));
        assert!(separate(&plain, [0.0, f32::NAN, 1.0]).is_err());
    }

    #[test]
    fn bad_settings_are_refused() {
        let shape = CodeShape::new(500, 10).unwrap();
        let new = |dim, mean: Option<&[f32]>, transform: Option<(&[f32], usize)>| {
            let transform = transform.map(|(data, n)| Rows::new(data, n, data.len() / n).unwrap());
            Separator::new(Isa::Scalar, dim, shape, 0, mean, transform).map(drop)
        };
        assert!(new(0, None, None).is_err() && new(MOST_NUMBERS + 1, None, None).is_err());
        assert!(new(2, Some(&[0.0]), None).is_err() && new(1, Some(&[f32::NAN]), None).is_err());
        assert!(new(2, None, Some((&[1.0; 6], 3))).is_err() && new(2, None, Some((&[1.0; 6], 2))).is_err());
        assert!(
            new(2, None, Some((&[0.0; 4], 2))).is_err() && new(1, None, Some((&[f32::INFINITY], 1))).is_err()
        );
    }

    /// One of many numbers alone is a direction like all others.
    #[test]
    fn rows_of_one_number_have_codes_that_differ() {
        let separator = separator(Isa::Scalar, 384, 16384, 50);
        let code = |at: usize| {
            let row: Vec<f32> = (0..384).map(|i| f32::from(u8::from(i == at))).collect();
            separator.separate(Rows::new(&row, 1, 384).unwrap()).unwrap()
        };
        let first = code(0);
        for at in [1, 2, 64, 383] {
            let shared = code(at).iter().filter(|unit| first.contains(unit)).count();
            assert!(shared < 6, "{at}: {shared}");
        }
    }
}
