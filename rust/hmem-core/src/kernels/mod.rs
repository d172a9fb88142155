//! Pure functions on slices. The only unsafe code of the crate is here.

pub mod dot;
pub mod exp;
pub mod hopfield;
pub mod isa;
mod lanes;
pub mod limits;
pub mod line;
pub mod memory;
pub mod nibble;
mod per_isa;
pub mod prefetch;
pub mod product;
pub mod projection;
pub mod quantise;
pub mod random;
pub mod rotation;
pub mod select;
pub mod sign;
mod sixteen;
pub mod tile;
pub mod transformer;
pub mod winners;
