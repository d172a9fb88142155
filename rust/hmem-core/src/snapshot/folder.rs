//! The folder in which the snapshots of one index lie.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::manifest::{Entry, Fingerprint, Summary};
use super::names::Name;
use crate::error::SnapshotError;
use crate::sections::Fault;
use crate::sections::head::Identity;
use crate::trace::{TraceIndex, TraceSegment};

/// Where the snapshots of one index lie.
///
/// One process at a time may write; any number may read. Nothing on disk is touched until it is asked for.
pub struct Folder {
    pub(super) path: PathBuf,
    pub(super) fingerprint: Fingerprint,
    /// Held by who writes or removes.
    pub(super) writing: Mutex<()>,
    known: Mutex<Known>,
}

/// What this object has written or opened, as far as it is still in use.
#[derive(Default)]
struct Known {
    /// Segments by the numbers of their files.
    segments: HashMap<u64, (Identity, Weak<TraceSegment>)>,
    /// Held that are held.
    holds: Vec<Weak<Held>>,
}

/// A manifest that is in use: its file, with a shared lock where the file system has locks.
pub(super) struct Held {
    pub(super) generation: u64,
    pub(super) file: File,
}

/// What the caller notes in a snapshot.
#[derive(Debug, Clone, Default)]
pub struct Note {
    /// The last change of the truth that is in it.
    pub change_seq: u64,
    /// Whatever tells this state from others.
    pub stamp: u64,
    /// Any bytes.
    pub extra: Vec<u8>,
}

/// What is known of a snapshot from its front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// The manifest's number.
    pub generation: u64,
    /// The last change of the truth that is in it.
    pub change_seq: u64,
    /// The caller's.
    pub stamp: u64,
    /// Live memories.
    pub memories: usize,
    /// Their keys.
    pub keys: usize,
    /// Names of its files, the manifest's last.
    pub files: Vec<String>,
    /// Bytes of all of them.
    pub bytes: u64,
    /// Bytes of those that were written for it.
    pub written: u64,
}

/// A snapshot that was opened.
#[derive(Debug)]
pub struct Opened {
    /// The index. Its numbers lie in the files.
    pub index: TraceIndex,
    /// What is known of it.
    pub info: Info,
    /// The caller's bytes.
    pub extra: Vec<u8>,
}

impl Folder {
    /// For snapshots of the index with this fingerprint.
    #[must_use]
    pub fn new(path: PathBuf, fingerprint: Fingerprint) -> Self {
        Self { path, fingerprint, writing: Mutex::default(), known: Mutex::default() }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whose snapshots these are.
    #[must_use]
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    pub(super) fn path_of(&self, name: Name) -> PathBuf {
        self.path.join(name.to_string())
    }

    /// Files that are there.
    pub(super) fn names(&self) -> Result<Vec<Name>, SnapshotError> {
        Name::all_in(&self.path).map_err(|source| SnapshotError::Io { path: self.path.clone(), source })
    }

    /// What is wrong with one of its files.
    pub(super) fn fault(&self, name: Name, fault: Fault) -> SnapshotError {
        let path = self.path_of(name);
        match fault {
            Fault::Io(source) => SnapshotError::Io { path, source },
            Fault::Wrong(what) => SnapshotError::Unusable { path, what },
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The segment in a file, if it is in use.
    pub(super) fn segment_in(&self, entry: &Entry) -> Option<Arc<TraceSegment>> {
        let known = self.known();
        let (identity, segment) = known.segments.get(&entry.number)?;
        segment.upgrade().filter(|_| *identity == entry.identity)
    }

    /// The file that a segment is in.
    pub(super) fn file_of(&self, segment: &Arc<TraceSegment>) -> Option<(u64, Identity)> {
        let known = self.known();
        let found = known.segments.iter().find(|(_, (_, known))| known.as_ptr() == Arc::as_ptr(segment));
        found.map(|(&number, &(identity, _))| (number, identity))
    }

    /// Remembers which file a segment is in.
    pub(super) fn remember(&self, number: u64, identity: Identity, segment: &Arc<TraceSegment>) {
        let mut known = self.known();
        known.segments.retain(|_, (_, segment)| segment.strong_count() > 0);
        known.segments.insert(number, (identity, Arc::downgrade(segment)));
    }

    /// Remembers that a manifest is in use.
    pub(super) fn hold(&self, manifest: &Arc<Held>) {
        let mut known = self.known();
        known.holds.retain(|hold| hold.strong_count() > 0);
        known.holds.push(Arc::downgrade(manifest));
    }

    /// The uses of a manifest that began here.
    pub(super) fn holds_of(&self, generation: u64) -> Vec<Arc<Held>> {
        let held = self.known().holds.iter().filter_map(Weak::upgrade).collect::<Vec<_>>();
        held.into_iter().filter(|hold| hold.generation == generation).collect()
    }
}

impl fmt::Debug for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Folder").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Info {
    pub(super) fn new(summary: &Summary, written: u64) -> Self {
        let files = summary.files.iter();
        let names = files.clone().map(|entry| Name::Segment(entry.number));
        let names = names.chain([Name::Manifest(summary.generation)]);
        Self {
            generation: summary.generation,
            change_seq: summary.change_seq,
            stamp: summary.stamp,
            memories: summary.memories,
            keys: summary.keys,
            files: names.map(|name| name.to_string()).collect(),
            bytes: files.map(|entry| entry.identity.len).fold(summary.len, u64::saturating_add),
            written,
        }
    }
}
