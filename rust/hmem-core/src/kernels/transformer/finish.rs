//! From the integers of a product to what the next step wants.

use super::PART;
use super::function::gelu;
use crate::kernels::product::CHANNELS;
use crate::kernels::sixteen::{LANES, Sixteen, for_each_isa};

/// What turns a tile's integers into numbers: `sum · (row's scale · channel's scale) + bias`.
#[derive(Debug, Clone, Copy)]
pub struct Finish<'a> {
    /// One for each row of the tile.
    pub row_scales: &'a [f32],
    /// One for each channel of the panel.
    pub scales: &'a [f32; CHANNELS],
    /// As [`scales`](Self::scales).
    pub bias: &'a [f32; CHANNELS],
    /// How far apart rows of the output are.
    pub stride: usize,
}

for_each_isa! {
    /// Writes the numbers.
    pub fn product(sums: &[[i32; CHANNELS]], finish: Finish<'_>, out: &mut [f32]) = write;
}

for_each_isa! {
    /// Writes [GELU](super::function::gelu) of the numbers.
    pub fn product_gelu(sums: &[[i32; CHANNELS]], finish: Finish<'_>, out: &mut [f32]) = write_gelu;
}

for_each_isa! {
    /// Writes the numbers that are above zero, and else zero.
    pub fn product_relu(sums: &[[i32; CHANNELS]], finish: Finish<'_>, out: &mut [f32]) = write_relu;
}

for_each_isa! {
    /// Adds the numbers to what is there.
    pub fn add_product(sums: &[[i32; CHANNELS]], finish: Finish<'_>, out: &mut [f32]) = add;
}

#[inline(always)]
fn write<S: Sixteen>(proof: S::Proof, sums: &[[i32; CHANNELS]], finish: Finish<'_>, out: &mut [f32]) {
    each::<S>(proof, sums, finish, out, |numbers, _| numbers);
}

#[inline(always)]
fn write_gelu<S: Sixteen>(proof: S::Proof, sums: &[[i32; CHANNELS]], finish: Finish<'_>, out: &mut [f32]) {
    each::<S>(proof, sums, finish, out, |numbers, _| gelu(proof, numbers));
}

#[inline(always)]
fn write_relu<S: Sixteen>(proof: S::Proof, sums: &[[i32; CHANNELS]], finish: Finish<'_>, out: &mut [f32]) {
    each::<S>(proof, sums, finish, out, |numbers, _| numbers.or_larger(S::splat(proof, 0.0)));
}

#[inline(always)]
fn add<S: Sixteen>(proof: S::Proof, sums: &[[i32; CHANNELS]], finish: Finish<'_>, out: &mut [f32]) {
    each::<S>(proof, sums, finish, out, |numbers, there| S::load(proof, there).plus(numbers));
}

#[inline(always)]
fn each<S: Sixteen>(
    proof: S::Proof,
    sums: &[[i32; CHANNELS]],
    finish: Finish<'_>,
    out: &mut [f32],
    of: impl Fn(S, &[f32; LANES]) -> S,
) {
    let of_panel = |numbers: &[f32; CHANNELS]| {
        let (halves, _) = numbers.as_chunks::<LANES>();
        [S::load(proof, &halves[0]), S::load(proof, &halves[1])]
    };
    let (scales, bias) = (of_panel(finish.scales), of_panel(finish.bias));
    for ((sums, &row_scale), out) in sums.iter().zip(finish.row_scales).zip(out.chunks_mut(finish.stride)) {
        let row_scale = S::splat(proof, row_scale);
        let (sums, (out, _)) = (sums.as_chunks::<LANES>().0, out[..PART].as_chunks_mut::<LANES>());
        for half in 0..2 {
            let scale = scales[half].times(row_scale);
            let numbers = S::of_integers(proof, &sums[half]).times_plus(scale, bias[half]);
            of(numbers, &out[half]).store(&mut out[half]);
        }
    }
}
