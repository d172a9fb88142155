//! An index in files that are mapped.
//!
//! An index is a list of immutable segments and, for each, the set of its live rows. So is a snapshot: a file for each
//! segment, which is written once and never changed, and a small *manifest*, which names these files in order and has the
//! sets. A write adds the segments that are in no file yet, and a manifest with the next number, its *generation*. Readers
//! keep what they have mapped.
//!
//! Reading order: [`manifest`], `names`, [`folder`] (what users hold), `publish`, `open`, `remove`. `docs/snapshot.md` draws
//! the bytes, and says how files come and go.

pub mod folder;
pub mod manifest;
mod names;
mod open;
mod publish;
mod remove;
#[cfg(test)]
mod tests;

pub use folder::{Folder, Info, Note, Opened};
