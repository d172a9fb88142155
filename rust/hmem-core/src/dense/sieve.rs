//! Upper limits of all rows of a segment, from one kind of code, and the rows that reach a floor.
//!
//! Limits are computed for blocks of 64 rows, as kernels and bitmaps have them; each block remembers its largest.

use std::ops::Range;

use super::aim::{Aim, Coarse, Scale, Signs};
use crate::bitmap::Bitmap;
use crate::kernels::isa::Isa;
use crate::kernels::limits::{self, upper_limits_of_dots, upper_limits_of_signs};
use crate::kernels::nibble;
use crate::kernels::sign::{self, BLOCK};

/// Blocks whose limits are computed in one go; their sums stay in the nearest cache.
const RUN: usize = 8;
const _: () = assert!(RUN.is_multiple_of(sign::GROUP));

/// Which code is read.
#[derive(Debug)]
pub(crate) enum Mesh {
    /// Upper halves, with proved limits.
    Coarse(Coarse),
    /// Signs, with limits that hold nearly always.
    Signs(Signs),
}

/// A segment's limits for one query.
#[derive(Debug)]
pub(crate) struct Sieve<'a> {
    isa: Isa,
    aim: &'a Aim<'a>,
    mesh: Mesh,
    scale: Scale,
    allowed: &'a Bitmap,
}

impl<'a> Sieve<'a> {
    pub(crate) fn coarse(isa: Isa, aim: &'a Aim<'a>, allowed: &'a Bitmap) -> Self {
        let (coarse, scale) = aim.coarse();
        Self { isa, aim, mesh: Mesh::Coarse(coarse), scale, allowed }
    }

    pub(crate) fn signs(isa: Isa, aim: &'a Aim<'a>, allowed: &'a Bitmap) -> Self {
        let (signs, scale) = aim.signs();
        Self { isa, aim, mesh: Mesh::Signs(signs), scale, allowed }
    }

    pub(crate) fn isa(&self) -> Isa {
        self.isa
    }

    /// From its limits to scores.
    pub(crate) fn scale(&self) -> Scale {
        self.scale
    }

    /// Limits of the rows of `blocks`, −∞ for rows that are not allowed; and the largest of each block.
    pub(crate) fn fill(&self, blocks: Range<usize>, upper: &mut [f32], largest: &mut [f32]) {
        let words = &self.allowed.words()[blocks.clone()];
        let n = self.allowed.len();
        let upper = upper.chunks_mut(RUN * BLOCK);
        let runs = words.chunks(RUN).zip(upper).zip(largest.chunks_mut(RUN));
        for (start, ((words, upper), largest)) in blocks.step_by(RUN).zip(runs) {
            if words.iter().all(|&word| word == 0) {
                largest.fill(f32::NEG_INFINITY);
                continue;
            }
            let rows = start * BLOCK..n.min((start + words.len()) * BLOCK);
            self.run(start..start + words.len(), rows, upper, largest);
            for ((&word, upper), largest) in words.iter().zip(upper.chunks_mut(BLOCK)).zip(largest) {
                if word != u64::MAX >> (BLOCK - upper.len()) {
                    *largest = mask(upper, word);
                }
            }
        }
    }

    /// Puts behind `sharp` the limits of some rows by their whole codes, given those of all by the upper halves; where signs
    /// were read, what is given. `sums` is memory to work in.
    pub(crate) fn sharpen(&self, rows: &[u32], upper: &[f32], sums: &mut Vec<i32>, sharp: &mut Vec<f64>) {
        let Mesh::Coarse(coarse) = &self.mesh else {
            sharp.extend(rows.iter().map(|&row| f64::from(upper[row as usize])));
            return;
        };
        sums.clear();
        sums.resize(rows.len(), 0);
        nibble::dot_chosen(self.isa, self.aim.codes().planes().low, rows, &coarse.query, sums);
        let limit = |(row, &sum)| self.aim.sharpened(coarse, row, upper[row], sum);
        sharp.extend(rows.iter().map(|&row| row as usize).zip(&*sums).map(limit));
    }

    /// Limits of all rows of a run of blocks, allowed or not, and the largest of each block.
    fn run(&self, blocks: Range<usize>, rows: Range<usize>, upper: &mut [f32], largest: &mut [f32]) {
        let codes = self.aim.codes();
        match &self.mesh {
            Mesh::Coarse(coarse) => {
                let per_row = codes.per_row();
                let planes = codes.planes();
                let mut sums = [0; RUN * BLOCK];
                nibble::dot_rows(
                    self.isa,
                    planes.high_of(rows.clone()),
                    &coarse.query,
                    &mut sums[..rows.len()],
                );
                let per_row = limits::PerRow {
                    offset: &per_row.offset[rows.clone()],
                    scale: &per_row.scale[rows.clone()],
                    error: &per_row.coarse_error[rows],
                };
                upper_limits_of_dots(self.isa, &sums, per_row, coarse.per_query, upper, largest);
            }
            Mesh::Signs(signs) => {
                let lines = signs.tables.lines();
                let end = blocks.end.next_multiple_of(sign::GROUP);
                let lines = &codes.signs()[blocks.start * lines..end * lines];
                let mut sums = [0; RUN * BLOCK];
                sign::sums(self.isa, lines, &signs.tables, &mut sums[..(end - blocks.start) * BLOCK]);
                let per_sign = codes.per_sign();
                let per_row = limits::PerSignRow {
                    offset: &per_sign.offset.counts[rows.clone()],
                    factor: &per_sign.factor.counts[rows.clone()],
                    spread: &per_sign.spread.counts[rows],
                };
                upper_limits_of_signs(self.isa, &sums, per_row, signs.per_query, upper, largest);
            }
        }
    }
}

/// Takes the limits of rows that are not in the set; returns the largest of the others.
fn mask(upper: &mut [f32], word: u64) -> f32 {
    for (i, limit) in upper.iter_mut().enumerate() {
        *limit = if word >> i & 1 == 1 { *limit } else { f32::NEG_INFINITY };
    }
    upper.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}
