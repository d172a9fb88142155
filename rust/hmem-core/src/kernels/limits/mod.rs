//! From integer sums to limits of scores, and which of them reach a floor.
//!
//! * [`upper_limits_of_dots`]: of one query, from sums of codes; float32, each operation rounded once, in the order in which
//!   it is written.
//! * [`levels_of_signs`]: of one query, from sums of signs; 16 bits.
//! * [`excesses`], [`entering`]: of many queries, from sums of codes; float32.
//! * [`reaching`], [`reaching_level`], [`reaching_levels`]: comparisons only.
//!
//! Every variant gives the same bits.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[doc(hidden)]
pub mod checks;
mod dots;
mod levels;
mod many;
#[cfg(target_arch = "aarch64")]
mod neon;
mod reach;

pub use dots::{PerQuery, PerRow, upper_limits_of_dots, widened_limits};
pub use levels::{PerSignQuery, PerSignRow, levels_of_signs, shape};
pub use many::{PerLane, entering, excesses};
pub use reach::{reaching, reaching_level, reaching_levels};

/// Numbers that are computed side by side.
const LANES: usize = 16;
