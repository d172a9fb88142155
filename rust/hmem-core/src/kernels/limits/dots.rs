//! Limits of one query, in float32, from sums of 4-bit or 8-bit codes.

use super::LANES;
use crate::kernels::per_isa::per_isa;
use crate::kernels::sign::BLOCK;

/// What stands beside each row's code.
#[derive(Debug, Clone, Copy)]
pub struct PerRow<'a> {
    /// What the row's product with the centre adds, for each `gain`.
    pub offset: &'a [f32],
    /// One unit of the row's code.
    pub scale: &'a [f32],
    /// How far the row is from its code.
    pub error: &'a [f32],
}

/// How sums of one query become limits.
#[derive(Debug, Clone, Copy)]
pub struct PerQuery {
    /// An integer sum `s` stands for `times · s - minus` …
    pub times: i32,
    /// …
    pub minus: i32,
    /// … units of this size.
    pub unit: f32,
    /// Times a row's `offset`.
    pub gain: f32,
    /// Times a row's `error`.
    pub reach: f32,
}

per_isa! {
    /// `gain·offset + scale·(unit·(times·sum - minus)) + reach·error` for each row of [`dot_rows`](crate::kernels::nibble::dot_rows)'
    /// sums, and the largest of each [`BLOCK`] of rows. `times·sum - minus` may wrap where the true result fits 32 bits.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn upper_limits_of_dots(sums: &[i32], rows: PerRow<'_>, query: PerQuery, out: &mut [f32], largest: &mut [f32])
        -> () = upper_limits;
}

#[inline(always)]
#[allow(clippy::cast_precision_loss, reason = "the rounding of sums is part of the bound")]
fn upper_limits(sums: &[i32], rows: PerRow<'_>, query: PerQuery, out: &mut [f32], largest: &mut [f32]) {
    let n = out.len();
    let (sums, offset, scale, error) = (&sums[..n], &rows.offset[..n], &rows.scale[..n], &rows.error[..n]);
    for i in 0..n {
        let sum = sums[i].wrapping_mul(query.times).wrapping_sub(query.minus);
        let estimate = query.gain * offset[i] + scale[i] * (query.unit * sum as f32);
        out[i] = estimate + query.reach * error[i];
    }
    largest_of_blocks(out, largest);
}

per_isa! {
    /// `limits + times·logs`, each product and each sum rounded once, and the largest of each [`BLOCK`].
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn widened_limits(limits: &[f32], logs: &[f32], times: f32, out: &mut [f32], largest: &mut [f32])
        -> () = widened;
}

#[inline(always)]
fn widened(limits: &[f32], logs: &[f32], times: f32, out: &mut [f32], largest: &mut [f32]) {
    let n = out.len();
    let (limits, logs) = (&limits[..n], &logs[..n]);
    for i in 0..n {
        out[i] = limits[i] + times * logs[i];
    }
    largest_of_blocks(out, largest);
}

#[inline(always)]
fn largest_of_blocks(limits: &[f32], largest: &mut [f32]) {
    assert_eq!(largest.len(), limits.len().div_ceil(BLOCK), "one a block");
    for (largest, limits) in largest.iter_mut().zip(limits.chunks(BLOCK)) {
        *largest = largest_of(limits);
    }
}

#[inline(always)]
fn largest_of(limits: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let (steps, tail) = limits.as_chunks::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for step in steps {
        for (lane, &limit) in lanes.iter_mut().zip(step) {
            *lane = larger(*lane, limit);
        }
    }
    lanes.iter().chain(tail).copied().fold(f32::NEG_INFINITY, larger)
}

#[cfg(test)]
mod tests {
    use super::super::reach::bits;
    use super::super::reaching;
    use super::*;
    use crate::kernels::isa::Isa;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_variant_gives_the_same_limits_and_bits(
            rows in prop::collection::vec((-70_000i32..70_000, -1f32..1.0, 0f32..1.0, 0f32..0.1), 0..150),
            unit in 1e-6f32..1.0,
            floor in -2f32..2.0,
        ) {
            let column = |f: fn(&(i32, f32, f32, f32)) -> f32| rows.iter().map(f).collect::<Vec<_>>();
            let (offset, scale, error) = (column(|row| row.1), column(|row| row.2), column(|row| row.3));
            let sums: Vec<i32> = rows.iter().map(|row| row.0).collect();
            let rows = PerRow { offset: &offset, scale: &scale, error: &error };
            let query = PerQuery { times: 32, minus: 241, unit, gain: 0.3, reach: 1.1 };
            let wanted: Vec<f32> = (0..sums.len())
                .map(|i| 0.3 * offset[i] + scale[i] * (unit * (sums[i] * 32 - 241) as f32) + 1.1 * error[i])
                .collect();
            for isa in Isa::available() {
                let mut limits = vec![f32::NAN; sums.len()];
                let mut largest = vec![f32::NAN; sums.len().div_ceil(BLOCK)];
                upper_limits_of_dots(isa, &sums, rows, query, &mut limits, &mut largest);
                prop_assert_eq!(&limits, &wanted);
                let (mut wide, mut widest) = (limits.clone(), largest.clone());
                widened_limits(isa, &limits, &scale, 0.7, &mut wide, &mut widest);
                for (i, wide) in wide.iter().enumerate() {
                    prop_assert_eq!(*wide, limits[i] + 0.7 * scale[i]);
                }
                for (block, widest) in wide.chunks(BLOCK).zip(widest) {
                    prop_assert_eq!(widest, block.iter().copied().fold(f32::NEG_INFINITY, f32::max));
                }
                for (block, largest) in wanted.chunks(BLOCK).zip(largest) {
                    prop_assert_eq!(largest, block.iter().copied().fold(f32::NEG_INFINITY, f32::max));
                    prop_assert_eq!(reaching(isa, block, floor), bits(block, floor));
                    prop_assert_eq!(reaching(isa, block, block[0]) & 1, 1);
                }
            }
        }
    }
}
