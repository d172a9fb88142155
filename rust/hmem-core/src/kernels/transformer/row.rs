//! Rows into other forms.

use super::{lanes, lanes_mut};
use crate::kernels::sixteen::{LANES, Sixteen, for_each_isa};

for_each_isa! {
    /// `codes · scale + other`: an embedding, and what is added to it.
    pub fn embed(codes: &[i8], scale: f32, other: &[f32], out: &mut [f32]) = embed_rows;
}

#[inline(always)]
fn embed_rows<S: Sixteen>(proof: S::Proof, codes: &[i8], scale: f32, other: &[f32], out: &mut [f32]) {
    let scale = S::splat(proof, scale);
    for ((codes, other), out) in codes.as_chunks().0.iter().zip(lanes(other)).zip(lanes_mut(out)) {
        S::of_bytes(proof, codes).times_plus(scale, S::load(proof, other)).store(out);
    }
}

for_each_isa! {
    /// Adds a row to another.
    pub fn add_row(row: &[f32], to: &mut [f32]) = add_rows;
}

#[inline(always)]
fn add_rows<S: Sixteen>(proof: S::Proof, row: &[f32], to: &mut [f32]) {
    for (row, to) in lanes(row).iter().zip(lanes_mut(to)) {
        S::load(proof, to).plus(S::load(proof, row)).store(to);
    }
}

/// Rows with nothing larger in them count as zero: the quotients below would overflow.
const NOTHING: f32 = 1e-30;

for_each_isa! {
    /// A row as integers within ±127, and what one of them stands for: the largest magnitude over 127. Each number is multiplied by
    /// 127 over the largest magnitude and rounded to the nearest integer, to even between two.
    pub fn quantise(row: &[f32], out: &mut [i8]) -> f32 = quantise_row;
}

#[inline(always)]
fn quantise_row<S: Sixteen>(proof: S::Proof, row: &[f32], out: &mut [i8]) -> f32 {
    let mut largest = S::splat(proof, 0.0);
    for numbers in lanes(row) {
        largest = S::load(proof, numbers).magnitude().or_larger(largest);
    }
    let largest = largest.largest();
    if largest < NOTHING {
        out.fill(0);
        return 0.0;
    }
    let factor = S::splat(proof, 127.0 / largest);
    for (numbers, out) in lanes(row).iter().zip(out.as_chunks_mut::<LANES>().0) {
        S::load(proof, numbers).times(factor).store_bytes(out);
    }
    largest / 127.0
}
