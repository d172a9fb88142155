//! Pure functions on slices. The only unsafe code of the crate is here.

pub mod dot;
pub mod isa;
pub mod select;
