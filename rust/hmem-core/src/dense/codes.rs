//! Rows as codes: small, quick to compare, and with a proved distance from the rows.
//!
//! # What is kept of a row
//!
//! Let `x` be a row (of unit length under cosine; under dot, in units of a power of two that all rows of the segment
//! share), `c` the *centre* of its segment, and `R` the [`Rotation`]. Centring takes away what all rows have in common,
//! and rotating makes their numbers about equally large, so that `y = R(x - c)` loses little when it is rounded:
//!
//! ```text
//! y = scale · code + e        code: integers from -127 to 127, 8 bits each    ‖e‖ ≤ fine_error
//! y = scale · coarse + e'     coarse: the middle of what h may stand for, 16·h - 120.5,
//!                             where h are the upper 4 bits of code + 128      ‖e'‖ ≤ coarse_error
//! y ≈ factor · sign(y)        1 bit each                                      see below
//! ```
//!
//! # Scores from codes
//!
//! For a query `q` and any number `g`, with `p = q - g·c`,
//!
//! ```text
//! x·q = c·q + (x - c)·q = c·q + g·offset + y·Rp        offset = (x - c)·c
//! ```
//!
//! so only `y·Rp` is estimated, and its error is at most `‖e‖·‖p‖`, whatever the data (Cauchy and Schwarz). With
//! `g = q·c / ‖c‖²` the part `p` is as short as it can be: where all rows are nearly the same, errors shrink with their
//! differences. Whatever is rounded on the way is part of the bounds; see [`Aim`](super::aim::Aim).
//!
//! # Signs
//!
//! `sign(y)` scaled by `factor = ‖y‖² / ‖y‖₁` gives `y·Rp` without bias, and, since the rotation is random, with an error
//! that is about normal with the deviation `spread·‖p‖`, where
//! `spread = factor · √((d - ‖y‖₁² / ‖y‖²) / (d - 1))`. That is no proof: an exact search never relies on it.
//! (J. Gao, C. Long, "RaBitQ: quantizing high-dimensional vectors with a theoretical error bound for approximate nearest
//! neighbor search", 2024.)

use super::encoder::Encoder;
use super::normal::{Metric, NormalRows, power_of_two};
use super::per_sign::PerSign;
use crate::kernels::isa::Isa;
use crate::kernels::line::Line;
use crate::kernels::memory::Column;
use crate::kernels::nibble::{self, Planes, STEP};
use crate::kernels::prefetch::prefetch;
use crate::kernels::quantise::{accumulate, centred, norms};
use crate::kernels::rotation::Rotation;
use crate::kernels::sign;

/// Fewer rows are compared as they are.
pub const MIN_ROWS: usize = 256;

/// Narrower rows are hardly longer than their codes.
pub const MIN_DIM: usize = 64;

/// Wider rows have sums that some kernel's integers cannot hold.
pub const MAX_DIM: usize = sign::MAX_WIDTH;
const _: () = assert!(MAX_DIM <= nibble::MAX_WIDTH);

/// Rows on which is tried whether centring makes them shorter.
const TRIED: usize = 256;

/// A shorter centre is not worth having: the longest row has at least length 1. Dividing by its squared length could also
/// overflow.
pub(super) const SHORTEST_CENTRE: f64 = 1e-6;

/// The largest magnitude of a code.
pub(crate) const LARGEST: f32 = 127.0;

/// How rows of one width become codes.
#[derive(Debug)]
pub struct Coder {
    isa: Isa,
    dim: usize,
    rotation: Option<Rotation>,
}

impl Coder {
    /// For rows of this width.
    #[must_use]
    pub fn new(isa: Isa, dim: usize) -> Self {
        let rotation = (MIN_DIM..=MAX_DIM).contains(&dim).then(|| Rotation::new(dim));
        Self { isa, dim, rotation }
    }

    /// The instruction set that kernels use.
    #[must_use]
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Width of the rows.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// `None` for widths that are not coded.
    #[must_use]
    pub fn rotation(&self) -> Option<&Rotation> {
        self.rotation.as_ref()
    }
}

