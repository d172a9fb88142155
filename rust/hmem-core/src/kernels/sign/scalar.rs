//! The definition: short enough to trust. Every other variant is tested against it.

use super::{BLOCK, GROUP, Line, Table};

/// The sums of all rows of all groups.
pub fn sums(groups: &[Line], tables: &[Table], out: &mut [u16]) {
    out.fill(0);
    if tables.is_empty() {
        return;
    }
    for (group, out) in groups.chunks_exact(GROUP * tables.len()).zip(out.chunks_exact_mut(GROUP * BLOCK)) {
        for (lines, [lower, upper]) in group.as_chunks::<GROUP>().0.iter().zip(tables) {
            for (sum, &bits) in out.iter_mut().zip(lines.iter().flat_map(|line| &line.0)) {
                let (first, second) = (lower[usize::from(bits & 15)], upper[usize::from(bits >> 4)]);
                *sum += u16::from(first) + u16::from(second);
            }
        }
    }
}
