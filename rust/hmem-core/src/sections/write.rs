//! Columns into a file.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

use super::Kind;
use super::blocks::Blocks;
use super::head::{Counts, Head, Identity};
use super::kind::PAGE;
use crate::kernels::memory::{Plain, bytes_of};

/// The columns of a segment, gathered to be written.
#[derive(Debug)]
pub struct Sections<'a> {
    counts: Counts,
    /// One for each of [`Kind::ALL`]; empty until it is put in.
    bytes: Vec<Cow<'a, [u8]>>,
}

impl<'a> Sections<'a> {
    /// Of a segment that has so much; all are empty.
    #[must_use]
    pub fn new(counts: Counts) -> Self {
        Self { counts, bytes: vec![Cow::Borrowed(&[]); Kind::ALL.len()] }
    }

    /// Puts a section in.
    pub fn put<T: Plain>(&mut self, kind: Kind, numbers: &'a [T]) {
        self.bytes[kind as usize - 1] = Cow::Borrowed(bytes_of(numbers));
    }

    /// Puts a small section in, by a copy.
    pub fn put_copy<T: Plain>(&mut self, kind: Kind, numbers: &[T]) {
        self.bytes[kind as usize - 1] = Cow::Owned(bytes_of(numbers).to_vec());
    }

    /// Writes the file, from its first byte.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&self, file: &mut File) -> io::Result<Identity> {
        let lens: Vec<u64> = self.bytes.iter().map(|bytes| bytes.len() as u64).collect();
        let laid_out = Head::lay_out(self.counts, &lens);
        let mut head = laid_out.ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
        // The checksums, which stand in the head, are known in the end.
        file.seek(SeekFrom::Start(head.len))?;
        let mut blocks = Blocks::default();
        let mut at = head.len;
        for (bytes, place) in self.bytes.iter().zip(&head.places) {
            let gap = &[0; PAGE as usize][..(place.offset - at) as usize];
            for bytes in [gap, bytes] {
                blocks.take(bytes);
                file.write_all(bytes)?;
            }
            at = place.offset + place.len;
        }
        head.blocks = blocks.finish();
        let (bytes, identity) = head.to_bytes();
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&bytes)?;
        Ok(identity)
    }
}
