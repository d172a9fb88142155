//! A second look at rows that signs let through, where an answer may be nearly exact: the upper halves of their codes.
//!
//! Signs let many rows through, and these lie anywhere in memory: what a row costs is the lines that have to be fetched
//! for it. Half a code, estimated to within a few deviations, rules most of them out for half the lines.

use super::aim::{Aim, Coarse, Scale};
use super::codes::Codes;
use super::scan::CHUNK;
use crate::kernels::isa::Isa;
use crate::kernels::limits::{PerRow, reaching, upper_limits_of_dots};
use crate::kernels::nibble;
use crate::kernels::sign::BLOCK;

/// One query and one segment.
#[derive(Debug)]
pub(super) struct Screen<'a> {
    isa: Isa,
    codes: &'a Codes,
    coarse: Coarse,
    scale: Scale<f32>,
}

impl<'a> Screen<'a> {
    pub(super) fn new(isa: Isa, aim: &Aim<'a>) -> Self {
        let (coarse, scale) = aim.likely_coarse();
        Self { isa, codes: aim.codes(), coarse, scale }
    }

    /// Adds those of the `chosen` rows that may reach `floor` to `passed`, and asks for the rest of their codes.
    pub(super) fn pass(&self, chosen: &[u32], floor: f64, passed: &mut Vec<u32>) {
        let floor = self.scale.limit(floor);
        for chosen in chosen.chunks(CHUNK) {
            let mut limits = [0f32; CHUNK];
            let limits = &mut limits[..chosen.len()];
            self.limits(chosen, limits);
            for (chosen, limits) in chosen.chunks(BLOCK).zip(limits.chunks(BLOCK)) {
                let mut bits = reaching(self.isa, limits, floor);
                while bits != 0 {
                    let row = chosen[bits.trailing_zeros() as usize];
                    self.codes.prefetch_rest(row as usize);
                    passed.push(row);
                    bits &= bits - 1;
                }
            }
        }
    }

    /// Upper limits, which hold nearly always, of up to [`CHUNK`] rows.
    fn limits(&self, chosen: &[u32], limits: &mut [f32]) {
        let (n, planes, per_row) = (chosen.len(), self.codes.planes(), self.codes.per_row());
        let mut offset = [0f32; CHUNK];
        let mut scale = [0f32; CHUNK];
        for (i, &row) in chosen.iter().enumerate() {
            offset[i] = per_row.offset[row as usize];
            scale[i] = per_row.scale[row as usize];
        }
        let mut sums = [0; CHUNK];
        nibble::dot_chosen(self.isa, planes.high, chosen, &self.coarse.query, &mut sums[..n]);
        // A row's error is in units of its scale here.
        let rows = PerRow { offset: &offset[..n], scale: &scale[..n], error: &scale[..n] };
        let mut largest = [0f32; CHUNK / BLOCK];
        upper_limits_of_dots(
            self.isa,
            &sums,
            rows,
            self.coarse.per_query,
            limits,
            &mut largest[..n.div_ceil(BLOCK)],
        );
    }
}