/// One number for each row.
#[derive(Debug, Default)]
pub struct PerRow {
    /// One unit of the 8-bit code.
    pub scale: Column<f32>,
    /// `(x - c)·c`.
    pub offset: Column<f32>,
    /// See the module's head.
    pub coarse_error: Column<f32>,
    /// See the module's head.
    pub fine_error: Column<f32>,
}

/// The codes of a segment's rows.
#[derive(Debug)]
pub struct Codes {
    /// Signs, then the upper halves of codes, then the lower ones.
    pub(super) lines: Column<Line>,
    pub(super) shape: Shape,
    pub(super) per_row: PerRow,
    pub(super) per_sign: PerSign,
    pub(super) centre: Column<f32>,
    pub(super) centre_norm: f64,
    pub(super) radius: f64,
    pub(super) widest_error: f64,
    pub(super) largest_offset: f64,
    pub(super) exponent: i32,
}

/// How the lines of codes are shared out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// So many are signs.
    pub(super) n_signs: usize,
    /// Half the code of one row takes so many.
    pub(super) steps: usize,
}

impl Shape {
    /// Of `n` rows of width `d`.
    pub(super) fn new(n: usize, d: usize) -> Self {
        Self { n_signs: sign::lines(n, d), steps: d.div_ceil(STEP) }
    }

    /// All lines of `n` rows.
    pub(super) fn n_lines(self, n: usize) -> usize {
        self.n_signs + 2 * n * self.steps
    }
}

impl Codes {
    /// Of these rows; `None` where they are too few or too narrow.
    #[must_use]
    pub fn new(coder: &Coder, rows: &NormalRows, metric: Metric) -> Option<Self> {
        let rotation = coder.rotation().filter(|_| are_coded(rows.len(), rows.dim()))?;
        let exponent = match metric {
            Metric::Cosine => 0,
            Metric::Dot => largest_exponent(rows),
        };
        let n = rows.len();
        let centre = centre(coder.isa, rows, metric, exponent);
        let centre_norm = length_of(coder.isa, &centre);
        let mut encoder = Encoder::new(coder.isa, rotation, &centre, centre_norm, n);
        for row in 0..n {
            encoder.encode(rows, row, factor(rows, row, metric, exponent));
        }
        let Encoder { lines, shape, scale, offset, coarse_error, fine_error, factor, spread, .. } = encoder;
        let Encoder { radius, widest_error, largest_offset, .. } = encoder;
        let per_sign = PerSign::new(&offset, &factor, &spread);
        Some(Self {
            lines: lines.into(),
            shape,
            per_row: PerRow {
                scale: scale.into(),
                offset: offset.into(),
                coarse_error: coarse_error.into(),
                fine_error: fine_error.into(),
            },
            per_sign,
            centre: centre.into(),
            centre_norm,
            radius,
            widest_error,
            largest_offset,
            exponent,
        })
    }

    /// Asks for all that is needed to compare a row by its whole code.
    #[inline]
    pub(crate) fn prefetch(&self, row: usize) {
        self.prefetch_upper(row);
        self.prefetch_rest(row);
    }

    /// Asks for the upper half of a row's code and its unit.
    #[inline]
    pub(crate) fn prefetch_upper(&self, row: usize) {
        prefetch(self.planes().high_of(row..row + 1));
        prefetch(&self.per_row.scale[row..=row]);
        prefetch(&self.per_row.offset[row..=row]);
    }

    /// Asks for what the whole code needs beside that.
    #[inline]
    pub(crate) fn prefetch_rest(&self, row: usize) {
        prefetch(self.planes().low_of(row..row + 1));
        prefetch(&self.per_row.fine_error[row..=row]);
    }

