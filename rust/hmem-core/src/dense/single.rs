//! One query: from the smallest codes to the rows that may be among the best.

use std::thread;

use super::aim::{Aim, Fine};
use super::contest::Contest;
use super::floats;
use super::query::{Limit, Query};
use super::scan::{CHUNK, Hit, Search, row_number};
use super::scratch::Scratch;
use super::sieve::Sieve;
use crate::kernels::limits::reaching;
use crate::kernels::select::TopK;
use crate::kernels::sign::BLOCK;
use crate::segment::Segment;

/// Rows after which is judged whether comparing whole codes rules any out.
const TRIAL: usize = 2048;

/// The largest share of rows that signs may let through.
const MOST: f64 = 0.25;

/// One of so many blocks is looked at to judge that.
const JUDGED: usize = 8;

/// Rows that a thread must have to itself: scanning them takes ten times as long as starting it.
const ROWS_A_THREAD: usize = 1 << 16;

/// From what rows are compared first.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Depth {
    Signs,
    Codes,
    Floats,
}

/// A segment with codes, as one query sees it.
struct Aimed<'a> {
    part: usize,
    /// Position of its first row.
    first: usize,
    aim: Aim<'a>,
    fine: Fine,
}

impl Depth {
    /// What is taken for a row's limits: proved ones where the answer is to be exact.
    fn limit(self, proved: Limit) -> Limit {
        if self == Self::Signs { proved.likely() } else { proved }
    }
}

