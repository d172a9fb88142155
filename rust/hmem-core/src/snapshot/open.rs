//! Opening the newest snapshot.
//!
//! A writer may replace it meanwhile, and remove its files. So whatever goes wrong is believed only if the generation is
//! still the newest one; else the newer one is looked at.

use std::fs::{File, TryLockError};
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::folder::{Folder, Held, Info, Opened};
use super::manifest::{Manifest, Summary};
use super::names::{self, Name};
use crate::error::SnapshotError;
use crate::sections::Fault;
use crate::segment::{Hold, Part};
use crate::trace::{TraceIndex, TraceSegment};

/// How often a newer generation is looked at.
const ATTEMPTS: usize = 20;

/// How long a reader waits where a writer holds a manifest in order to remove it.
const MOMENT: Duration = Duration::from_millis(5);

impl Folder {
    /// What is known of the newest snapshot from its front; `None` if there is none.
    ///
    /// # Errors
    /// [`SnapshotError`] if it cannot be used.
    pub fn newest(&self) -> Result<Option<Info>, SnapshotError> {
        self.with_newest(|generation| {
            let summary = self.summary_of(generation).map_err(|fault| (Name::Manifest(generation), fault))?;
            self.check_owner(&summary, generation).map_err(|fault| (Name::Manifest(generation), fault))?;
            Ok(Info::new(&summary, 0))
        })
    }

    /// The newest snapshot as an index like `like`: of that width, analyzer, BM25 and beta. `None` if there is none.
    ///
    /// # Errors
    /// [`SnapshotError`] if it cannot be used. An older one is never taken instead.
    pub fn open(&self, like: &TraceIndex) -> Result<Option<Opened>, SnapshotError> {
        self.with_newest(|generation| self.open_generation(generation, like))
    }

    /// Calls `attempt` with the newest generation, and again where there is a newer one after it failed.
    fn with_newest<T>(
        &self,
        attempt: impl Fn(u64) -> Result<T, (Name, Fault)>,
    ) -> Result<Option<T>, SnapshotError> {
        let mut attempts = 0;
        loop {
            let Some(generation) = names::newest(&self.names()?) else { return Ok(None) };
            let (name, fault) = match attempt(generation) {
                Ok(done) => return Ok(Some(done)),
                Err(failed) => failed,
            };
            attempts += 1;
            let locked = matches!(&fault, Fault::Io(error) if error.kind() == io::ErrorKind::WouldBlock);
            if locked {
                thread::sleep(MOMENT);
            }
            let replaced = names::newest(&self.names()?) != Some(generation);
            if attempts == ATTEMPTS || !(replaced || locked) {
                return Err(self.fault(name, missing_is_damage(fault)));
            }
        }
    }

    /// The front of a manifest.
    pub(super) fn summary_of(&self, generation: u64) -> Result<Summary, Fault> {
        let mut file = File::open(self.path_of(Name::Manifest(generation)))?;
        let len = file.metadata()?.len();
        Summary::read(&mut file, len)
    }

    fn check_owner(&self, summary: &Summary, generation: u64) -> Result<(), Fault> {
        if summary.generation != generation {
            return Err(Fault::new("generation", generation, summary.generation));
        }
        if summary.fingerprint == self.fingerprint {
            return Ok(());
        }
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        Err(Fault::new("fingerprint", hex(&self.fingerprint), hex(&summary.fingerprint)))
    }

    fn open_generation(&self, generation: u64, like: &TraceIndex) -> Result<Opened, (Name, Fault)> {
        let name = Name::Manifest(generation);
        let (held, manifest) = self.read_manifest(generation, like).map_err(|fault| (name, fault))?;
        let hold: Hold = Arc::clone(&held) as Hold;
        let Manifest { summary, live, extra } = manifest;
        let mut parts = Vec::with_capacity(live.len());
        let mut keys = 0;
        for (entry, live) in summary.files.iter().zip(live) {
            let name = Name::Segment(entry.number);
            let in_use = self.segment_in(entry).filter(|segment| segment.keys().rows().dim() == like.dim());
            let segment = match in_use {
                Some(segment) => segment,
                None => {
                    let file = File::open(self.path_of(name)).map_err(|error| (name, error.into()))?;
                    let segment = TraceSegment::load(like.coder(), &file, entry.identity);
                    let segment = Arc::new(segment.map_err(|fault| (name, fault))?);
                    self.remember(entry.number, entry.identity, &segment);
                    segment
                }
            };
            keys += segment.keys_of_all(&live).count();
            let ids = segment.ids().clone();
            let part = Part::read(segment, ids, live, Arc::clone(&hold));
            let unfit =
                || Fault::Wrong("section memory_ids: not one id a memory, each once and 0 or more".into());
            parts.push(part.ok_or_else(|| (name, unfit()))?);
        }
        if keys != summary.keys {
            return Err((name, Fault::new("keys", summary.keys, keys)));
        }
        let index = like.read(parts, summary.next_id);
        let index = index.ok_or_else(|| (name, Fault::Wrong("a memory is live in two segments".into())))?;
        self.hold(&held);
        Ok(Opened { index, info: Info::new(&summary, 0), extra })
    }

    /// A manifest and its file, locked before it was read.
    fn read_manifest(&self, generation: u64, like: &TraceIndex) -> Result<(Arc<Held>, Manifest), Fault> {
        let mut file = File::open(self.path_of(Name::Manifest(generation)))?;
        match file.try_lock_shared() {
            // A file system without locks is used without.
            Ok(()) | Err(TryLockError::Error(_)) => {}
            Err(TryLockError::WouldBlock) => return Err(io::Error::from(io::ErrorKind::WouldBlock).into()),
        }
        let len = file.metadata()?.len();
        let manifest = Manifest::read(&mut file, len)?;
        self.check_owner(&manifest.summary, generation)?;
        if manifest.summary.dim != like.dim() {
            return Err(Fault::new("width of the keys", like.dim(), manifest.summary.dim));
        }
        Ok((Arc::new(Held { generation, file }), manifest))
    }
}

/// A file that is missing or short, though no writer took it, is no trouble of the system.
fn missing_is_damage(fault: Fault) -> Fault {
    match fault {
        Fault::Io(error) if error.kind() == io::ErrorKind::NotFound => Fault::Wrong("it is missing".into()),
        Fault::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Fault::Wrong("it ends early".into())
        }
        fault => fault,
    }
}
