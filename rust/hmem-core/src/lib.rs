//! Associative memory on a CPU. This crate knows nothing of Python; `hmem-py` binds it.
//!
//! Reading order: [`error`] and [`rows`], then `kernels` (pure functions on slices, the only unsafe code), then the
//! structures that are built from them. Imports point only in that direction.

pub mod attractor;
pub mod bitmap;
pub mod dense;
pub mod error;
pub mod kernels;
pub mod rows;
pub mod segment;
pub mod sparse;
pub mod text;
pub mod trace;
