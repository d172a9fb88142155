//! A file, mapped to be read: its pages are the system's, and shared by all processes that map it.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::{Deref, Range};

use memmap2::Mmap;

/// The bytes of a file that does not change.
pub struct Map(Mmap);

impl Map {
    /// Maps all of `file`.
    ///
    /// Who calls it knows that the file is never changed: files of a snapshot are written under another name, and only
    /// replaced or removed after that. Should a stranger write to it, bytes change under a search; should one cut it
    /// short, the system ends the process that reads behind the end.
    ///
    /// # Errors
    /// What the system says.
    pub fn of(file: &File) -> io::Result<Self> {
        // SAFETY: no process changes the file, see above; bytes of any value are bytes.
        unsafe { Mmap::map(file) }.map(Self)
    }

    /// Has the system put the pages of a range into memory and into this process's tables at once, where it can. It is also
    /// the last chance to hear of a page that cannot be read: whoever reads such a page is ended.
    ///
    /// # Errors
    /// What the system says.
    #[cfg(target_os = "linux")]
    pub fn populate(&self, range: Range<usize>) -> io::Result<()> {
        match self.0.advise_range(memmap2::Advice::PopulateRead, range.start, range.len()) {
            // Linux before 5.14 cannot; then each page comes when it is read.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            done => done,
        }
    }

    /// Where the system cannot be asked for pages, each of them comes when it is read.
    ///
    /// # Errors
    /// None.
    #[cfg(not(target_os = "linux"))]
    #[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "elsewhere they are needed")]
    pub fn populate(&self, _: Range<usize>) -> io::Result<()> {
        Ok(())
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map").field("len", &self.len()).finish_non_exhaustive()
    }
}
