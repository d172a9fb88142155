//! Memory for the limits of a search.

use std::cell::Cell;

/// Limits that are kept at most, 16 MB: beyond that, fresh memory takes a small part of a search.
const KEPT_AT_MOST: usize = 1 << 22;

/// Memory that a thread keeps for its next search: fresh memory is slower than the search that fills it.
pub(crate) struct Scratch(Vec<f32>);

thread_local! {
    static KEPT: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

impl Scratch {
    /// What this thread has kept.
    pub(crate) fn take() -> Self {
        Self(KEPT.take())
    }

    /// Room for `n` limits, whatever stood in it.
    pub(crate) fn limits(&mut self, n: usize) -> &mut [f32] {
        if self.0.len() < n {
            self.0.resize(n, 0.0);
        }
        &mut self.0[..n]
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.0.capacity() <= KEPT_AT_MOST {
            KEPT.set(std::mem::take(&mut self.0));
        }
    }
}
