//! Associative memory on a CPU. This crate knows nothing of Python; `hmem-py` binds it.
//!
//! Reading order: [`error`] and [`rows`], then `kernels` (pure functions on slices, the only unsafe code) and [`sections`]
//! (columns in a file), then the structures that are built from them, and in the end [`snapshot`] (an index in files). Imports
//! point only in that direction.

pub mod associator;
pub mod attractor;
pub mod bitmap;
pub mod checksum;
pub mod codes;
pub mod completion;
pub mod dense;
pub mod encoder;
pub mod error;
pub mod graph;
pub mod kernels;
pub mod rows;
pub mod sections;
pub mod segment;
pub mod separator;
pub mod snapshot;
pub mod sparse;
pub mod text;
pub mod trace;
