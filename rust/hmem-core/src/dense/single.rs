//! One query: from the smallest codes to the rows that may be among the best.

use std::thread;

use super::aim::{Aim, Fine};
use super::contest::Contest;
use super::floats;
use super::query::{Limit, Query};
use super::scan::{CHUNK, Hit, Search, row_number};
use super::scratch::Scratch;
use super::screen::Screen;
use super::sieve::Sieve;
use crate::bitmap::Bitmap;
use crate::kernels::limits::reaching;
use crate::kernels::sign::BLOCK;
use crate::segment::Segment;

/// For the first floor, so many times as many rows as are wanted are compared: limits alone do not say which are the best.
const FIRST: usize = 2;

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
    rows: &'a Bitmap,
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
        for live in self.parts {
            if let Some((rotation, codes)) = live.segment.codes() {
                let aim = Aim::new(self.isa, rotation, codes, query);
                let fine = aim.fine();
                aimed.push(Aimed { rows: live.rows, first, aim, fine });
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
        let n: usize = aimed.iter().map(|aimed| aimed.rows.len()).sum();
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
        let mut rest = scratch.limits(aimed.iter().map(Sieved::room).sum());
        let mut sieved = Vec::with_capacity(aimed.len());
        for aimed in aimed {
            let room = rest.split_off_mut(..Sieved::room(aimed)).expect("room for all limits");
            sieved.push(self.sieve(aimed, depth, room));
        }
        // From all segments: with a floor that some of them set, far more of the first rows would be compared.
        contest.raise(self.first_floor(&sieved, depth));
        if depth == Depth::Signs && share_reaching(&sieved, contest.floor()) > MOST {
            return None;
        }
        let mut compared = 0;
        sieved.iter().try_for_each(|sieved| self.sweep(sieved, depth, contest, &mut compared))
    }

    /// Limits of all rows of a segment.
    fn sieve<'a>(&'a self, aimed: &'a Aimed<'a>, depth: Depth, room: &'a mut [f32]) -> Sieved<'a> {
        let sieve = match depth {
            Depth::Signs => Sieve::signs(self.isa, &aimed.aim, aimed.rows),
            _ => Sieve::coarse(self.isa, &aimed.aim, aimed.rows),
        };
        let (upper, largest) = room.split_at_mut(aimed.rows.len());
        sieve.fill(0..largest.len(), upper, largest);
        Sieved { aimed, sieve, upper, largest }
    }

    /// What `k` of the rows that look best reach; −∞ if there are fewer.
    fn first_floor(&self, sieved: &[Sieved<'_>], depth: Depth) -> f64 {
        let k = self.wish.k;
        let wanted = k.saturating_mul(FIRST);
        // The best rows mostly stand in blocks of their own, so the best row of each of the best blocks will do.
        let by_block = wanted <= sieved.iter().map(|sieved| sieved.largest.len()).sum();
        let mut best = Vec::new();
        for (s, sieved) in sieved.iter().enumerate() {
            let scale = sieved.sieve.scale();
            let limits = if by_block { sieved.largest } else { sieved.upper };
            let there = limits.iter().enumerate().filter(|&(_, &limit)| limit > f32::NEG_INFINITY);
            best.extend(there.map(|(i, &limit)| (scale.score(limit), s, i)));
        }
        if wanted < best.len() {
            best.select_nth_unstable_by(wanted, |a, b| b.0.total_cmp(&a.0));
            best.truncate(wanted);
        }
        let mut chosen = vec![Vec::new(); sieved.len()];
        for &(_, s, i) in &best {
            let row = if by_block { sieved[s].best_of_block(i) } else { i };
            sieved[s].aimed.aim.codes().prefetch(row);
            chosen[s].push(row_number(row));
        }
        let mut lower = Vec::with_capacity(best.len());
        for (sieved, mut chosen) in sieved.iter().zip(chosen) {
            let Aimed { aim, fine, .. } = sieved.aimed;
            self.compare(aim, fine, &mut chosen, |limit, _| lower.push(depth.limit(limit).lower));
        }
        if lower.len() < k {
            return f64::NEG_INFINITY;
        }
        *lower.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a)).1
    }

    /// Compares whole codes of all rows that reach the floor; `None` if too many do.
    fn sweep(
        &self,
        sieved: &Sieved<'_>,
        depth: Depth,
        contest: &mut Contest,
        compared: &mut usize,
    ) -> Option<()> {
        let aimed = sieved.aimed;
        let codes = aimed.aim.codes();
        let screen = (depth == Depth::Signs).then(|| Screen::new(self.isa, &aimed.aim));
        let compare = |chosen: &mut Vec<u32>, contest: &mut Contest| {
            self.compare(&aimed.aim, &aimed.fine, chosen, |limit, row| {
                contest.enter(depth.limit(limit), aimed.first + row);
            });
        };
        // What signs let through goes to the screen first, and what passes it waits until some have come together.
        let (mut chosen, mut passed) = (Vec::with_capacity(CHUNK + BLOCK), Vec::new());
        let mut judge = |chosen: &mut Vec<u32>, contest: &mut Contest, last: bool| {
            *compared += chosen.len();
            match &screen {
                Some(screen) => {
                    screen.pass(chosen, contest.floor(), &mut passed);
                    chosen.clear();
                    if last || passed.len() >= CHUNK / 2 {
                        compare(&mut passed, contest);
                    }
                }
                None => compare(chosen, contest),
            }
            (*compared < TRIAL || contest.len() <= *compared / 2).then_some(())
        };
        let mut floor = sieved.sieve.scale().limit(contest.floor());
        for (block, &largest) in sieved.largest.iter().enumerate() {
            if largest < floor || largest == f32::NEG_INFINITY {
                continue;
            }
            let mut bits = sieved.reaching(block, floor);
            while bits != 0 {
                let row = block * BLOCK + bits.trailing_zeros() as usize;
                match depth {
                    Depth::Signs => codes.prefetch_upper(row),
                    _ => codes.prefetch(row),
                }
                chosen.push(row_number(row));
                bits &= bits - 1;
            }
            if chosen.len() >= CHUNK {
                judge(&mut chosen, contest, false)?;
                floor = sieved.sieve.scale().limit(contest.floor());
            }
        }
        judge(&mut chosen, contest, true)
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
    /// Limits of its rows and of its blocks.
    fn room(aimed: &Aimed<'_>) -> usize {
        aimed.rows.len() + aimed.rows.len().div_ceil(BLOCK)
    }

    fn block(&self, block: usize) -> &[f32] {
        &self.upper[block * BLOCK..self.upper.len().min((block + 1) * BLOCK)]
    }

    /// The row of the block that has the largest limit.
    fn best_of_block(&self, block: usize) -> usize {
        let bits = self.reaching(block, self.largest[block]);
        block * BLOCK + bits.trailing_zeros() as usize
    }

    /// Which rows of a block have at least this limit. Those that are not allowed have none.
    fn reaching(&self, block: usize, floor: f32) -> u64 {
        reaching(self.sieve.isa(), self.block(block), floor.max(f32::MIN))
    }
}

/// What share of the rows reaches a score, judged by some of the blocks.
fn share_reaching(sieved: &[Sieved<'_>], score: f64) -> f64 {
    let (mut rows, mut reaching) = (0, 0);
    for sieved in sieved {
        let floor = sieved.sieve.scale().limit(score);
        for block in (0..sieved.largest.len()).step_by(JUDGED) {
            rows += sieved.block(block).len();
            reaching += sieved.reaching(block, floor).count_ones();
        }
    }
    f64::from(reaching) / rows as f64
}
