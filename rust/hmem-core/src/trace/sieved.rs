//! Keys of a segment as one cue sees them: their limits by upper halves of codes, and which memories these let through.

use super::contenders::Open;
use super::segment::TraceSegment;
use crate::bitmap::Bitmap;
use crate::dense::aim::{Aim, Coarse, Fine, Scale};
use crate::dense::query::{Limit, Query};
use crate::dense::sieve::Sieve;
use crate::kernels::isa::Isa;
use crate::kernels::limits::{reaching, widened_limits};
use crate::kernels::nibble::dot_codes;
use crate::kernels::sign::BLOCK;

/// A part with codes, as one cue sees it.
pub(super) struct Aimed<'a> {
    pub(super) open: Open<'a>,
    isa: Isa,
    keys: Bitmap,
    aim: Aim<'a>,
    fine: Fine,
}

impl<'a> Aimed<'a> {
    /// `None` where keys have no codes.
    pub(super) fn new(isa: Isa, open: Open<'a>, query: &Query<'_>) -> Option<Self> {
        let (rotation, codes) = open.segment.keys().codes()?;
        let aim = Aim::new(isa, rotation, codes, query);
        let fine = aim.fine();
        Some(Self { open, isa, keys: open.segment.keys_of_all(open.rows), aim, fine })
    }

    /// One for each key and each block.
    pub(super) fn n_limits(&self) -> usize {
        self.keys.len() + self.keys.len().div_ceil(BLOCK)
    }

    /// Limits of all keys by the upper halves of codes, in memory for [`n_limits`](Self::n_limits) of them.
    pub(super) fn sieve<'s>(&'s self, beta: f64, limits: &'s mut [f32]) -> Sieved<'s> {
        let (upper, largest) = limits.split_at_mut(self.keys.len());
        let sieve = Sieve::new(self.isa, &self.aim, &self.keys);
        sieve.fill(0..largest.len(), upper, largest);
        // Blocks without an allowed key were left out.
        for (limits, largest) in upper.chunks_mut(BLOCK).zip(&*largest) {
            if *largest == f32::NEG_INFINITY {
                limits.fill(f32::NEG_INFINITY);
            }
        }
        // Rounded up, so that products are no smaller than the spread; sums need no margin, since rounding keeps order.
        #[allow(clippy::cast_possible_truncation, reason = "far more is added than rounding takes")]
        let per_beta = ((1.0 / beta) * (1.0 + 1e-6)).max(1e-30) as f32;
        Sieved { aimed: self, sieve, upper, largest, per_beta }
    }

    /// Puts the limits of some keys' cosines, by their whole codes, behind `limits`.
    pub(super) fn whole(&self, keys: &[u32], sums: &mut Vec<i32>, limits: &mut Vec<Limit>) {
        sums.clear();
        sums.resize(keys.len(), 0);
        let [a, b] = &self.fine.query;
        dot_codes(self.isa, self.aim.codes().planes(), keys, [a, b], sums);
        let limit = |(&key, &sum)| self.aim.limit(&self.fine.grain, key as usize, sum);
        limits.extend(keys.iter().zip(&*sums).map(limit));
    }
}

/// Limits of a part's keys by the upper halves of their codes.
pub(super) struct Sieved<'a> {
    pub(super) aimed: &'a Aimed<'a>,
    sieve: Sieve<'a, Coarse>,
    /// Of cosines; −∞ for keys that are not allowed.
    upper: &'a [f32],
    /// The largest of each block.
    largest: &'a [f32],
    /// What `ln(keys)` adds to a limit, so that it is one of an energy.
    per_beta: f32,
}

impl<'a> Sieved<'a> {
    pub(super) fn segment(&self) -> &'a TraceSegment {
        self.aimed.open.segment
    }

    /// From limits to cosines.
    pub(super) fn scale(&self) -> Scale<f32> {
        self.sieve.scale()
    }

    /// Puts the limits of some keys' cosines, by the whole codes and the sieve's query, behind `sharp`.
    pub(super) fn sharpen(&self, keys: &[u32], sums: &mut Vec<i32>, sharp: &mut Vec<f64>) {
        self.sieve.sharpen(keys, self.upper, sums, sharp);
    }

    /// Upper limits of a memory's cosines.
    pub(super) fn of_memory(&self, row: usize) -> &'a [f32] {
        &self.upper[self.segment().keys_of(row)]
    }

    /// Calls with each memory that has a key whose cosine may reach `floor`.
    pub(super) fn with_a_key(&self, floor: f32, mut each: impl FnMut(usize)) {
        self.owners(
            |block| {
                let passes = self.largest[block] >= floor;
                (if passes { reaching(self.aimed.isa, self.block(block), floor) } else { 0 }, floor)
            },
            |row, _| each(row),
        );
    }

    /// Calls with each memory whose energy may reach `floor` as far as its best key says, and with that floor, which may
    /// rise meanwhile.
    pub(super) fn with_energy(&self, floor: impl Fn() -> f32, each: impl FnMut(usize, f32)) {
        let (logs, most_logs) = (self.segment().log_counts(), self.segment().most_logs());
        let mut wide = [0f32; BLOCK];
        self.owners(
            |block| {
                let floor = floor();
                if self.largest[block] + self.per_beta * most_logs[block] < floor {
                    return (0, floor);
                }
                let upper = self.block(block);
                let (logs, wide) = (&logs[block * BLOCK..][..upper.len()], &mut wide[..upper.len()]);
                widened_limits(self.aimed.isa, upper, logs, self.per_beta, wide, &mut [0.0]);
                (reaching(self.aimed.isa, wide, floor), floor)
            },
            each,
        );
    }

    fn block(&self, block: usize) -> &'a [f32] {
        &self.upper[block * BLOCK..self.upper.len().min((block + 1) * BLOCK)]
    }

    /// Calls with the owner of each key whose bit is set, once, and with what came beside the bits.
    fn owners(&self, mut bits: impl FnMut(usize) -> (u64, f32), mut each: impl FnMut(usize, f32)) {
        let owners = self.segment().owners();
        let mut last = None;
        for block in 0..self.largest.len() {
            let (mut bits, floor) = bits(block);
            while bits != 0 {
                let owner = owners[block * BLOCK + bits.trailing_zeros() as usize];
                if last != Some(owner) {
                    each(owner as usize, floor);
                    last = Some(owner);
                }
                bits &= bits - 1;
            }
        }
    }
}
