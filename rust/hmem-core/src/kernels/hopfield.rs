//! One update of a modern Hopfield network in three parts: how much a state resembles each pattern ([`products`]), how much each
//! pattern counts ([`weights`]), and their weighted sum ([`blend`]).
//!
//! * [`products`]: 16 float32 lanes, order and error as in [`dot`](super::dot).
//! * [`weights`]: float64, one number after the other.
//! * [`blend`]: each column is one float32 number that takes the rows in their order, each by one fused multiply-add. A number
//!   passes through at most [`MOST_ROWS`] roundings: `|computed − exact| ≤ γ · Σ |wᵢ·pᵢ|` with `γ = s·u / (1 − s·u)`, `s = MOST_ROWS`,
//!   `u = 2⁻²⁴`.
//! * Same bits from every variant.
//! * Input: finite numbers, and no product of row and state, nor of row and weight, beyond 2¹⁰⁰.

use super::exp::exp;
use super::per_isa::per_isa;
use super::sixteen::{LANES, Sixteen, for_each_isa};

/// Rows that [`blend`] takes at once.
pub const MOST_ROWS: usize = 64;

/// Rows, or steps of columns, whose sums are taken side by side: an addition waits four cycles for the one before it.
const TOGETHER: usize = 4;

/// A pattern that counts less beside one that counts 1 has no weight: what it adds is far below the last bit, and numbers as small
/// as its products can be slow.
const LEAST: f64 = 1e-20;

for_each_isa! {
    /// Inner product of `state` with each of `rows`.
    ///
    /// # Panics
    /// If a row is narrower than the state, or `out` has not one place a row.
    pub fn products(rows: &[&[f32]], state: &[f32], out: &mut [f32]) = products_of;
}

for_each_isa! {
    /// `out = Σ weights[i] · rows[i]`.
    ///
    /// # Panics
    /// If there are more than [`MOST_ROWS`], a row is narrower than `out`, or there is not one weight a row.
    pub fn blend(rows: &[&[f32]], weights: &[f32], out: &mut [f32]) = blended;
}

per_isa! {
    /// `out[i] = exp(beta · (sᵢ − max s)) · inverse_norms[i]` with `s = products · inverse_norms`. With `beta = ∞` the largest count
    /// 1, all others 0.
    ///
    /// # Panics
    /// If lengths differ.
    pub fn weights(products: &[f32], inverse_norms: &[f64], beta: f64, out: &mut [f32]) = weights_of;
}

per_isa! {
    /// `out = row · factor`, multiplied in float64 and rounded.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn scaled(row: &[f32], factor: f64, out: &mut [f32]) = scaled_row;
}

#[inline(always)]
fn products_of<S: Sixteen>(proof: S::Proof, rows: &[&[f32]], state: &[f32], out: &mut [f32]) {
    assert_eq!(rows.len(), out.len(), "one place a row");
    let (fours, rest) = rows.as_chunks::<TOGETHER>();
    let (out_fours, out_rest) = out.as_chunks_mut::<TOGETHER>();
    for (four, out) in fours.iter().zip(out_fours) {
        *out = product_with::<S, TOGETHER>(proof, four, state);
    }
    for (row, out) in rest.iter().zip(out_rest) {
        [*out] = product_with::<S, 1>(proof, &[row], state);
    }
}

#[inline(always)]
fn product_with<S: Sixteen, const R: usize>(proof: S::Proof, rows: &[&[f32]; R], state: &[f32]) -> [f32; R] {
    let mut sums = [S::splat(proof, 0.0); R];
    let (steps, tail) = state.as_chunks::<LANES>();
    let mut rows_steps: [&[[f32; LANES]]; R] = [&[]; R];
    for r in 0..R {
        rows_steps[r] = &rows[r][..state.len()].as_chunks::<LANES>().0[..steps.len()];
    }
    for (i, step) in steps.iter().enumerate() {
        let state = S::load(proof, step);
        for r in 0..R {
            sums[r] = S::load(proof, &rows_steps[r][i]).times_plus(state, sums[r]);
        }
    }
    if !tail.is_empty() {
        let from = steps.len() * LANES;
        let state = S::load(proof, &padded(tail));
        for r in 0..R {
            sums[r] = S::load(proof, &padded(&rows[r][from..from + tail.len()])).times_plus(state, sums[r]);
        }
    }
    let mut products = [0.0; R];
    for r in 0..R {
        products[r] = sums[r].sum();
    }
    products
}

#[inline(always)]
fn blended<S: Sixteen>(proof: S::Proof, rows: &[&[f32]], weights: &[f32], out: &mut [f32]) {
    assert!(rows.len() <= MOST_ROWS, "{} rows", rows.len());
    assert_eq!(rows.len(), weights.len(), "one weight a row");
    let d = out.len();
    let (steps, tail) = out.as_chunks_mut::<LANES>();
    let mut from = 0;
    let (groups, rest) = steps.as_chunks_mut::<TOGETHER>();
    for group in groups {
        let sums = columns::<S, TOGETHER>(proof, rows, weights, from);
        for c in 0..TOGETHER {
            sums[c].store(&mut group[c]);
        }
        from += TOGETHER * LANES;
    }
    for step in rest {
        let [sum] = columns::<S, 1>(proof, rows, weights, from);
        sum.store(step);
        from += LANES;
    }
    if !tail.is_empty() {
        let mut sum = S::splat(proof, 0.0);
        for (row, &weight) in rows.iter().zip(weights) {
            sum = S::load(proof, &padded(&row[from..d])).times_plus(S::splat(proof, weight), sum);
        }
        let mut step = [0.0; LANES];
        sum.store(&mut step);
        tail.copy_from_slice(&step[..tail.len()]);
    }
}

