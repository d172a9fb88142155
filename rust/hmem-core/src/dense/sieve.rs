//! Upper limits of all rows of a segment, from one kind of code, and the rows that reach a floor.
//!
//! Limits are computed for blocks of 64 rows, as kernels and bitmaps have them; each block remembers its largest.

use std::ops::Range;

use super::aim::{Aim, Coarse, Scale, Signs};
use super::codes::Codes;
use super::limit::Limited;
use crate::bitmap::Bitmap;
use crate::kernels::isa::Isa;
use crate::kernels::limits::{PerRow, PerSignRow, levels_of_signs, upper_limits_of_dots};
use crate::kernels::nibble;
use crate::kernels::sign::{self, BLOCK};

/// Blocks whose limits are computed in one go; their sums stay in the nearest cache.
const RUN: usize = 8;
const _: () = assert!(RUN.is_multiple_of(sign::GROUP));

/// A query as one kind of code is read with it.
pub(crate) trait Mesh: Sized {
    /// What limits are kept as.
    type Limit: Limited;

    /// Whether limits are proved; else they hold nearly always.
    const PROVED: bool;

    /// The query, and from limits to scores.
    fn of(aim: &Aim<'_>) -> (Self, Scale<Self::Limit>);

    /// Limits of all rows of a run of blocks, allowed or not, and the largest of each block.
    fn limits(
        &self,
        isa: Isa,
        codes: &Codes,
        run: Run,
        upper: &mut [Self::Limit],
        largest: &mut [Self::Limit],
    );
}

/// Up to [`RUN`] blocks, and their rows.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    blocks: Range<usize>,
    rows: Range<usize>,
}

/// Upper halves of codes.
impl Mesh for Coarse {
    type Limit = f32;
    const PROVED: bool = true;

    fn of(aim: &Aim<'_>) -> (Self, Scale<f32>) {
        aim.coarse()
    }

    fn limits(&self, isa: Isa, codes: &Codes, run: Run, upper: &mut [f32], largest: &mut [f32]) {
        let rows = run.rows;
        let (planes, per_row) = (codes.planes(), codes.per_row());
        let mut sums = [0; RUN * BLOCK];
        nibble::dot_rows(isa, planes.high_of(rows.clone()), &self.query, &mut sums[..rows.len()]);
        let per_row = PerRow {
            offset: &per_row.offset[rows.clone()],
            scale: &per_row.scale[rows.clone()],
            error: &per_row.coarse_error[rows],
        };
        upper_limits_of_dots(isa, &sums, per_row, self.per_query, upper, largest);
    }
}

impl Mesh for Signs {
    type Limit = i16;
    const PROVED: bool = false;

    fn of(aim: &Aim<'_>) -> (Self, Scale<i16>) {
        aim.signs()
    }

    fn limits(&self, isa: Isa, codes: &Codes, run: Run, upper: &mut [i16], largest: &mut [i16]) {
        let Run { blocks, rows } = run;
        let lines = self.tables.lines();
        let end = blocks.end.next_multiple_of(sign::GROUP);
        let groups = &codes.signs()[blocks.start * lines..end * lines];
        let mut sums = [0; RUN * BLOCK];
        sign::sums(isa, groups, &self.tables, &mut sums[..(end - blocks.start) * BLOCK]);
        let per_sign = codes.per_sign();
        let per_row = PerSignRow { offset: &per_sign.offset[rows.clone()], shape: &per_sign.shape[rows] };
        levels_of_signs(isa, &sums, per_row, self.per_query, upper, largest);
    }
}

/// A segment's limits for one query.
#[derive(Debug)]
pub(crate) struct Sieve<'a, M: Mesh> {
    isa: Isa,
    aim: &'a Aim<'a>,
    mesh: M,
    scale: Scale<M::Limit>,
    allowed: &'a Bitmap,
}

impl<'a, M: Mesh> Sieve<'a, M> {
    pub(crate) fn new(isa: Isa, aim: &'a Aim<'a>, allowed: &'a Bitmap) -> Self {
        let (mesh, scale) = M::of(aim);
        Self { isa, aim, mesh, scale, allowed }
    }

    pub(crate) fn isa(&self) -> Isa {
        self.isa
    }

    /// From its limits to scores.
    pub(crate) fn scale(&self) -> Scale<M::Limit> {
        self.scale
    }

    /// Limits of the rows of `blocks`, and the largest of each block. Of a whole run of blocks without an allowed row, only
    /// the latter are written.
    pub(crate) fn fill(&self, blocks: Range<usize>, upper: &mut [M::Limit], largest: &mut [M::Limit]) {
        let words = &self.allowed.words()[blocks.clone()];
        let n = self.allowed.len();
        let upper = upper.chunks_mut(RUN * BLOCK);
        let runs = words.chunks(RUN).zip(upper).zip(largest.chunks_mut(RUN));
        for (start, ((words, upper), largest)) in blocks.step_by(RUN).zip(runs) {
            if words.iter().all(|&word| word == 0) {
                largest.fill(M::Limit::NONE);
                continue;
            }
            let end = start + words.len();
            let run = Run { blocks: start..end, rows: start * BLOCK..n.min(end * BLOCK) };
            self.mesh.limits(self.isa, self.aim.codes(), run, upper, largest);
            for ((&word, upper), largest) in words.iter().zip(upper.chunks_mut(BLOCK)).zip(largest) {
                if word != u64::MAX >> (BLOCK - upper.len()) {
                    *largest = mask(upper, word);
                }
            }
        }
    }
}

impl Sieve<'_, Coarse> {
    /// Puts behind `sharp` the limits of some rows by their whole codes, given those of all by the upper halves. `sums` is
    /// memory to work in.
    pub(crate) fn sharpen(&self, rows: &[u32], upper: &[f32], sums: &mut Vec<i32>, sharp: &mut Vec<f64>) {
        sums.clear();
        sums.resize(rows.len(), 0);
        nibble::dot_chosen(self.isa, self.aim.codes().planes().low, rows, &self.mesh.query, sums);
        let limit = |(row, &sum)| self.aim.sharpened(&self.mesh, row, upper[row], sum);
        sharp.extend(rows.iter().map(|&row| row as usize).zip(&*sums).map(limit));
    }
}

/// Takes the limits of rows that are not in the set; returns the largest of the others.
fn mask<L: Limited>(upper: &mut [L], word: u64) -> L {
    let mut largest = L::NONE;
    for (i, limit) in upper.iter_mut().enumerate() {
        *limit = if word >> i & 1 == 1 { *limit } else { L::NONE };
        largest = if *limit > largest { *limit } else { largest };
    }
    largest
}
