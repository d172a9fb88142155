//! Rows into codes, one after the other.

use super::codes::{LARGEST, Shape, rounded_up};
use super::normal::NormalRows;
use crate::kernels::isa::Isa;
use crate::kernels::line::{LINE, Line};
use crate::kernels::memory::Lines;
use crate::kernels::nibble::STEP;
use crate::kernels::quantise::{centred, norms, rounded, squared_distance};
use crate::kernels::rotation::Rotation;
use crate::kernels::sign;

/// Codes of the rows so far, and working memory for one row at a time.
pub(super) struct Encoder<'a> {
    isa: Isa,
    rotation: &'a Rotation,
    centre: &'a [f32],
    centre_norm: f64,
    pub(super) shape: Shape,
    row: Vec<f32>,
    rounded: Vec<i32>,
    bytes: Vec<u8>,
    pub(super) lines: Lines,
    pub(super) scale: Vec<f32>,
    pub(super) offset: Vec<f32>,
    pub(super) coarse_error: Vec<f32>,
    pub(super) fine_error: Vec<f32>,
    pub(super) factor: Vec<f32>,
    pub(super) spread: Vec<f32>,
    pub(super) radius: f64,
    pub(super) widest_error: f64,
    pub(super) largest_offset: f64,
}

impl<'a> Encoder<'a> {
    /// For `n` rows.
    pub(super) fn new(
        isa: Isa,
        rotation: &'a Rotation,
        centre: &'a [f32],
        centre_norm: f64,
        n: usize,
    ) -> Self {
        let shape = Shape::new(n, centre.len());
        let numbers = || Vec::with_capacity(n);
        Self {
            isa,
            rotation,
            centre,
            centre_norm,
            shape,
            row: vec![0.0; centre.len()],
            rounded: vec![0; centre.len()],
            bytes: vec![0; shape.steps * STEP],
            lines: Lines::zeroed(shape.n_lines(n)),
            scale: numbers(),
            offset: numbers(),
            coarse_error: numbers(),
            fine_error: numbers(),
            factor: numbers(),
            spread: numbers(),
            radius: 0.0,
            widest_error: 0.0,
            largest_offset: 0.0,
        }
    }

    /// The next row, which is to be multiplied with `factor`.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "codes are -127 to 127, so 1 to 255 here"
    )]
    pub(super) fn encode(&mut self, rows: &NormalRows, row: usize, factor: f64) {
        let (isa, d) = (self.isa, self.row.len());
        let (squares, offset) = centred(isa, rows.rows().row(row), factor, self.centre, &mut self.row);
        let length = squares.sqrt();
        self.rotation.apply(isa, &mut self.row);
        let rotated = norms(isa, &self.row);

        // Rows that are all centre have no scale; with any scale their code is zero.
        let scale = (rotated.largest / LARGEST).max(f32::MIN_POSITIVE);
        rounded(isa, &self.row, (LARGEST / rotated.largest).min(f32::MAX), &mut self.rounded);
        let fine = squared_distance(isa, &self.row, scale.into(), &self.rounded);
        for (byte, code) in self.bytes.iter_mut().zip(&mut self.rounded) {
            *byte = (*code + 128) as u8;
            // Twice what the upper four bits stand for.
            *code = 2 * i32::from(*byte & 0xf0) - 241;
        }
        let coarse = squared_distance(isa, &self.row, f64::from(scale) / 2.0, &self.rounded);
        self.pack(row);

        // What was rounded before the codes: the row itself, its rotation, and the stored form's factor.
        let before = length * (self.rotation.error() + 2f64.powi(-22))
            + 2f64.powi(-48) * (rows.norms()[row] * factor + self.centre_norm);
        let errors = [fine, coarse].map(|squares| rounded_up(squares.sqrt() + before));
        self.scale.push(scale);
        self.offset.push(offset as f32);
        self.fine_error.push(errors[0]);
        self.coarse_error.push(errors[1]);
        let sign_factor = if rotated.sum > 0.0 { rotated.squares / rotated.sum } else { 0.0 };
        let share =
            if rotated.squares > 0.0 { rotated.sum * rotated.sum / rotated.squares } else { d as f64 };
        let spread = sign_factor * ((d as f64 - share).max(0.0) / (d - 1) as f64).sqrt();
        self.factor.push(sign_factor as f32);
        self.spread.push(spread as f32);
        self.radius = self.radius.max(length * (1.0 + 2f64.powi(-20)));
        self.largest_offset = self.largest_offset.max(offset.abs());
        self.widest_error = self.widest_error.max(errors[0].max(errors[1]).into());
    }

    /// Puts `bytes`, and the signs of `row`, where the kernels want them.
    fn pack(&mut self, row: usize) {
        let Shape { n_signs, steps } = self.shape;
        let (signs, planes) = self.lines.split_at_mut(n_signs);
        let (high, low) = planes.split_at_mut(planes.len() / 2);
        pack(&self.bytes, &mut high[row * steps..], &mut low[row * steps..]);
        sign::set_row(signs, row, self.row.len(), |j| self.row[j] >= 0.0);
    }
}

/// Puts whole steps of 8-bit numbers into two planes, as [`nibble`](crate::kernels::nibble) wants them.
pub(crate) fn pack(bytes: &[u8], highs: &mut [Line], lows: &mut [Line]) {
    for ((bytes, high), low) in bytes.as_chunks::<STEP>().0.iter().zip(highs).zip(lows) {
        for j in 0..LINE {
            let (first, second) = (bytes[j], bytes[LINE + j]);
            high.0[j] = first >> 4 | second & 0xf0;
            low.0[j] = first & 15 | second << 4;
        }
    }
}