impl Search<'_> {
    /// The best rows for one query.
    pub(super) fn answer(&self, query: &Query<'_>) -> Vec<Hit> {
        let aimed = self.aim(query);
        let contest = match self.wish.exact {
            false => self.contest(query, &aimed, Depth::Signs),
            true => None,
        };
        let contest = contest
            .or_else(|| self.contest(query, &aimed, Depth::Codes))
            .or_else(|| self.contest(query, &aimed, Depth::Floats))
            .expect("the rows as they are never let too many through");
        self.decide(query, contest)
    }

    fn aim(&self, query: &Query<'_>) -> Vec<Aimed<'_>> {
        let mut first = 0;
        let mut aimed = Vec::new();
        for (part, live) in self.parts.iter().enumerate() {
            if let Some((rotation, codes)) = live.segment.codes() {
                let aim = Aim::new(self.isa, rotation, codes, query);
                let fine = aim.fine();
                aimed.push(Aimed { part, first, aim, fine });
            }
            first += live.segment.n_rows();
        }
        aimed
    }

    /// The rows that may be among the best; `None` where `depth` rules too few out.
    fn contest(&self, query: &Query<'_>, aimed: &[Aimed<'_>], depth: Depth) -> Option<Contest> {
        let mut contest = Contest::new(self.wish.k);
        let mut first = 0;
        for part in self.parts {
            if depth == Depth::Floats || part.segment.codes().is_none() {
                floats::scan(self.isa, query, part.segment.rows(), part.rows, first, &mut contest);
            }
            first += part.segment.n_rows();
        }
        if depth != Depth::Floats {
            self.sift_all(aimed, depth, &mut contest)?;
        }
        // `k` rows reach the floor for certain. Where fewer came through, signs were wrong about some: about copies of one
        // row, for example, they are wrong together.
        let certain = if contest.floor() > f64::NEG_INFINITY { self.wish.k } else { 0 };
        (depth != Depth::Signs || contest.left().count() >= certain).then_some(contest)
    }

    /// Sifts the rows of all segments with codes, on several threads where that pays.
    fn sift_all(&self, aimed: &[Aimed<'_>], depth: Depth, contest: &mut Contest) -> Option<()> {
        let n: usize = aimed.iter().map(|aimed| self.parts[aimed.part].rows.len()).sum();
        // Which rows signs let through depends on the floor, hence on the order of segments; codes are never wrong.
        let threads =
            if depth == Depth::Signs { 1 } else { self.threads.min(n / ROWS_A_THREAD).min(aimed.len()) };
        if threads < 2 {
            return self.sift(aimed, depth, contest);
        }
        let share = aimed.len().div_ceil(threads);
        let (own, others) = aimed.split_at(share);
        thread::scope(|scope| {
            let others: Vec<_> = others
                .chunks(share)
                .map(|aimed| {
                    let mut contest = contest.successor();
                    let work = move || self.sift(aimed, depth, &mut contest).map(|()| contest);
                    (aimed, thread::Builder::new().spawn_scoped(scope, work))
                })
                .collect();
            let mut through = self.sift(own, depth, contest);
            for (aimed, handle) in others {
                match handle {
                    Ok(handle) => {
                        let other = handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                        through = through.and(other.map(|other| contest.join(other)));
                    }
                    // Where the system gives no further thread, this one does the work.
                    Err(_) => through = through.and_then(|()| self.sift(aimed, depth, contest)),
                }
            }
            through
        })
    }

    fn sift(&self, aimed: &[Aimed<'_>], depth: Depth, contest: &mut Contest) -> Option<()> {
        let mut scratch = Scratch::take();
        let mut compared = 0;
        for aimed in aimed {
            let sieved = self.sieve(aimed, depth, &mut scratch);
            if contest.floor() == f64::NEG_INFINITY {
                contest.raise(self.first_floor(&sieved, depth));
            }
            self.sweep(&sieved, depth, contest, &mut compared)?;
        }
        Some(())
    }

    /// Limits of all rows of a segment.
    fn sieve<'a>(&'a self, aimed: &'a Aimed<'a>, depth: Depth, scratch: &'a mut Scratch) -> Sieved<'a> {
        let allowed = self.parts[aimed.part].rows;
        let sieve = match depth {
            Depth::Signs => Sieve::signs(self.isa, &aimed.aim, allowed),
            _ => Sieve::coarse(self.isa, &aimed.aim, allowed),
        };
        let (n, blocks) = (allowed.len(), allowed.len().div_ceil(BLOCK));
        let (upper, largest) = scratch.limits(n + blocks).split_at_mut(n);
        sieve.fill(0..blocks, upper, largest);
        Sieved { aimed, sieve, upper, largest }
    }

    /// What `k` of the rows that look best reach for certain; −∞ if there are fewer.
    fn first_floor(&self, sieved: &Sieved<'_>, depth: Depth) -> f64 {
        let (k, scale, aimed) = (self.wish.k, sieved.sieve.scale(), sieved.aimed);
        // The best rows mostly stand in blocks of their own, so the best row of each of the best blocks will do.
        let by_block = k <= sieved.largest.len();
        let mut best = TopK::new(k);
        let limits = if by_block { sieved.largest } else { sieved.upper };
        for (i, &limit) in limits.iter().enumerate().filter(|&(_, &limit)| limit > f32::NEG_INFINITY) {
            best.push(scale.score(limit), i);
        }
        let rows = best.into_sorted().into_iter();
        let rows = rows.map(|(_, i)| if by_block { sieved.best_of_block(i) } else { i });
        let mut chosen: Vec<u32> = rows.map(row_number).collect();
        let mut lower = TopK::new(k);
        self.compare(&aimed.aim, &aimed.fine, &mut chosen, |limit, row| {
            lower.push(depth.limit(limit).lower, row);
        });
        lower.threshold().unwrap_or(f64::NEG_INFINITY)
    }

    /// Compares whole codes of all rows that reach the floor; `None` if too many do.
    fn sweep(
        &self,
        sieved: &Sieved<'_>,
        depth: Depth,
        contest: &mut Contest,
        compared: &mut usize,
    ) -> Option<()> {
        if depth == Depth::Signs && sieved.share_reaching(contest.floor()) > MOST {
            return None;
        }
        let aimed = sieved.aimed;
        let mut compare = |chosen: &mut Vec<u32>, contest: &mut Contest| {
            *compared += chosen.len();
            self.compare(&aimed.aim, &aimed.fine, chosen, |limit, row| {
                contest.enter(depth.limit(limit), aimed.first + row);
            });
            (*compared < TRIAL || contest.len() <= *compared / 2).then_some(())
        };
        let mut chosen = Vec::with_capacity(CHUNK + BLOCK);
        let mut floor = sieved.sieve.scale().limit(contest.floor());
        for (block, &largest) in sieved.largest.iter().enumerate() {
            if largest < floor || largest == f32::NEG_INFINITY {
                continue;
            }
            let mut bits = sieved.reaching(block, floor);
            while bits != 0 {
                let row = block * BLOCK + bits.trailing_zeros() as usize;
                aimed.aim.codes().prefetch(row);
                chosen.push(row_number(row));
                bits &= bits - 1;
            }
            if chosen.len() >= CHUNK {
                compare(&mut chosen, contest)?;
                floor = sieved.sieve.scale().limit(contest.floor());
            }
        }
        compare(&mut chosen, contest)
    }
}

/// Limits of all rows of a segment.
struct Sieved<'a> {
    aimed: &'a Aimed<'a>,
    sieve: Sieve<'a>,
    upper: &'a [f32],
    /// Of each block.
    largest: &'a [f32],
}

impl Sieved<'_> {
    fn block(&self, block: usize) -> &[f32] {
        &self.upper[block * BLOCK..self.upper.len().min((block + 1) * BLOCK)]
    }

    /// The row of the block that has the largest limit.
    fn best_of_block(&self, block: usize) -> usize {
        let largest = self.largest[block];
        block * BLOCK + self.block(block).iter().position(|&upper| upper == largest).unwrap_or(0)
    }

    /// Which rows of a block have at least this limit. Those that are not allowed have none.
    fn reaching(&self, block: usize, floor: f32) -> u64 {
        reaching(self.sieve.isa(), self.block(block), floor.max(f32::MIN))
    }

    /// What share of the rows reaches a score, judged by some of the blocks.
    fn share_reaching(&self, score: f64) -> f64 {
        let floor = self.sieve.scale().limit(score);
        let some = || (0..self.largest.len()).step_by(JUDGED);
        let reaching: usize = some().map(|block| self.reaching(block, floor).count_ones() as usize).sum();
        let rows: usize = some().map(|block| self.block(block).len()).sum();
        reaching as f64 / rows as f64
    }
}
