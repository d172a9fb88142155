//! Columns in a file: one segment of an index, laid out so that it can be mapped and read as it lies.
//!
//! [`kind`]: what sections there are. [`head`]: what stands before them. [`write`] makes such a file, [`source`] finds the
//! columns again. None of them knows what the columns mean. `docs/snapshot.md` draws the bytes.

mod blocks;
pub mod head;
pub mod kind;
pub mod preamble;
pub mod source;
pub mod write;

use std::fmt::Display;
use std::io;

use thiserror::Error;

pub use kind::Kind;
pub use source::Source;
pub use write::Sections;

/// Why a file cannot be used.
#[derive(Debug, Error)]
pub enum Fault {
    /// The system did not let it be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is not what it should be.
    #[error("{0}")]
    Wrong(String),
}

impl Fault {
    /// `what`: wanted this, got that.
    pub fn new(what: impl Display, wanted: impl Display, got: impl Display) -> Self {
        Self::Wrong(format!("{what}: wanted {wanted}, got {got}"))
    }
}

/// Asks for what must hold of a file.
///
/// # Errors
/// [`Fault::Wrong`] if it does not.
pub fn demand(holds: bool, what: impl Display) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(Fault::Wrong(what.to_string())) }
}
