//! Memory that many searches read.
//!
//! [`lines`]: lines of one allocation, in huge pages where the system has them. [`map`]: a file, mapped to be read.
//! [`column`]: numbers that lie in either, or in a vector, and are read as a slice.

pub mod column;
pub mod lines;
pub mod map;

pub use column::{Column, Plain, bytes_of};
pub use lines::Lines;
pub use map::Map;
