//! Columns out of a file.

use std::fs::File;
use std::num::NonZero;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::head::{BLOCK, Counts, Head, Identity, Place};
use super::{Fault, Kind};
use crate::kernels::memory::{Column, Map, Plain};

/// Threads that check a file together, one of which is the caller's.
const THREADS: usize = 2;

/// Smaller files are checked before another thread has started.
const WORTH_A_THREAD: usize = 16;

/// A mapped file with sections.
#[derive(Debug)]
pub struct Source {
    map: Arc<Map>,
    head: Head,
}

impl Source {
    /// Maps a file, which must be the one that `wanted` tells from all others.
    ///
    /// # Errors
    /// [`Fault`], before anything is mapped.
    pub fn open(mut file: &File, wanted: Identity) -> Result<Self, Fault> {
        let true_len = file.metadata()?.len();
        if true_len != wanted.len {
            return Err(Fault::new("length", format_args!("{} bytes", wanted.len), true_len));
        }
        let (head, identity) = Head::read(&mut file, true_len)?;
        if identity != wanted {
            let (wanted, got) = (wanted.checksum, identity.checksum);
            return Err(Fault::new("checksum", format_args!("{wanted:08x}"), format_args!("{got:08x}")));
        }
        Ok(Self { map: Arc::new(Map::of(file)?), head })
    }

    /// How much the segment has.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.head.counts
    }

    /// The numbers of a section.
    ///
    /// # Errors
    /// [`Fault::Wrong`] if the file has become shorter since it was opened.
    pub fn column<T: Plain>(&self, kind: Kind) -> Result<Column<T>, Fault> {
        debug_assert_eq!(size_of::<T>(), kind.element(), "{}", kind.name());
        Column::in_map(&self.map, self.range(kind))
            .ok_or_else(|| Fault::Wrong(format!("section {}: it lies outside of the file", kind.name())))
    }

    /// The numbers of a section that has `n` of them.
    ///
    /// # Errors
    /// [`Fault::Wrong`] if it has not.
    pub fn column_of<T: Plain>(&self, kind: Kind, n: usize) -> Result<Column<T>, Fault> {
        let column = self.column(kind)?;
        if column.len() == n {
            return Ok(column);
        }
        Err(Fault::new(format_args!("section {}", kind.name()), format_args!("{n} numbers"), column.len()))
    }

    /// Where a section lies.
    #[must_use]
    pub fn range(&self, kind: Kind) -> Range<usize> {
        let Place { offset, len } = self.head.places[kind as usize - 1];
        as_usize(offset)..as_usize(offset + len)
    }

    /// Compares all blocks with their checksums. `also` is called with each block right after that, while it is in a near
    /// cache: where it lies in the file.
    ///
    /// # Errors
    /// [`Fault`] of the first block that was found wrong.
    pub fn check(&self, also: impl Fn(Range<usize>) -> Result<(), Fault> + Sync) -> Result<(), Fault> {
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let found = Mutex::new(Ok(()));
        let work = || {
            while !stop.load(Ordering::Relaxed) {
                let block = next.fetch_add(1, Ordering::Relaxed);
                if block >= self.head.blocks.len() {
                    break;
                }
                if let Err(fault) = self.check_block(block, &also) {
                    stop.store(true, Ordering::Relaxed);
                    *found.lock().unwrap_or_else(PoisonError::into_inner) = Err(fault);
                }
            }
        };
        thread::scope(|scope| {
            let threads = thread::available_parallelism().map_or(1, NonZero::get).min(THREADS);
            if threads > 1 && self.head.blocks.len() >= WORTH_A_THREAD {
                // Where the system gives no further thread, this one does the work.
                let _ = thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
        found.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_block(
        &self,
        block: usize,
        also: impl Fn(Range<usize>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let start = as_usize(self.head.len + block as u64 * BLOCK);
        let range = start..as_usize(self.head.file_len).min(start + BLOCK as usize);
        self.map.populate(range.clone())?;
        let bytes = self.map.get(range.clone()).ok_or_else(|| Fault::Wrong("it became shorter".into()))?;
        let (wanted, got) = (self.head.blocks[block], crc32fast::hash(bytes));
        if wanted == got {
            return also(range);
        }
        let what = format_args!("checksum of bytes {} to {}", range.start, range.end);
        Err(Fault::new(what, format_args!("{wanted:08x}"), format_args!("{got:08x}")))
    }
}

/// For an offset in a file whose length fits memory.
#[allow(clippy::cast_possible_truncation, reason = "the head was refused otherwise")]
fn as_usize(offset: u64) -> usize {
    offset as usize
}
