//! Which memories may be among the best by energy, from codes.
//!
//! What [`dense::scan`](crate::dense::scan) does for rows is done here for memories, which have several:
//!
//! 1. A sieve gives every key an upper limit `u` of its cosine, from the upper halves of codes.
//! 2. The memories of the keys that look best are compared by whole codes; what the `n`-th of them reaches for certain is the
//!    first *floor*.
//! 3. A memory reaches the floor only if one of its keys has `u + ln(keys) / beta ≥ floor`. Of those that do, the limits of
//!    all keys are pooled, which is tighter, and the memories whose pooled limit reaches the floor are compared by whole
//!    codes. The floor rises on the way.
//!
//! Energies grow with each cosine, and by no more than the largest of their changes: limits of cosines become limits of
//! energies. Where codes let too many through to be worth the trouble, the keys are compared as they are.

use std::cell::Cell;

use super::pool::{margin, may_reach, quick_energy, to_twos};
use super::segment::TraceSegment;
use crate::bitmap::Bitmap;
use crate::dense::aim::{Aim, Fine, Scale};
use crate::dense::contest::Contest;
use crate::dense::query::{Limit, Query};
use crate::dense::scratch::Scratch;
use crate::dense::sieve::Sieve;
use crate::kernels::dot::dot_rows;
use crate::kernels::isa::Isa;
use crate::kernels::limits::{reaching, widened_limits};
use crate::kernels::nibble::dot_codes;
use crate::kernels::select::TopK;
use crate::kernels::sign::BLOCK;

/// Memories that are compared by whole codes at a time.
const CHUNK: usize = 64;

/// For the first floor, about this many times as many memories as are wanted are looked at …
const FIRST: usize = 2;

/// … and this many times as many are compared by whole codes.
const SECOND: usize = 2;

/// Most memories have fewer keys.
const MANY: usize = 32;

/// Keys that are compared as they are at a time.
const FLOATS: usize = 256;

/// With a smaller beta an energy is little more than the number of keys, and codes rule nothing out.
const FLATTEST: f64 = 1e-6;

/// The memories of a part that may be found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Open<'a> {
    pub(super) segment: &'a TraceSegment,
    pub(super) rows: &'a Bitmap,
    /// Position of the first memory, over all parts.
    pub(super) first: usize,
}

impl Open<'_> {
    /// Positions of the memories that have keys.
    fn with_keys(&self) -> impl Iterator<Item = usize> {
        let rows = self.rows.iter().filter(|&row| !self.segment.keys_of(row).is_empty());
        rows.map(|row| self.first + row)
    }
}

/// What is looked for.
#[derive(Debug)]
pub(super) struct Search<'a> {
    pub(super) isa: Isa,
    pub(super) query: Query<'a>,
    pub(super) beta: f64,
    /// How many are wanted.
    pub(super) n: usize,
}

/// A part with codes, as one cue sees it.
struct Aimed<'a> {
    open: Open<'a>,
    keys: Bitmap,
    aim: Aim<'a>,
    fine: Fine,
}

/// Limits of a part's keys.
struct Sieved<'a> {
    aimed: &'a Aimed<'a>,
    scale: Scale,
    /// Of cosines, and the largest of each block.
    upper: Limits<'a>,
    /// Of the energies of memories whose best key it is.
    wide: Limits<'a>,
}

#[derive(Clone, Copy)]
struct Limits<'a> {
    isa: Isa,
    each: &'a [f32],
    largest: &'a [f32],
}

/// Memory that is used again and again within a search.
#[derive(Default)]
struct Work {
    keys: Vec<u32>,
    sums: Vec<i32>,
    scores: Vec<f64>,
    cosines: Vec<Limit>,
    products: Vec<f32>,
}

