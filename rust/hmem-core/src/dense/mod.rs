//! Similarity search over float32 rows.
//!
//! Reading order: [`segment`] (how rows are kept), [`scan`] (how a query is answered), [`index`] (what users hold).

pub mod index;
pub mod scan;
pub mod segment;

pub use index::{DenseIndex, Neighbours};
pub use segment::{DenseSegment, Metric};
