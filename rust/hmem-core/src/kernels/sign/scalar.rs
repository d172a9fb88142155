//! The definition: short enough to trust. Every other variant is tested against it.

use super::{BLOCK, Line, Table};

/// The sums of all rows of all blocks.
pub fn sums(blocks: &[Line], tables: &[Table], out: &mut [u16]) {
    out.fill(0);
    if tables.is_empty() {
        return;
    }
    for (block, out) in blocks.chunks_exact(tables.len()).zip(out.as_chunks_mut::<BLOCK>().0) {
        for (line, [lower, upper]) in block.iter().zip(tables) {
            for (sum, &bits) in out.iter_mut().zip(&line.0) {
                let (first, second) = (lower[usize::from(bits & 15)], upper[usize::from(bits >> 4)]);
                *sum = sum.wrapping_add(u16::from(first) + u16::from(second));
            }
        }
    }
}