impl Search<'_> {
    /// Upper limits of energies, and positions of memories, best first: none is missing that is among the `n` best by an
    /// energy computed in float64.
    pub(super) fn contenders(&self, parts: &[Open<'_>]) -> Vec<(f64, usize)> {
        if self.n >= parts.iter().map(|open| open.rows.count()).sum() {
            return parts
                .iter()
                .flat_map(Open::with_keys)
                .map(|position| (f64::INFINITY, position))
                .collect();
        }
        let contest = self.by_codes(parts).unwrap_or_else(|| {
            let mut contest = Contest::new(self.n);
            let mut work = Work::default();
            parts.iter().for_each(|&open| self.compare_floats(open, &mut work, &mut contest));
            contest
        });
        contest.into_left()
    }

    /// `None` where codes rule too few memories out.
    fn by_codes(&self, parts: &[Open<'_>]) -> Option<Contest> {
        let n_memories: usize = parts.iter().map(|open| open.rows.count()).sum();
        if self.beta < FLATTEST {
            return None;
        }
        let aimed: Vec<_> = parts.iter().filter_map(|&open| self.aim(open)).collect();
        let mut work = Work::default();
        let mut contest = Contest::new(self.n);
        for &open in parts.iter().filter(|open| open.segment.keys().codes().is_none()) {
            self.compare_floats(open, &mut work, &mut contest);
        }
        let mut scratch = Scratch::take();
        let mut rest = scratch.limits(aimed.iter().map(Aimed::n_limits).sum());
        let mut sieved = Vec::with_capacity(aimed.len());
        for aimed in &aimed {
            let limits = rest.split_off_mut(..aimed.n_limits()).expect("room for all limits");
            sieved.push(self.sieve(aimed, limits));
        }
        contest.raise(self.first_floor(&sieved, &mut work));
        for sieved in &sieved {
            self.sweep(sieved, &mut work, &mut contest);
        }
        (contest.len() <= self.n + n_memories / 4).then_some(contest)
    }

    fn aim<'a>(&self, open: Open<'a>) -> Option<Aimed<'a>> {
        let (rotation, codes) = open.segment.keys().codes()?;
        let aim = Aim::new(self.isa, rotation, codes, &self.query);
        let fine = aim.fine();
        Some(Aimed { open, keys: open.segment.keys_of_all(open.rows), aim, fine })
    }

    fn sieve<'a>(&self, aimed: &'a Aimed<'a>, limits: &'a mut [f32]) -> Sieved<'a> {
        let (n, blocks) = (aimed.keys.len(), aimed.n_blocks());
        let (upper, limits) = limits.split_at_mut(n);
        let (wide, largest) = limits.split_at_mut(n);
        let (largest_upper, largest_wide) = largest.split_at_mut(blocks);
        let sieve = Sieve::coarse(self.isa, &aimed.aim, &aimed.keys);
        sieve.fill(0..blocks, upper, largest_upper);
        // Blocks without an allowed key were left out.
        for (block, limits) in upper.chunks_mut(BLOCK).enumerate() {
            if largest_upper[block] == f32::NEG_INFINITY {
                limits.fill(f32::NEG_INFINITY);
            }
        }
        // Rounded up, so that products are no smaller than the spread; sums need no margin, since rounding keeps order.
        #[allow(clippy::cast_possible_truncation, reason = "far more is added than rounding takes")]
        let per_beta = ((1.0 / self.beta) * (1.0 + 1e-6)).max(1e-30) as f32;
        widened_limits(self.isa, upper, aimed.open.segment.log_counts(), per_beta, wide, largest_wide);
        let limits = |each, largest| Limits { isa: self.isa, each, largest };
        let (upper, wide) = (limits(upper, largest_upper), limits(wide, largest_wide));
        Sieved { aimed, scale: sieve.scale(), upper, wide }
    }

    /// What `n` of the memories that look best reach for certain; −∞ if there are fewer.
    fn first_floor(&self, sieved: &[Sieved<'_>], work: &mut Work) -> f64 {
        // Best keys mostly stand in blocks of their own: a few times `n` memories reach the best key of this block.
        let of_blocks = |sieved: &Sieved<'_>| {
            let scale = sieved.scale;
            sieved.upper.largest.iter().map(|&limit| scale.score(limit)).collect::<Vec<_>>()
        };
        let mut blocks: Vec<f64> = sieved.iter().flat_map(of_blocks).collect();
        let mut least = f64::NEG_INFINITY;
        let last = self.n.saturating_mul(FIRST);
        if last < blocks.len() {
            least = *blocks.select_nth_unstable_by(last, |a, b| b.total_cmp(a)).1;
        }
        let mut best = TopK::new(self.n.saturating_mul(SECOND));
        for sieved in sieved {
            let first = sieved.aimed.open.first;
            let least = sieved.scale.limit(least);
            sieved.memories(
                sieved.upper,
                || least,
                |row, _| {
                    work.scores.clear();
                    work.scores.extend(sieved.of_memory(row).iter().map(|&limit| sieved.scale.score(limit)));
                    best.push(quick_energy(&work.scores, self.beta), first + row);
                },
            );
        }
        let mut positions: Vec<usize> =
            best.into_sorted().into_iter().map(|(_, position)| position).collect();
        positions.sort_unstable();
        let mut lower = TopK::new(self.n);
        let mut positions = positions.into_iter().peekable();
        for sieved in sieved {
            let Open { first, rows, .. } = sieved.aimed.open;
            let mut chosen = Vec::new();
            while let Some(position) = positions.next_if(|&position| position < first + rows.len()) {
                chosen.push(position - first);
            }
            self.compare(sieved.aimed, &chosen, work, |cosines, position| {
                lower.push(self.pool(cosines).lower, position);
            });
        }
        lower.threshold().unwrap_or(f64::NEG_INFINITY)
    }

    /// Compares whole codes of the memories that reach the floor.
    fn sweep(&self, sieved: &Sieved<'_>, work: &mut Work, contest: &mut Contest) {
        let mut chosen = Vec::with_capacity(CHUNK);
        let per_two = to_twos(self.beta);
        let widest = margin(2.0, libm::log(sieved.aimed.open.segment.most_keys().max(1) as f64) / self.beta);
        let lowered = |contest: &Contest| contest.floor() - 2.0 * widest;
        let floor = Cell::new(lowered(contest));
        let mut compare = |chosen: &mut Vec<usize>| {
            self.compare(sieved.aimed, chosen, work, |cosines, position| {
                #[allow(clippy::cast_possible_truncation, reason = "rounding is part of the margin")]
                let above = |cosine: &Limit| (cosine.upper - floor.get()) as f32;
                if may_reach(cosines.iter().map(above), per_two) {
                    contest.enter(self.pool(cosines), position);
                    floor.set(lowered(contest));
                }
            });
            chosen.clear();
        };
        let limit = || sieved.scale.limit(floor.get());
        sieved.memories(sieved.wide, limit, |row, floor| {
            if may_reach(sieved.of_memory(row).iter().map(|&upper| upper - floor), per_two) {
                chosen.push(row);
                if chosen.len() == CHUNK {
                    compare(&mut chosen);
                }
            }
        });
        compare(&mut chosen);
    }

    /// Gives the limits of the cosines of `chosen` memories by their whole codes, and their positions.
    fn compare(
        &self,
        aimed: &Aimed<'_>,
        chosen: &[usize],
        work: &mut Work,
        mut enter: impl FnMut(&[Limit], usize),
    ) {
        let Aimed { open: Open { segment, first, .. }, aim, fine, .. } = aimed;
        work.sum_codes(self.isa, aimed, chosen.iter().flat_map(|&row| segment.keys_of(row)));
        let mut sums = work.sums.iter();
        for &row in chosen {
            let limits =
                segment.keys_of(row).zip(&mut sums).map(|(key, &sum)| aim.limit(&fine.grain, key, sum));
            work.cosines.clear();
            work.cosines.extend(limits);
            enter(&work.cosines, first + row);
        }
    }

    /// Enters all memories of a part, by float32 products of their keys.
    fn compare_floats(&self, open: Open<'_>, work: &mut Work, contest: &mut Contest) {
        let Open { segment, rows, first } = open;
        let keys = segment.keys().rows();
        for run in rows.runs() {
            let mut start = run.start;
            while start < run.end {
                let from = segment.keys_of(start).start;
                let mut end = start + 1;
                while end < run.end && segment.keys_of(end).end - from <= FLOATS {
                    end += 1;
                }
                let to = segment.keys_of(end - 1).end;
                work.products.clear();
                work.products.resize(to - from, 0.0);
                dot_rows(self.isa, keys.rows_between(from, to), self.query.numbers(), &mut work.products);
                for row in (start..end).filter(|&row| !segment.keys_of(row).is_empty()) {
                    let limits = segment
                        .keys_of(row)
                        .map(|key| self.query.limit(keys, key, work.products[key - from]));
                    work.cosines.clear();
                    work.cosines.extend(limits);
                    contest.enter(self.pool(&work.cosines), first + row);
                }
                start = end;
            }
        }
    }

    /// Limits of an energy, from those of all cosines.
    fn pool(&self, cosines: &[Limit]) -> Limit {
        let mut middles = [0.0; MANY];
        let mut more = Vec::new();
        let middles = if cosines.len() <= MANY {
            &mut middles[..cosines.len()]
        } else {
            more.resize(cosines.len(), 0.0);
            &mut more
        };
        let mut error = 0f64;
        for (middle, &Limit { lower, upper }) in middles.iter_mut().zip(cosines) {
            *middle = f64::midpoint(lower, upper);
            error = error.max(upper - *middle).max(*middle - lower);
        }
        let energy = quick_energy(middles, self.beta);
        let spread = if cosines.len() > 1 { libm::log(cosines.len() as f64) / self.beta } else { 0.0 };
        // Once for this energy, once for the one that it is to be compared with.
        let error = error + 2.0 * margin(energy, spread);
        Limit { lower: energy - error, upper: energy + error }
    }
}

