//! The definition: level after level. Every other variant is tested against it.

use super::Projection;

pub(super) fn apply(projection: &Projection, row: &[i16], out: &mut [i16]) {
    let lanes = projection.lanes;
    let signs = projection.signs.chunks_exact(lanes);
    for ((out, signs), x) in out.chunks_exact_mut(lanes).zip(signs).zip(row) {
        for (out, sign) in out.iter_mut().zip(signs) {
            *out = x * i16::from(*sign);
        }
    }
    let mut half = lanes;
    while half < out.len() {
        for pair in out.chunks_exact_mut(2 * half) {
            let (left, right) = pair.split_at_mut(half);
            for (a, b) in left.iter_mut().zip(right) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half *= 2;
    }
}
