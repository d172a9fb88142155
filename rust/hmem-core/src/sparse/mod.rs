//! Search by shared units: weighted units as they are, or the words of texts (BM25).

pub(crate) mod accumulator;
pub mod bm25;
mod index;
mod postings;
mod rank;
mod rows;
mod text_index;
pub mod words;

pub use index::SparseIndex;
pub use rows::SparseRows;
pub use text_index::TextIndex;
