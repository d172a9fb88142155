//! Similarity search over float32 rows.
//!
//! Reading order: [`normal`] (how rows are kept), [`codes`], [`per_sign`] and `encoder` (their small copies, and what these prove),
//! `query` and `aim` (a query as rows and codes want it), `limit` (what limits are kept as), `sieve`, `screen`, `floats` and
//! `contest` (who may be among the best), [`scan`] (searches), `single` (how one query is answered), `batch` (many at once),
//! `stored` (how a file has them), [`segment`] and [`index`] (what users hold).

pub(crate) mod aim;
mod batch;
pub mod codes;
pub(crate) mod contest;
pub(crate) mod encoder;
mod floats;
pub mod index;
pub(crate) mod limit;
pub mod normal;
pub mod per_sign;
#[cfg(test)]
mod proofs;
pub(crate) mod query;
pub mod scan;
pub(crate) mod scratch;
mod screen;
pub mod segment;
pub(crate) mod sieve;
mod single;
mod stored;

pub use codes::Coder;
pub use index::{DenseIndex, Neighbours};
pub use normal::{Metric, NormalRows};
pub use segment::DenseSegment;
pub(crate) use stored::check_rows;
