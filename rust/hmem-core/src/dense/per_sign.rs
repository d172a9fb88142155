//! What stands beside each row's signs: a few numbers, counted in steps.

use crate::kernels::limits::shape;
use crate::kernels::memory::Column;

/// Numbers for each row of signs, in few bits, since they are read with every row: how many steps from the middle.
#[derive(Debug, Default)]
pub struct PerSign {
    /// `(x - c)·c`.
    pub offset: Column<i16>,
    /// See [`shape`].
    pub shape: Column<i16>,
    /// What an offset counts.
    pub offset_steps: Steps,
    /// See the head of [`codes`](super::codes).
    pub factor_steps: Steps,
    /// See the head of [`codes`](super::codes); never too small.
    pub spread_steps: Steps,
}

impl PerSign {
    #[allow(clippy::cast_possible_truncation, reason = "counts are in the range of their integers")]
    pub(super) fn new(offset: &[f32], factor: &[f32], spread: &[f32]) -> Self {
        let offset_steps = Steps::new(offset, OFFSETS);
        let [factor_steps, spread_steps] = [factor, spread].map(|numbers| Steps::new(numbers, SHAPES));
        let shapes = factor.iter().zip(spread).map(|(&factor, &spread)| {
            let factor = factor_steps.count(factor, f64::round) as i8;
            shape(factor, spread_steps.count(spread, f64::ceil) as i8)
        });
        let shape = shapes.collect();
        let offset = offset.iter().map(|&x| offset_steps.count(x, f64::round) as i16).collect();
        Self { offset, shape, offset_steps, factor_steps, spread_steps }
    }
}

/// How numbers of a known range are counted in steps.
#[derive(Debug, Clone, Copy, Default)]
pub struct Steps {
    /// What no steps stand for.
    pub middle: f64,
    /// One step.
    pub step: f64,
    /// The least count and the largest.
    pub(super) range: [f64; 2],
}

/// The range of an offset's count …
pub(super) const OFFSETS: [f64; 2] = [i16::MIN as f64, i16::MAX as f64];

/// … and of those in a shape.
pub(super) const SHAPES: [f64; 2] = [i8::MIN as f64, i8::MAX as f64];

impl Steps {
    /// The least of the numbers is the least of the range, the largest the largest.
    fn new(numbers: &[f32], range: [f64; 2]) -> Self {
        let [least, most] = range;
        let smallest = f64::from(numbers.iter().copied().fold(f32::INFINITY, f32::min));
        let largest = f64::from(numbers.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let step = (largest - smallest) / (most - least);
        Self { middle: smallest - least * step, step, range }
    }

    /// `round` gives a whole number of steps for a fraction of them.
    fn count(&self, x: f32, round: fn(f64) -> f64) -> f64 {
        let [least, most] = self.range;
        // Where all numbers are equal, there are no steps.
        if self.step > 0.0 { round((f64::from(x) - self.middle) / self.step).clamp(least, most) } else { 0.0 }
    }

    /// The magnitude of the farthest count.
    #[must_use]
    pub fn farthest(&self) -> f64 {
        self.range[0].abs()
    }
}
