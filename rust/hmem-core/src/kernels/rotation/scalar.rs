//! The definition: level after level. Every other variant is tested against it.

use super::Rotation;

pub(super) fn rounds(rotation: &Rotation, row: &mut [f32]) {
    rotation.each_round(row, |row, flips| {
        for (x, flip) in row.iter_mut().zip(flips) {
            *x = f32::from_bits(x.to_bits() ^ flip);
        }
        hadamard(row);
        for x in row {
            *x *= rotation.factor;
        }
    });
}

/// The Walsh–Hadamard transform, without its factor.
fn hadamard(row: &mut [f32]) {
    // Compilers make good code of small levels if they know how small.
    level(row, 1);
    level(row, 2);
    level(row, 4);
    level(row, 8);
    let mut half = 16;
    while half < row.len() {
        level(row, half);
        half *= 2;
    }
}

/// Sums and differences of numbers that are `half` places apart. Does nothing where the row is too short for a pair.
#[inline(always)]
fn level(row: &mut [f32], half: usize) {
    for pair in row.chunks_exact_mut(2 * half) {
        let (left, right) = pair.split_at_mut(half);
        for (a, b) in left.iter_mut().zip(right) {
            (*a, *b) = (*a + *b, *a - *b);
        }
    }
}
