//! Search by shared units: weighted units as they are, or the words of texts (BM25).

pub(crate) mod accumulator;
pub mod bm25;
mod index;
mod kinds;
mod levels;
mod postings;
mod rank;
mod rows;
mod stored;
mod text_index;
mod units;
pub mod words;

pub use index::SparseIndex;
pub use rows::SparseRows;
pub(crate) use rows::check_offsets;
pub use text_index::TextIndex;
