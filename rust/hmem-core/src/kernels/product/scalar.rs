//! The definition.

use super::{CHANNELS, QUAD, Step, Sums};

pub(super) fn tile(rows: &[i8], k: usize, panel: &[Step], sums: &mut Sums) {
    for (row, sums) in rows.chunks_exact(k).zip(sums) {
        *sums = [0; CHANNELS];
        for (numbers, step) in row.as_chunks::<QUAD>().0.iter().zip(panel) {
            for (sum, channel) in sums.iter_mut().zip(step.as_chunks::<QUAD>().0) {
                for (&number, &code) in numbers.iter().zip(channel) {
                    *sum += i32::from(number) * i32::from(code);
                }
            }
        }
    }
}