/// The weighted sums of `C · 16` columns.
#[inline(always)]
fn columns<S: Sixteen, const C: usize>(
    proof: S::Proof,
    rows: &[&[f32]],
    weights: &[f32],
    from: usize,
) -> [S; C] {
    let mut sums = [S::splat(proof, 0.0); C];
    for (row, &weight) in rows.iter().zip(weights) {
        let weight = S::splat(proof, weight);
        let steps = row[from..from + C * LANES].as_chunks::<LANES>().0;
        for c in 0..C {
            sums[c] = S::load(proof, &steps[c]).times_plus(weight, sums[c]);
        }
    }
    sums
}

#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "rounding to float32 is the purpose")]
fn weights_of(products: &[f32], inverse_norms: &[f64], beta: f64, out: &mut [f32]) {
    let n = out.len();
    assert_eq!((products.len(), inverse_norms.len()), (n, n), "one number a pattern");
    let similarity = |i: usize| f64::from(products[i]) * inverse_norms[i];
    let mut largest = f64::NEG_INFINITY;
    for i in 0..n {
        let similarity = similarity(i);
        largest = if similarity > largest { similarity } else { largest };
    }
    for i in 0..n {
        let below = similarity(i) - largest;
        // Spelled out, since ∞ · 0 is no number: with beta = ∞ the closest patterns share all weight.
        let weight = if below == 0.0 { 1.0 } else { exp(beta * below) };
        out[i] = if weight < LEAST { 0.0 } else { (weight * inverse_norms[i]) as f32 };
    }
}

#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "rounding to float32 is the purpose")]
fn scaled_row(row: &[f32], factor: f64, out: &mut [f32]) {
    assert_eq!(row.len(), out.len(), "width of both rows");
    for (out, &x) in out.iter_mut().zip(row) {
        *out = (f64::from(x) * factor) as f32;
    }
}

/// What is left behind whole steps, as a step of its own.
#[inline(always)]
fn padded(tail: &[f32]) -> [f32; LANES] {
    let mut step = [0.0; LANES];
    step[..tail.len()].copy_from_slice(tail);
    step
}

/// The checks of all variants against the definition, callable from a plain program (see `examples/check_kernels.rs`).
#[doc(hidden)]
pub mod checks {
    use super::super::dot::scalar::dot;
    use super::super::random::Random;
    use super::{blend, products, scaled, weights};
    use crate::kernels::isa::Isa;

    /// Compares bits for all `widths`, unaligned starts among them, and numbers of rows around the blocks.
    ///
    /// # Panics
    /// If they differ.
    pub fn same_bits(isa: Isa, widths: impl IntoIterator<Item = usize>) {
        let mut random = Random::new(5);
        for d in widths {
            let n = [0, 1, 2, 3, 4, 5, 8, 20, 63, 64][d % 10];
            let start = d % 7;
            let mut numbers = |count: usize| -> Vec<f32> {
                (0..count).map(|_| f32::from(random.next_i8(127)) / 77.0).collect()
            };
            let (data, state) = (numbers(start + n * d), numbers(d));
            let rows: Vec<&[f32]> = (0..n).map(|i| &data[start + i * d..start + (i + 1) * d]).collect();
            let inverse_norms: Vec<f64> = (0..n).map(|i| 1.0 / (1.0 + i as f64)).collect();

            let mut found = vec![f32::NAN; n];
            products(isa, &rows, &state, &mut found);
            for (row, &product) in rows.iter().zip(&found) {
                assert_eq!(product.to_bits(), dot(row, &state).to_bits(), "{isa:?}: product, width {d}");
            }
            let mut counts = vec![f32::NAN; n];
            weights(isa, &found, &inverse_norms, 3.0, &mut counts);
            let mut wanted = vec![f32::NAN; n];
            weights(Isa::Scalar, &found, &inverse_norms, 3.0, &mut wanted);
            assert_eq!(bits(&counts), bits(&wanted), "{isa:?}: weights, width {d}");

            let mut mean = vec![f32::NAN; d];
            blend(isa, &rows, &counts, &mut mean);
            let column =
                |c: usize| rows.iter().zip(&counts).fold(0f32, |sum, (row, &w)| row[c].mul_add(w, sum));
            assert_eq!(
                bits(&mean),
                bits(&(0..d).map(column).collect::<Vec<_>>()),
                "{isa:?}: blend, width {d}"
            );

            let mut unit = vec![f32::NAN; d];
            scaled(isa, &mean, 0.3, &mut unit);
            let mut wanted = vec![f32::NAN; d];
            scaled(Isa::Scalar, &mean, 0.3, &mut wanted);
            assert_eq!(bits(&unit), bits(&wanted), "{isa:?}: scaled, width {d}");
        }
    }

    fn bits(numbers: &[f32]) -> Vec<u32> {
        numbers.iter().map(|x| x.to_bits()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::isa::Isa;

    #[test]
    fn every_variant_gives_the_bits_of_the_definition() {
        for isa in Isa::available() {
            checks::same_bits(isa, 0..=200);
            checks::same_bits(isa, [384, 500]);
        }
    }

    #[test]
    fn an_infinite_beta_lets_the_closest_share_all_weight() {
        for isa in Isa::available() {
            let mut out = [f32::NAN; 4];
            weights(isa, &[0.5, 0.25, 0.5, -0.5], &[1.0, 2.0, 1.0, 1.0], f64::INFINITY, &mut out);
            assert_eq!(out, [1.0, 2.0, 1.0, 0.0]);
        }
    }

    #[test]
    #[should_panic(expected = "65 rows")]
    fn too_many_rows_at_once_are_refused() {
        blend(Isa::Scalar, &[&[1.0][..]; 65], &[1.0; 65], &mut [0.0]);
    }
}
