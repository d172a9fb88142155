//! Who may reach the floor: from the upper halves of codes to whole codes, key by key.
//!
//! A memory reaches the floor only if
//!
//! 1. one of its keys has `u + ln(keys) / beta ≥ floor`, where `u` is the key's limit by the upper half of its code;
//! 2. the limits of all its keys, pooled, do;
//! 3. they do with the lower halves of codes on top, which are compared with the same 8 bits of the query: the code is then
//!    as near to the row as can be, and what is left is the rounding of the query;
//! 4. they do by whole codes and 15 bits of the query.
//!
//! Each step reads less than the next, or less of it. Who is left enters the contest, which raises the floor.

use std::cell::Cell;

use super::contenders::{Search, Work};
use super::pool::{margin, may_reach, to_twos};
use super::sieved::Sieved;
use crate::bitmap::Bitmap;
use crate::dense::contest::Contest;

/// Memories whose lower halves are compared at a time.
const ASKED: usize = 256;

/// Memories that are compared by whole codes at a time.
const CHUNK: usize = 64;

/// A part that is swept.
struct Sweep<'a> {
    search: &'a Search<'a>,
    sieved: &'a Sieved<'a>,
    /// The contest's, lowered by what pooling in float32 and float64 may be off.
    floor: Cell<f64>,
    widest: f64,
    per_two: f32,
}

impl Search<'_> {
    /// Enters all memories of a part that may reach the floor and have not `entered`.
    pub(super) fn sweep(
        &self,
        sieved: &Sieved<'_>,
        entered: &Bitmap,
        work: &mut Work,
        contest: &mut Contest,
    ) {
        let most_keys = sieved.segment().most_keys().max(1);
        let widest = margin(2.0, libm::log(most_keys as f64) / self.beta);
        let (per_two, floor) = (to_twos(self.beta), Cell::default());
        let sweep = Sweep { search: self, sieved, floor, widest, per_two };
        sweep.follow(contest);
        let (mut asked, mut chosen) = (Vec::with_capacity(ASKED), Vec::with_capacity(CHUNK + ASKED));
        let limit = || sieved.scale().limit(sweep.floor.get());
        sieved.with_energy(limit, |row, floor| {
            let above = sieved.of_memory(row).iter().map(|&upper| upper - floor);
            if may_reach(above, per_two) && !entered.contains(row) {
                asked.push(row);
                if asked.len() == ASKED {
                    sweep.sharpen(&mut asked, &mut chosen, work);
                    if chosen.len() >= CHUNK {
                        sweep.compare(&mut chosen, work, contest);
                    }
                }
            }
        });
        sweep.sharpen(&mut asked, &mut chosen, work);
        sweep.compare(&mut chosen, work, contest);
    }
}

impl Sweep<'_> {
    fn follow(&self, contest: &Contest) {
        self.floor.set(contest.floor() - 2.0 * self.widest);
    }

    /// Those of `asked` that may reach the floor by the lower halves of codes are `chosen`.
    fn sharpen(&self, asked: &mut Vec<usize>, chosen: &mut Vec<usize>, work: &mut Work) {
        let floor = f64::from(self.sieved.scale().limit(self.floor.get()));
        let segment = self.sieved.segment();
        work.set_keys(asked.iter().flat_map(|&row| segment.keys_of(row)));
        work.scores.clear();
        self.sieved.sharpen(&work.keys, &mut work.sums, &mut work.scores);
        let mut limits = &work.scores[..];
        for row in asked.drain(..) {
            let of_memory = limits.split_off(..segment.keys_of(row).len()).expect("limits of all keys");
            #[allow(clippy::cast_possible_truncation, reason = "rounding is part of the margin")]
            let above = of_memory.iter().map(|limit| (limit - floor) as f32);
            if may_reach(above, self.per_two) {
                chosen.push(row);
            }
        }
    }

    /// Enters those of `chosen` that may reach the floor by whole codes.
    fn compare(&self, chosen: &mut Vec<usize>, work: &mut Work, contest: &mut Contest) {
        let (sieved, segment) = (self.sieved, self.sieved.segment());
        work.set_keys(chosen.iter().flat_map(|&row| segment.keys_of(row)));
        work.cosines.clear();
        sieved.aimed.whole(&work.keys, &mut work.sums, &mut work.cosines);
        let mut cosines = &work.cosines[..];
        for row in chosen.drain(..) {
            let of_memory = cosines.split_off(..segment.keys_of(row).len()).expect("limits of all keys");
            #[allow(clippy::cast_possible_truncation, reason = "rounding is part of the margin")]
            let above = of_memory.iter().map(|limit| (limit.upper - self.floor.get()) as f32);
            if may_reach(above, self.per_two) {
                contest.enter(self.search.pool(of_memory), sieved.aimed.open.first + row);
                self.follow(contest);
            }
        }
    }
}
