//! Asking for memory before it is needed.

/// Bytes that come together.
const LINE: usize = 64;

/// Asks for all lines of `items`, which are no larger than a line, and waits for none. Where there is no such instruction,
/// does nothing.
#[inline]
pub fn prefetch<T>(items: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for line in items.chunks(LINE / size_of::<T>()) {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: every x86-64 CPU has the instruction, and it never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (items, LINE);
}
