//! Memory for the limits of a search.

use super::limit::Limited;

/// What is kept at most, in bytes: beyond that, fresh memory takes a small part of a search.
const KEPT_AT_MOST: usize = 1 << 24;

/// Memory that a thread keeps for its next search: fresh memory is slower than the search that fills it.
pub(crate) struct Scratch<L: Limited>(Vec<L>);

impl<L: Limited> Scratch<L> {
    /// What this thread has kept.
    pub(crate) fn take() -> Self {
        Self(L::kept().take())
    }

    /// Room for `n` limits, whatever stood in it.
    pub(crate) fn limits(&mut self, n: usize) -> &mut [L] {
        if self.0.len() < n {
            self.0.resize(n, L::NONE);
        }
        &mut self.0[..n]
    }
}

impl<L: Limited> Drop for Scratch<L> {
    fn drop(&mut self) {
        if self.0.capacity() * size_of::<L>() <= KEPT_AT_MOST {
            L::kept().set(std::mem::take(&mut self.0));
        }
    }
}
