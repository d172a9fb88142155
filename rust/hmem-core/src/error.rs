//! One enum per kind of failing operation. A message names the argument, what came and what was wanted.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why rows or queries were refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InputError {
    /// The width of an argument is not the width of the structure.
    #[error("{argument}: wanted rows {wanted} wide, got {got}")]
    Width {
        /// Name of the argument.
        argument: &'static str,
        /// Width of the structure.
        wanted: usize,
        /// Width that came.
        got: usize,
    },
    /// Two arguments that belong together differ in length.
    #[error("{argument}: wanted {wanted} entries (one for each of {partner}), got {got}")]
    Length {
        /// Name of the argument.
        argument: &'static str,
        /// Name of the argument that sets the length.
        partner: &'static str,
        /// Length of the partner.
        wanted: usize,
        /// Length that came.
        got: usize,
    },
    /// A row holds NaN or an infinity.
    #[error("{argument}: row {row} holds {value} at column {column}; wanted finite numbers")]
    NotFinite {
        /// Name of the argument.
        argument: &'static str,
        /// Row number in the argument.
        row: usize,
        /// Column number in the row.
        column: usize,
        /// "NaN" or "an infinity".
        value: &'static str,
    },
    /// A row has no direction, so its cosine to anything is undefined.
    #[error("{argument}: row {row} is all zeros; its cosine is undefined (metric \"dot\" allows it)")]
    ZeroRow {
        /// Name of the argument.
        argument: &'static str,
        /// Row number in the argument.
        row: usize,
    },
    /// A number is outside its range.
    #[error("{argument}: wanted {wanted}, got {got}")]
    Range {
        /// Name of the argument.
        argument: &'static str,
        /// The range, in words.
        wanted: &'static str,
        /// The value that came, printed.
        got: String,
    },
    /// Offsets do not cut a flat array into groups.
    #[error("{argument}: wanted ascending offsets from 0 to {wanted}, got {got}")]
    Offsets {
        /// Name of the argument.
        argument: &'static str,
        /// Length of the array that is cut.
        wanted: usize,
        /// What is wrong, in words.
        got: String,
    },
}

/// Why ids were refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum IdError {
    /// The id is in use.
    #[error("ids: {id} is already in use (pass replace=True to replace it)")]
    Duplicate {
        /// The id.
        id: i64,
    },
    /// The id stands twice in one call.
    #[error("ids: {id} stands twice in one call")]
    Repeated {
        /// The id.
        id: i64,
    },
    /// The id is not there.
    #[error("ids: {id} is not in the index")]
    Unknown {
        /// The id.
        id: i64,
    },
    /// No further ids can be given: the largest one is in use or was.
    #[error("ids: {id} is the largest id there is, so none can be given after it; name the ids")]
    Exhausted {
        /// The largest id that was ever used.
        id: i64,
    },
    /// Negative ids mark empty places in results.
    #[error("ids: wanted 0 or more, got {id} (negative ids mark empty places in results)")]
    Negative {
        /// The id.
        id: i64,
    },
    /// The wrong number of ids.
    #[error("ids: wanted {wanted} (one for each row), got {got}")]
    Count {
        /// Number of rows.
        wanted: usize,
        /// Number of ids.
        got: usize,
    },
}

/// Why a row matrix could not be added.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AddError {
    /// The rows themselves.
    #[error(transparent)]
    Input(#[from] InputError),
    /// Their ids.
    #[error(transparent)]
    Id(#[from] IdError),
}

/// Why links could not be removed. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The arrays of their ends.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The link is not there.
    #[error("sources, targets: there is no link from {source_id} to {target_id}")]
    Unknown {
        /// Where it would begin.
        source_id: i64,
        /// Where it would end.
        target_id: i64,
    },
    /// The link stands twice in one call.
    #[error("sources, targets: the link from {source_id} to {target_id} stands twice in one call")]
    Repeated {
        /// Where it begins.
        source_id: i64,
        /// Where it ends.
        target_id: i64,
    },
}

/// Why a cue could not spread.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SeedError {
    /// The weights of its seeds, or how it is to spread.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The ids of its seeds.
    #[error(transparent)]
    Id(#[from] IdError),
}

/// Why associations could not be forgotten. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AssociationError {
    /// The codes themselves.
    #[error(transparent)]
    Input(#[from] InputError),
    /// There is no such association, or there are fewer of it than rows that name it.
    #[error("cues, targets: no association is held that has the cue and the target of row {row}")]
    Unknown {
        /// Row number in the arguments.
        row: usize,
    },
    /// Its row in the index.
    #[error(transparent)]
    Id(#[from] IdError),
}

/// Why no instruction set could be chosen.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum IsaError {
    /// The name is not one of ours.
    #[error("HMEM_ISA: wanted one of {wanted}, got {got:?}")]
    Unknown {
        /// Names that exist.
        wanted: &'static str,
        /// What the environment says.
        got: String,
    },
    /// This CPU (or this build) lacks it.
    #[error("HMEM_ISA: {got} was asked for, but this CPU offers {offered}")]
    Unavailable {
        /// What the environment says.
        got: &'static str,
        /// Names that would work here.
        offered: String,
    },
}

/// Why a snapshot could not be written or opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// A file is damaged, or belongs to another index, version or machine.
    #[error("{}: {what}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The system refused to read or write.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Why a tokenizer could not be read or used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// The bytes are no tokenizer, or one that cannot be used.
    #[error("json: wanted a tokenizer.json, got what cannot be used as one: {reason}")]
    Unreadable {
        /// What is wrong with it.
        reason: String,
    },
    /// No token of a text would be left.
    #[error("max_length: wanted at least {wanted} (each text gets {special} special tokens), got {got}")]
    MaxLength {
        /// The smallest one that leaves room for a token.
        wanted: usize,
        /// How many tokens are put before and after each text.
        special: usize,
        /// What came.
        got: usize,
    },
    /// The tokenizer's vocabulary does not cover a text.
    #[error("text: this tokenizer has no tokens for it: {reason}")]
    Text {
        /// What is missing.
        reason: String,
    },
}

/// Why a model cannot be used, or a text not be encoded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EncoderError {
    /// The system did not let the model's file be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is no model, or a damaged one.
    #[error("{}: this is no model that can be used: {reason}", path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The model's tokenizer failed at a text.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}
