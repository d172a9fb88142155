//! The definition: short enough to trust. Every other variant is tested against it.

use super::{Line, Planes, Step};
use crate::kernels::line::LINE;

/// `Σ h·q` of each row.
pub fn dot_rows(rows: &[Line], query: &[Step], out: &mut [i32]) {
    if query.is_empty() {
        out.fill(0);
        return;
    }
    for (row, out) in rows.chunks_exact(query.len()).zip(out) {
        *out = dot(row, query);
    }
}

/// `Σ h·q` of each chosen row.
pub fn dot_chosen(rows: &[Line], chosen: &[u32], query: &[Step], out: &mut [i32]) {
    for (&row, out) in chosen.iter().zip(out) {
        let at = row as usize * query.len();
        *out = dot(&rows[at..at + query.len()], query);
    }
}

/// `Σ (16·h + l)·(128·a + b)` of each chosen row, modulo 2³².
pub fn dot_codes(planes: Planes<'_>, chosen: &[u32], [a, b]: [&[Step]; 2], out: &mut [i32]) {
    for (&row, out) in chosen.iter().zip(out) {
        let at = row as usize * planes.steps;
        let (high, low) = (&planes.high[at..at + planes.steps], &planes.low[at..at + planes.steps]);
        let sum = |half| dot(high, half).wrapping_mul(16).wrapping_add(dot(low, half));
        *out = sum(a).wrapping_mul(128).wrapping_add(sum(b));
    }
}

fn dot(row: &[Line], query: &[Step]) -> i32 {
    let mut sum = 0i32;
    for (line, step) in row.iter().zip(query) {
        for j in 0..LINE {
            let (first, second) = (line.0[j] & 15, line.0[j] >> 4);
            sum = sum.wrapping_add(i32::from(first) * i32::from(step[0].0[j]));
            sum = sum.wrapping_add(i32::from(second) * i32::from(step[1].0[j]));
        }
    }
    sum
}