impl Work {
    /// The sums of whole codes of some keys.
    fn sum_codes(&mut self, isa: Isa, aimed: &Aimed<'_>, keys: impl Iterator<Item = usize>) {
        self.keys.clear();
        self.keys.extend(keys.map(key_number));
        self.sums.clear();
        self.sums.resize(self.keys.len(), 0);
        let [a, b] = &aimed.fine.query;
        dot_codes(isa, aimed.aim.codes().planes(), &self.keys, [a, b], &mut self.sums);
    }
}

impl Aimed<'_> {
    fn n_blocks(&self) -> usize {
        self.keys.len().div_ceil(BLOCK)
    }

    /// Two for each key and each block.
    fn n_limits(&self) -> usize {
        2 * (self.keys.len() + self.n_blocks())
    }
}

impl Sieved<'_> {
    /// Upper limits of a memory's cosines.
    fn of_memory(&self, row: usize) -> &[f32] {
        &self.upper.each[self.aimed.open.segment.keys_of(row)]
    }

    /// Calls with each memory of which a key's limit reaches `floor`, which may rise meanwhile, and with that floor.
    fn memories(&self, limits: Limits<'_>, floor: impl Fn() -> f32, mut each: impl FnMut(usize, f32)) {
        let owners = self.aimed.open.segment.owners();
        let mut last = None;
        for block in 0..limits.largest.len() {
            // Keys that are not allowed are at −∞.
            let floor = floor().max(f32::MIN);
            if limits.largest[block] < floor {
                continue;
            }
            let keys = block * BLOCK..limits.each.len().min((block + 1) * BLOCK);
            let mut bits = reaching(limits.isa, &limits.each[keys.clone()], floor);
            while bits != 0 {
                let owner = owners[keys.start + bits.trailing_zeros() as usize];
                if last != Some(owner) {
                    each(owner as usize, floor);
                    last = Some(owner);
                }
                bits &= bits - 1;
            }
        }
    }
}

fn key_number(key: usize) -> u32 {
    u32::try_from(key).expect("a segment has fewer than 2^32 keys")
}
