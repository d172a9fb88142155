//! What an upper limit of a score is kept as.

use std::cell::Cell;
use std::thread::LocalKey;

use crate::kernels::isa::Isa;
use crate::kernels::limits::{reaching, reaching_level};

/// A number; larger ones stand for larger scores.
pub(crate) trait Limited: Copy + PartialOrd + Into<f64> + 'static {
    /// That of a row that is not allowed.
    const NONE: Self;
    /// The least one of a row that is.
    const LEAST: Self;

    /// One that is not above `limit`, nor [`NONE`](Self::NONE).
    fn below(limit: f64) -> Self;

    /// Which of up to 64 are at least `floor`.
    fn reaching(isa: Isa, limits: &[Self], floor: Self) -> u64;

    /// Memory that a thread keeps.
    fn kept() -> &'static LocalKey<Cell<Vec<Self>>>;
}

impl Limited for f32 {
    const NONE: Self = Self::NEG_INFINITY;
    const LEAST: Self = Self::MIN;

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "rounded down after")]
    fn below(limit: f64) -> Self {
        (limit as Self).next_down().max(Self::LEAST)
    }

    #[inline]
    fn reaching(isa: Isa, limits: &[Self], floor: Self) -> u64 {
        reaching(isa, limits, floor)
    }

    fn kept() -> &'static LocalKey<Cell<Vec<Self>>> {
        thread_local! {
            static KEPT: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
        }
        &KEPT
    }
}

/// A *level*: so many units above or below a middle.
impl Limited for i16 {
    const NONE: Self = Self::MIN;
    const LEAST: Self = Self::MIN + 1;

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "clamped before")]
    fn below(limit: f64) -> Self {
        limit.floor().clamp(Self::LEAST.into(), Self::MAX.into()) as Self
    }

    #[inline]
    fn reaching(isa: Isa, limits: &[Self], floor: Self) -> u64 {
        reaching_level(isa, limits, floor)
    }

    fn kept() -> &'static LocalKey<Cell<Vec<Self>>> {
        thread_local! {
            static KEPT: Cell<Vec<i16>> = const { Cell::new(Vec::new()) };
        }
        &KEPT
    }
}
