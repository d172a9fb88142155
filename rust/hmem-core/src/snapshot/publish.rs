//! Writing a snapshot.
//!
//! Each file is written under another name, flushed to the disk, and renamed; the manifest last, when the folder with its
//! segments was flushed. So whoever sees a manifest sees all that it names, also after a power cut.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::PoisonError;

use super::folder::{Folder, Info, Note};
use super::manifest::{Entry, Manifest, Summary};
use super::names::{self, Name};
use crate::error::SnapshotError;
use crate::sections::head::{self, Identity};
use crate::segment::View;
use crate::trace::{TraceIndex, TraceSegment};

/// Files that are removed unless all of them were finished.
#[derive(Default)]
struct Unfinished(Vec<PathBuf>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        for path in &self.0 {
            // What cannot be removed now is removed with what is unused.
            let _ = fs::remove_file(path);
        }
    }
}

impl Folder {
    /// Writes what the index holds now as the next generation: those segments that are in no file here, and a manifest.
    ///
    /// # Errors
    /// [`SnapshotError::Io`]; then this generation does not exist, and those before it are as they were.
    pub fn write(&self, index: &TraceIndex, note: Note) -> Result<Info, SnapshotError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let (view, next_id) = index.view_and_next_id();
        fs::create_dir_all(&self.path)
            .map_err(|source| SnapshotError::Io { path: self.path.clone(), source })?;
        let names = self.names()?;
        let mut unfinished = Unfinished::default();
        let (files, mut written) = self.write_segments(&view, &names, &mut unfinished)?;
        if written > 0 {
            self.flush_folder()?;
        }

        let generation = 1 + names::newest(&with_unfinished(&names)).unwrap_or(0);
        let mut summary = Summary::new(generation, note.change_seq, note.stamp, self.fingerprint);
        (summary.next_id, summary.dim, summary.memories) = (next_id, index.dim(), view.len());
        let parts = view.parts().iter();
        summary.keys = parts.clone().map(|part| part.segment().keys_of_all(part.live()).count()).sum();
        summary.files = files;
        let manifest = Manifest::new(summary, parts.map(|part| part.live().clone()).collect(), note.extra);
        let names = [Name::UnfinishedManifest(generation), Name::Manifest(generation)];
        self.write_file(names, &mut unfinished, |file| file.write_all(&manifest.to_bytes()))?;
        // From here on it is there. If this fails, a power cut may take it back, and the one before it is the newest again.
        unfinished.0.clear();
        let _ = self.flush_folder();
        written += manifest.summary.len;
        Ok(Info::new(&manifest.summary, written))
    }

    /// The file of each segment, and how many bytes of them were written now.
    fn write_segments(
        &self,
        view: &View<TraceSegment>,
        names: &[Name],
        unfinished: &mut Unfinished,
    ) -> Result<(Vec<Entry>, u64), SnapshotError> {
        let number = |name: &Name| match *name {
            Name::Segment(number) | Name::UnfinishedSegment(number) => number,
            _ => 0,
        };
        let mut next = 1 + names.iter().map(number).max().unwrap_or(0);
        let (mut files, mut written) = (Vec::with_capacity(view.parts().len()), 0);
        for part in view.parts() {
            let in_file = self.file_of(part.shared()).filter(|&(number, identity)| {
                // Someone may have tidied up.
                self.identity_of(number).is_some_and(|there| there == identity)
            });
            let (number, identity) = match in_file {
                Some(known) => known,
                None => {
                    let names = [Name::UnfinishedSegment(next), Name::Segment(next)];
                    let identity = self.write_file(names, unfinished, |file| part.segment().store(file))?;
                    written += identity.len;
                    next += 1;
                    (next - 1, identity)
                }
            };
            files.push(Entry { number, identity, n_rows: part.live().len(), n_live: part.n_live() });
        }
        // Only now: what is remembered is not removed again.
        for (part, entry) in view.parts().iter().zip(&files) {
            self.remember(entry.number, entry.identity, part.shared());
        }
        Ok((files, written))
    }

    /// What the file of that number says it is; `None` if there is none that can be read.
    fn identity_of(&self, number: u64) -> Option<Identity> {
        let mut file = File::open(self.path_of(Name::Segment(number))).ok()?;
        let len = file.metadata().ok()?.len();
        head::identity(&mut file, len).ok()
    }

    /// Writes a file under the first name, and gives it the second when all of it is on the disk.
    fn write_file<T>(
        &self,
        [temporary, name]: [Name; 2],
        unfinished: &mut Unfinished,
        write: impl FnOnce(&mut File) -> io::Result<T>,
    ) -> Result<T, SnapshotError> {
        let paths = [temporary, name].map(|name| self.path_of(name));
        let steps = || {
            let mut file = OpenOptions::new().write(true).create_new(true).open(&paths[0])?;
            unfinished.0.push(paths[0].clone());
            let written = write(&mut file)?;
            file.sync_all()?;
            drop(file);
            fs::rename(&paths[0], &paths[1])?;
            if let Some(path) = unfinished.0.last_mut() {
                path.clone_from(&paths[1]);
            }
            Ok(written)
        };
        steps().map_err(|source| SnapshotError::Io { path: paths[1].clone(), source })
    }

    /// Has the names of files on the disk, where folders can be flushed.
    fn flush_folder(&self) -> Result<(), SnapshotError> {
        if cfg!(not(unix)) {
            return Ok(());
        }
        match File::open(&self.path).and_then(|folder| folder.sync_all()) {
            // Some file systems flush no folders.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) =>
            {
                Ok(())
            }
            flushed => flushed.map_err(|source| SnapshotError::Io { path: self.path.clone(), source }),
        }
    }
}

/// The numbers of manifests that were not finished count, too.
fn with_unfinished(names: &[Name]) -> Vec<Name> {
    let finished = |&name: &Name| match name {
        Name::UnfinishedManifest(number) => Name::Manifest(number),
        name => name,
    };
    names.iter().map(finished).collect()
}
