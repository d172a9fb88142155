//! The definition: short enough to trust. Every other variant is tested against it.

use super::LANES;
use crate::rows::Rows;

/// Inner product of `query` with each of `rows`.
pub fn dot_rows(rows: Rows<'_, f32>, query: &[f32], out: &mut [f32]) {
    for (row, out) in rows.iter().zip(out) {
        *out = dot(row, query);
    }
}

/// Inner product of two slices of equal length.
#[must_use]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0f32; LANES];
    let (a_steps, a_tail) = a.as_chunks::<LANES>();
    let (b_steps, b_tail) = b.as_chunks::<LANES>();
    for (a, b) in a_steps.iter().zip(b_steps) {
        step(&mut lanes, a, b);
    }
    if !a_tail.is_empty() {
        step(&mut lanes, &padded(a_tail), &padded(b_tail));
    }
    for half in [8, 4, 2, 1] {
        for j in 0..half {
            lanes[j] += lanes[j + half];
        }
    }
    lanes[0]
}

fn step(lanes: &mut [f32; LANES], a: &[f32; LANES], b: &[f32; LANES]) {
    for j in 0..LANES {
        lanes[j] = a[j].mul_add(b[j], lanes[j]);
    }
}

/// Also used by variants without masked loads.
pub(super) fn padded(tail: &[f32]) -> [f32; LANES] {
    let mut step = [0.0; LANES];
    step[..tail.len()].copy_from_slice(tail);
    step
}
