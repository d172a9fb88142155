//! The definition: short enough to trust. Every other variant is tested against it.

use super::{LANES, LINE, Lanes, Line, QUAD};

/// Sums of all rows with all queries.
pub fn sums(rows: &[Line], lines_per_row: usize, queries: &[Lanes], out: &mut [i32]) {
    if lines_per_row == 0 {
        return;
    }
    let outs = out.chunks_exact_mut(queries.len() * LANES);
    for (row, out) in rows.chunks_exact(lines_per_row).zip(outs) {
        for (lanes, out) in queries.iter().zip(out.as_chunks_mut::<LANES>().0) {
            *out = [0; LANES];
            for (i, numbers) in lanes.0.iter().enumerate() {
                let quad = &row[i * QUAD / LINE].0[i * QUAD % LINE..][..QUAD];
                for (sum, numbers) in out.iter_mut().zip(numbers.0.as_chunks::<QUAD>().0) {
                    for (&c, &q) in quad.iter().zip(numbers) {
                        *sum += i32::from(c) * i32::from(q);
                    }
                }
            }
        }
    }
}
