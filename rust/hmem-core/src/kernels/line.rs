//! Bytes in cache lines.
//!
//! Codes are kept in whole lines that start where the cache's lines start, so that no vector load touches two of them.

/// Bytes in a line.
pub const LINE: usize = 64;

/// One cache line of unsigned bytes.
#[repr(C, align(64))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line(pub [u8; LINE]);

impl Line {
    /// Zeros alone.
    pub const ZERO: Self = Self([0; LINE]);
}

/// One cache line of signed bytes.
#[repr(C, align(64))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedLine(pub [i8; LINE]);

impl SignedLine {
    /// Zeros alone.
    pub const ZERO: Self = Self([0; LINE]);
}
