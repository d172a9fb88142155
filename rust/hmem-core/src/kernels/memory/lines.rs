//! Memory for many lines, in huge pages where the system has them.
//!
//! A search of a large index jumps about in hundreds of megabytes. Where memory comes in pages of 4 KiB, the processor must
//! look up at nearly every jump where the page is; in pages of 2 MiB, it nearly always knows. Linux gives such pages to a
//! program that asks for them, unless it was told not to.

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, handle_alloc_error};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::slice;

use crate::kernels::line::Line;

/// Bytes of a huge page, where these can be asked for. Less memory than one is left as it comes.
const HUGE: usize = if cfg!(all(target_os = "linux", not(miri))) { 2 << 20 } else { usize::MAX };

/// Lines of one allocation.
pub struct Lines {
    start: NonNull<Line>,
    n: usize,
}

// SAFETY: lines are plain bytes, and nothing else points to these.
unsafe impl Send for Lines {}
// SAFETY: as above; they change through exclusive references alone.
unsafe impl Sync for Lines {}

impl Lines {
    /// So many lines of zeros.
    ///
    /// # Panics
    /// If they are larger than the address space.
    #[must_use]
    pub fn zeroed(n: usize) -> Self {
        if n == 0 {
            return Self { start: NonNull::dangling(), n };
        }
        let layout = layout(n);
        // SAFETY: the layout has a size. Zero bytes are lines.
        let start = unsafe {
            if layout.size() < HUGE {
                alloc_zeroed(layout)
            } else {
                let start = alloc(layout);
                if !start.is_null() {
                    ask_for_huge_pages(start, layout.size());
                    start.write_bytes(0, layout.size());
                }
                start
            }
        };
        match NonNull::new(start.cast()) {
            Some(start) => Self { start, n },
            None => handle_alloc_error(layout),
        }
    }
}

impl Lines {
    /// Their bytes.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let lines: &mut [Line] = self;
        // SAFETY: lines are plain bytes, of which any value will do; the slice has these bytes and no more.
        unsafe { slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), size_of_val(lines)) }
    }
}

fn layout(n: usize) -> Layout {
    let lines = Layout::array::<Line>(n);
    let aligned = lines.and_then(|lines| lines.align_to(if lines.size() < HUGE { 1 } else { HUGE }));
    aligned.expect("lines fit the address space")
}

/// For the whole huge pages among so many bytes; what is left over stays in small ones, so that none is larger than what
/// was asked for.
///
/// # Safety
/// The bytes are the caller's, and begin where a huge page can.
#[cfg(all(target_os = "linux", not(miri)))]
unsafe fn ask_for_huge_pages(start: *mut u8, bytes: usize) {
    // Where the system has none to give, pages are small: nothing else changes.
    // SAFETY: this changes how memory is mapped, not what is in it.
    unsafe { libc::madvise(start.cast(), bytes / HUGE * HUGE, libc::MADV_HUGEPAGE) };
}

#[cfg(not(all(target_os = "linux", not(miri))))]
unsafe fn ask_for_huge_pages(_: *mut u8, _: usize) {}

impl Drop for Lines {
    fn drop(&mut self) {
        if self.n > 0 {
            // SAFETY: it was allocated with this layout, which depends on `n` alone.
            unsafe { dealloc(self.start.as_ptr().cast(), layout(self.n)) }
        }
    }
}

impl Deref for Lines {
    type Target = [Line];

    fn deref(&self) -> &[Line] {
        // SAFETY: `n` lines that were written, or none at an aligned address.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.n) }
    }
}

impl DerefMut for Lines {
    fn deref_mut(&mut self) -> &mut [Line] {
        // SAFETY: as above, and they are borrowed exclusively.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.n) }
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("n", &self.n).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many lines as fill a huge page.
    const MANY: usize = (2 << 20) / size_of::<Line>();

    #[test]
    fn lines_are_zeros_keep_what_is_written_and_go_where_they_are_sent() {
        for n in [0, 1, 100, MANY - 1, MANY, MANY + 1, 3 * MANY + 77] {
            // The second and the third may get memory that the first gave back.
            for _ in 0..3 {
                let mut lines = Lines::zeroed(n);
                assert_eq!(lines.len(), n);
                assert!(size_of_val(&*lines) < HUGE || lines.as_ptr().addr().is_multiple_of(HUGE));
                assert!(lines.iter().all(|line| *line == Line::ZERO), "{n} lines");
                for (i, line) in lines.iter_mut().enumerate() {
                    *line = Line([i as u8 | 1; 64]);
                }
                let sum = |lines: &[Line]| lines.iter().map(|line| u64::from(line.0[63])).sum::<u64>();
                let here = sum(&lines);
                assert_eq!(std::thread::spawn(move || sum(&lines)).join().unwrap(), here);
            }
        }
    }

    #[test]
    #[should_panic(expected = "lines fit the address space")]
    fn more_lines_than_there_are_addresses_are_refused() {
        drop(Lines::zeroed(usize::MAX / 8));
    }
}
