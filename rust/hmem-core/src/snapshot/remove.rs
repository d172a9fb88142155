//! Removing what no reader needs.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::sync::PoisonError;

use super::folder::Folder;
use super::names::{self, Name};
use crate::error::SnapshotError;
use crate::sections::Fault;

impl Folder {
    /// Removes older manifests that no other process uses, then segments that no manifest names, and what was not finished.
    /// With `at_once`, also what others use: on Unix they keep what they have mapped.
    ///
    /// Returns the names of manifests that others use, removed or not, and of files that the system would not remove.
    ///
    /// # Errors
    /// [`SnapshotError`] if the newest manifest cannot be read: what it needs is not known then, and all is left as it is.
    pub fn remove_unused(&self, at_once: bool) -> Result<Vec<String>, SnapshotError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let names = self.names()?;
        let newest = names::newest(&names);
        let mut left = BTreeSet::new();
        let mut needed = BTreeSet::new();
        let remove = |name: Name, left: &mut BTreeSet<String>| match fs::remove_file(self.path_of(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => left.insert(name.to_string()),
            _ => false,
        };
        if let Some(generation) = newest {
            let summary =
                self.summary_of(generation).map_err(|fault| self.fault(Name::Manifest(generation), fault))?;
            needed.extend(summary.files.iter().map(|entry| entry.number));
        }
        for &name in &names {
            let Name::Manifest(generation) = name else { continue };
            if Some(generation) == newest {
                continue;
            }
            let summary = self.summary_of(generation);
            let readable = !matches!(summary, Err(Fault::Wrong(_)));
            // Held until it is removed, so that no reader takes it up meanwhile.
            let alone = self.lock_alone(generation);
            if alone.is_none() {
                left.insert(name.to_string());
            }
            if at_once || alone.is_some() || !readable {
                remove(name, &mut left);
            } else {
                needed.extend(
                    summary.iter().flat_map(|summary| summary.files.iter().map(|entry| entry.number)),
                );
            }
        }
        for &name in &names {
            match name {
                Name::Segment(number) if needed.contains(&number) => {}
                Name::Segment(_) | Name::UnfinishedSegment(_) | Name::UnfinishedManifest(_) => {
                    remove(name, &mut left);
                }
                Name::Manifest(_) => {}
            }
        }
        Ok(left.into_iter().collect())
    }

    /// The manifest, locked, if no other process uses it. Where there are no locks, others may.
    fn lock_alone(&self, generation: u64) -> Option<File> {
        let held_here = self.holds_of(generation);
        // Locks belong to the open file, so one's own would be in the way, too. Only who writes removes, and that is here.
        held_here.iter().for_each(|held| drop(held.file.unlock()));
        let file = OpenOptions::new().read(true).write(true).open(self.path_of(Name::Manifest(generation)));
        let alone = file.ok().filter(|file| file.try_lock().is_ok());
        if alone.is_none() {
            held_here.iter().for_each(|held| drop(held.file.try_lock_shared()));
        }
        alone
    }
}
