//! Limits of many queries side by side, in float32.

#[cfg(target_arch = "x86_64")]
use super::avx512;
use super::{LANES, PerRow, reaching};
use crate::kernels::isa::Isa;
use crate::kernels::per_isa::per_isa;
use crate::kernels::sign::BLOCK;

/// How sums of many queries with one row become limits, and what these must reach; one entry a query.
#[derive(Debug, Clone)]
pub struct PerLane {
    /// What a sum has too much …
    pub minus: [i32; BLOCK],
    /// … and its unit.
    pub unit: [f32; BLOCK],
    /// Times a row's `offset`.
    pub gain: [f32; BLOCK],
    /// Times a row's `error`.
    pub reach: [f32; BLOCK],
    /// Taken from the limit; ∞ for a query that is not there.
    pub floor: [f32; BLOCK],
}

impl PerLane {
    /// No queries.
    pub const NONE: Self = Self {
        minus: [0; BLOCK],
        unit: [0.0; BLOCK],
        gain: [0.0; BLOCK],
        reach: [0.0; BLOCK],
        floor: [f32::INFINITY; BLOCK],
    };

    /// The limit of one row and query, and the part of it that stands for the row's error.
    #[inline]
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "the rounding of sums is part of the bound")]
    pub fn limit(&self, query: usize, sum: i32, rows: PerRow<'_>, row: usize) -> (f32, f32) {
        let sum = sum.wrapping_sub(self.minus[query]);
        let estimate =
            self.gain[query] * rows.offset[row] + rows.scale[row] * (self.unit[query] * sum as f32);
        let error = self.reach[query] * rows.error[row];
        (estimate + error, error)
    }
}

per_isa! {
    /// `gain·offset + scale·(unit·(sum - minus)) + reach·error - floor` for each row and query: `out[row][query]`. It is at
    /// least zero where the limit reaches the floor. Each row has as many sums as there are queries, `width`.
    ///
    /// # Panics
    /// If the lengths do not fit together.
    pub fn excesses(sums: &[i32], width: usize, rows: PerRow<'_>, queries: &PerLane, out: &mut [[f32; BLOCK]])
        -> () = all_excesses;
}

#[inline(always)]
#[allow(clippy::cast_precision_loss, reason = "the rounding of sums is part of the bound")]
fn all_excesses(sums: &[i32], width: usize, rows: PerRow<'_>, queries: &PerLane, out: &mut [[f32; BLOCK]]) {
    let (offset, scale, error) =
        (&rows.offset[..out.len()], &rows.scale[..out.len()], &rows.error[..out.len()]);
    assert!(width <= BLOCK && sums.len() == out.len() * width, "one sum a row and query");
    // 16 queries and all rows at a time: what belongs to a query stays in registers.
    for part in 0..BLOCK / LANES {
        let (minus, unit) = (lanes(&queries.minus, part), lanes(&queries.unit, part));
        let (gain, reach) = (lanes(&queries.gain, part), lanes(&queries.reach, part));
        let floor = lanes(&queries.floor, part);
        for (row, out) in out.iter_mut().enumerate() {
            let sums = &sums[row * width..][..width];
            let sums = sums.get(part * LANES..).unwrap_or_default();
            let sums = sums.first_chunk().copied().unwrap_or_else(|| padded(sums));
            let out = &mut out.as_chunks_mut::<LANES>().0[part];
            for i in 0..LANES {
                let sum = sums[i].wrapping_sub(minus[i]);
                let estimate = gain[i] * offset[row] + scale[row] * (unit[i] * sum as f32);
                out[i] = estimate + reach[i] * error[row] - floor[i];
            }
        }
    }
}

/// Which [`excesses`] of the first `width` queries are at least zero: bit `query` of `out[row]`.
///
/// # Panics
/// If the lengths do not fit together, or there are more than [`BLOCK`] rows.
pub fn entering(isa: Isa, sums: &[i32], width: usize, rows: PerRow<'_>, queries: &PerLane, out: &mut [u64]) {
    let n = out.len();
    let rows = PerRow { offset: &rows.offset[..n], scale: &rows.scale[..n], error: &rows.error[..n] };
    assert!(n <= BLOCK && width <= BLOCK && sums.len() == n * width, "one sum a row and query");
    #[cfg(target_arch = "x86_64")]
    if let Isa::Avx512(proof) = isa
        && width.is_multiple_of(LANES)
    {
        avx512::entering(proof, sums, width, rows, queries, out);
        return;
    }
    let mut excess = [[0.0; BLOCK]; BLOCK];
    excesses(isa, sums, width, rows, queries, &mut excess[..n]);
    for (out, excess) in out.iter_mut().zip(&excess) {
        *out = reaching(isa, &excess[..width], 0.0);
    }
}

#[inline(always)]
pub(super) fn lanes<T: Copy>(all: &[T; BLOCK], part: usize) -> [T; LANES] {
    all.as_chunks().0[part]
}

fn padded(sums: &[i32]) -> [i32; LANES] {
    let mut wide = [0; LANES];
    wide[..sums.len()].copy_from_slice(sums);
    wide
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excesses_are_those_of_each_row_and_query() {
        let (offset, scale, error) = ([0.5, -0.25, 0.0], [2.0, 1.0, 0.5], [0.25, 0.5, 1.0]);
        let rows = PerRow { offset: &offset, scale: &scale, error: &error };
        let mut queries = PerLane::NONE;
        for (q, step) in (0..BLOCK).zip(0u8..) {
            queries.minus[q] = i32::from(step);
            (queries.unit[q], queries.gain[q]) = (0.5, f32::from(step));
            (queries.reach[q], queries.floor[q]) = (f32::from(step) / 4.0, 3.0);
        }
        for (isa, width) in Isa::available().into_iter().flat_map(|isa| (0..=BLOCK).map(move |w| (isa, w))) {
            let sums: Vec<i32> = (0..).step_by(7).take(3 * width).collect();
            let mut out = [[f32::NAN; BLOCK]; 3];
            excesses(isa, &sums, width, rows, &queries, &mut out);
            for (row, out) in out.iter().enumerate() {
                for (q, &got) in out.iter().enumerate() {
                    let sum = if q < width { sums[row * width + q] } else { 0 };
                    // Few bits: nothing is rounded.
                    let estimate =
                        queries.gain[q] * offset[row] + scale[row] * 0.5 * (sum - queries.minus[q]) as f32;
                    assert_eq!(got, estimate + queries.reach[q] * error[row] - 3.0, "{isa:?}, {width}");
                }
            }
        }
    }
}