    /// The 8-bit codes, in two halves.
    #[must_use]
    pub fn planes(&self) -> Planes<'_> {
        let planes = &self.lines[self.shape.n_signs..];
        let (high, low) = planes.split_at(planes.len() / 2);
        Planes { high, low, steps: self.shape.steps }
    }

    /// The 1-bit codes, in groups of blocks.
    #[must_use]
    pub fn signs(&self) -> &[Line] {
        &self.lines[..self.shape.n_signs]
    }

    /// What stands beside each row's codes.
    #[must_use]
    pub fn per_row(&self) -> &PerRow {
        &self.per_row
    }

    /// What stands beside each row's signs.
    #[must_use]
    pub fn per_sign(&self) -> &PerSign {
        &self.per_sign
    }

    /// The centre.
    #[must_use]
    pub fn centre(&self) -> &[f32] {
        &self.centre
    }

    /// Its length.
    #[must_use]
    pub fn centre_norm(&self) -> f64 {
        self.centre_norm
    }

    /// No row is farther from the centre.
    #[must_use]
    pub fn radius(&self) -> f64 {
        self.radius
    }

    /// The largest of all errors of the upper four bits, which are larger than those of all eight.
    #[must_use]
    pub fn widest_error(&self) -> f64 {
        self.widest_error
    }

    /// The largest magnitude of all offsets.
    #[must_use]
    pub fn largest_offset(&self) -> f64 {
        self.largest_offset
    }

    /// Rows are in units of two to this power.
    #[must_use]
    pub fn exponent(&self) -> i32 {
        self.exponent
    }

    /// Bytes held.
    #[must_use]
    pub fn nbytes(&self) -> usize {
        let per_row = &self.per_row;
        let numbers = [&per_row.scale, &per_row.offset, &per_row.coarse_error, &per_row.fine_error];
        let per_sign = &self.per_sign;
        size_of_val(&*per_sign.offset)
            + size_of_val(&*per_sign.shape)
            + size_of_val(&*self.centre)
            + size_of_val(&*self.lines)
            + numbers.into_iter().map(|numbers| size_of_val(&**numbers)).sum::<usize>()
    }
}

/// Whether `n` rows of width `d` have codes.
pub(super) fn are_coded(n: usize, d: usize) -> bool {
    n >= MIN_ROWS && (MIN_DIM..=MAX_DIM).contains(&d)
}

/// The length of a centre.
pub(super) fn length_of(isa: Isa, centre: &[f32]) -> f64 {
    norms(isa, centre).squares.sqrt()
}

/// Of all rows but those of zeros, so that in its units the longest row has at least length 1.
fn largest_exponent(rows: &NormalRows) -> i32 {
    let exponents = rows.exponents().iter().zip(rows.norms());
    exponents.filter(|&(_, &norm)| norm > 0.0).map(|(&exponent, _)| exponent.into()).max().unwrap_or(0)
}

/// What a stored row is to be multiplied with.
fn factor(rows: &NormalRows, row: usize, metric: Metric, exponent: i32) -> f64 {
    match metric {
        Metric::Cosine => rows.norms()[row].recip(),
        Metric::Dot => power_of_two(i32::from(rows.exponents()[row]) - exponent),
    }
}

/// The mean of the rows, or zeros where rows are no shorter without it.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "any centre near the mean will do"
)]
fn centre(isa: Isa, rows: &NormalRows, metric: Metric, exponent: i32) -> Vec<f32> {
    let (n, d) = (rows.len(), rows.dim());
    let factor = |row| factor(rows, row, metric, exponent);
    let mut sum = vec![0f64; d];
    for row in 0..n {
        accumulate(isa, rows.rows().row(row), factor(row), &mut sum);
    }
    let mean: Vec<f32> = sum.iter().map(|sum| (sum / n as f64) as f32).collect();
    let none = vec![0f32; d];
    let mut row_without = vec![0f32; d];
    let mut length = |row: usize, centre: &[f32]| {
        centred(isa, rows.rows().row(row), factor(row), centre, &mut row_without).0.sqrt()
    };
    let tried = (0..n).step_by(n.div_ceil(TRIED));
    let gain: f64 = tried.map(|row| length(row, &none) - length(row, &mean)).sum();
    if gain > 0.0 && length_of(isa, &mean) >= SHORTEST_CENTRE { mean } else { none }
}

/// As float32, and no smaller; a millionth more covers the rounding of what was computed in float64.
#[allow(clippy::cast_possible_truncation, reason = "rounded up after")]
pub(super) fn rounded_up(x: f64) -> f32 {
    ((x * (1.0 + 1e-6)) as f32).next_up()
}
