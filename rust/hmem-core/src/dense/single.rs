//! One query: from the smallest codes to the rows that may be among the best.

use std::thread;

use super::aim::{Aim, Coarse, Fine, Signs};
use super::contest::Contest;
use super::floats;
use super::limit::Limited;
use super::query::{Limit, Query};
use super::scan::{CHUNK, Hit, Search, row_number};
use super::scratch::Scratch;
use super::screen::Screen;
use super::segment::DenseSegment;
use super::sieve::{Mesh, Sieve};
use crate::bitmap::Bitmap;
use crate::kernels::isa::Isa;
use crate::kernels::select::Kth;
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

/// A segment with codes, as one query sees it.
struct Aimed<'a> {
    rows: &'a Bitmap,
    /// Position of its first row.
    first: usize,
    aim: Aim<'a>,
    fine: Fine,
}

impl Search<'_> {
    /// The best rows for one query.
    pub(super) fn answer(&self, query: &Query<'_>) -> Vec<Hit> {
        let aimed = self.aim(query);
        let contest = if self.wish.exact { None } else { self.by_codes::<Signs>(query, &aimed) };
        let contest = contest.or_else(|| self.by_codes::<Coarse>(query, &aimed));
        self.decide(query, contest.unwrap_or_else(|| self.by_floats(query, |_| true)))
    }

    fn aim(&self, query: &Query<'_>) -> Vec<Aimed<'_>> {
        let mut first = 0;
        let mut aimed = Vec::with_capacity(self.parts.len());
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

    /// The rows that may be among the best, as those of some segments are.
    fn by_floats(&self, query: &Query<'_>, compared: impl Fn(&DenseSegment) -> bool) -> Contest {
        let mut contest = Contest::new(self.wish.k);
        let mut first = 0;
        for part in self.parts {
            if compared(part.segment) {
                floats::scan(self.isa, query, part.segment.rows(), part.rows, first, &mut contest);
            }
            first += part.segment.n_rows();
        }
        contest
    }

    /// The rows that may be among the best, as far as codes tell; `None` where a kind of code rules too few out.
    fn by_codes<M: Mesh>(&self, query: &Query<'_>, aimed: &[Aimed<'_>]) -> Option<Contest> {
        let mut contest = self.by_floats(query, |segment| segment.codes().is_none());
        self.sift_all::<M>(aimed, &mut contest)?;
        // `k` rows reach the floor for certain. Where fewer came through, limits were wrong about some: about copies of one
        // row, for example, signs are wrong together.
        let certain = if contest.floor() > f64::NEG_INFINITY { self.wish.k } else { 0 };
        (M::PROVED || contest.left().count() >= certain).then_some(contest)
    }

    /// Sifts the rows of all segments with codes, on several threads where that pays.
    fn sift_all<M: Mesh>(&self, aimed: &[Aimed<'_>], contest: &mut Contest) -> Option<()> {
        let n: usize = aimed.iter().map(|aimed| aimed.rows.len()).sum();
        // Which rows signs let through depends on the floor, hence on the order of segments; codes are never wrong.
        let threads = if M::PROVED { self.threads.min(n / ROWS_A_THREAD).min(aimed.len()) } else { 1 };
        if threads < 2 {
            return self.sift::<M>(aimed, contest);
        }
        let share = aimed.len().div_ceil(threads);
        let (own, others) = aimed.split_at(share);
        thread::scope(|scope| {
            let others: Vec<_> = others
                .chunks(share)
                .map(|aimed| {
                    let mut contest = contest.successor();
                    let work = move || self.sift::<M>(aimed, &mut contest).map(|()| contest);
                    (aimed, thread::Builder::new().spawn_scoped(scope, work))
                })
                .collect();
            let mut through = self.sift::<M>(own, contest);
            for (aimed, handle) in others {
                match handle {
                    Ok(handle) => {
                        let other = handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                        through = through.and(other.map(|other| contest.join(other)));
                    }
                    // Where the system gives no further thread, this one does the work.
                    Err(_) => through = through.and_then(|()| self.sift::<M>(aimed, contest)),
                }
            }
            through
        })
    }

    fn sift<M: Mesh>(&self, aimed: &[Aimed<'_>], contest: &mut Contest) -> Option<()> {
        let mut scratch = Scratch::take();
        let mut rest = scratch.limits(aimed.iter().map(Aimed::n_limits).sum());
        let mut sieved = Vec::with_capacity(aimed.len());
        for aimed in aimed {
            let limits = rest.split_off_mut(..aimed.n_limits()).expect("room for all limits");
            sieved.push(aimed.sieve::<M>(self.isa, limits));
        }
        // From all segments: with a floor that some of them set, far more of the first rows would be compared.
        contest.raise(self.first_floor(&sieved));
        if !M::PROVED && share_reaching(&sieved, contest.floor()) > MOST {
            return None;
        }
        let mut compared = 0;
        sieved.iter().try_for_each(|sieved| self.sweep(sieved, contest, &mut compared))
    }

    /// What `k` of the rows that look best reach; −∞ if there are fewer.
    fn first_floor<M: Mesh>(&self, sieved: &[Sieved<'_, M>]) -> f64 {
        let k = self.wish.k;
        let wanted = k.saturating_mul(FIRST);
        // The best rows mostly stand in blocks of their own, so the best row of each of the best blocks will do.
        let by_block = wanted <= sieved.iter().map(|sieved| sieved.largest.len()).sum();
        let mut least = Kth::rarely(wanted);
        let mut threshold = f64::NEG_INFINITY;
        for sieved in sieved {
            let scale = sieved.sieve.scale();
            let mut floor = scale.limit(threshold);
            for &limit in sieved.limits(by_block) {
                if limit >= floor
                    && let Some(found) = least.push(scale.score(limit))
                {
                    threshold = found;
                    floor = scale.limit(threshold);
                }
            }
        }
        let threshold = least.find().unwrap_or(threshold);
        // All are asked for before the first is looked at.
        let chosen: Vec<Vec<u32>> =
            sieved.iter().map(|sieved| sieved.first(threshold, by_block, wanted)).collect();
        let mut lower = Vec::with_capacity(wanted.min(CHUNK));
        for (sieved, mut chosen) in sieved.iter().zip(chosen) {
            let Aimed { aim, fine, .. } = sieved.aimed;
            self.compare(aim, fine, &mut chosen, |limit, _| lower.push(trusted::<M>(limit).lower));
        }
        if lower.len() < k {
            return f64::NEG_INFINITY;
        }
        *lower.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a)).1
    }

    /// Compares whole codes of all rows that reach the floor; `None` if too many do.
    fn sweep<M: Mesh>(
        &self,
        sieved: &Sieved<'_, M>,
        contest: &mut Contest,
        compared: &mut usize,
    ) -> Option<()> {
        let aimed = sieved.aimed;
        let codes = aimed.aim.codes();
        let screen = (!M::PROVED).then(|| Screen::new(self.isa, &aimed.aim));
        let compare = |chosen: &mut Vec<u32>, contest: &mut Contest| {
            self.compare(&aimed.aim, &aimed.fine, chosen, |limit, row| {
                contest.enter(trusted::<M>(limit), aimed.first + row);
            });
        };
        // What signs let through goes to the screen first, and what passes it waits until some have come together.
        // A chunk is looked at when the next one has been asked for.
        let mut waiting = Vec::with_capacity(CHUNK + BLOCK);
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
        // The floor may rise meanwhile: then some of these blocks have no row left that reaches it.
        for block in sieved.blocks_reaching(floor) {
            let mut bits = sieved.reaching(block, floor);
            while bits != 0 {
                let row = block * BLOCK + bits.trailing_zeros() as usize;
                if M::PROVED {
                    codes.prefetch(row);
                } else {
                    codes.prefetch_upper(row);
                }
                chosen.push(row_number(row));
                bits &= bits - 1;
            }
            if chosen.len() >= CHUNK / 2 {
                judge(&mut waiting, contest, false)?;
                std::mem::swap(&mut chosen, &mut waiting);
                floor = sieved.sieve.scale().limit(contest.floor());
            }
        }
        judge(&mut waiting, contest, false)?;
        judge(&mut chosen, contest, true)
    }
}

/// What is taken for a row's limits: proved ones where the answer is to be exact.
fn trusted<M: Mesh>(proved: Limit) -> Limit {
    if M::PROVED { proved } else { proved.likely() }
}

impl Aimed<'_> {
    /// One for each row and each block.
    fn n_limits(&self) -> usize {
        self.rows.len() + self.rows.len().div_ceil(BLOCK)
    }

    /// Limits of all rows, in memory for [`n_limits`](Self::n_limits) of them.
    fn sieve<'a, M: Mesh>(&'a self, isa: Isa, limits: &'a mut [M::Limit]) -> Sieved<'a, M> {
        let sieve = Sieve::new(isa, &self.aim, self.rows);
        let (upper, largest) = limits.split_at_mut(self.rows.len());
        sieve.fill(0..largest.len(), upper, largest);
        Sieved { aimed: self, sieve, upper, largest }
    }
}

/// Limits of all rows of a segment.
struct Sieved<'a, M: Mesh> {
    aimed: &'a Aimed<'a>,
    sieve: Sieve<'a, M>,
    upper: &'a [M::Limit],
    /// Of each block.
    largest: &'a [M::Limit],
}

impl<M: Mesh> Sieved<'_, M> {
    /// Of rows, or of blocks.
    fn limits(&self, by_block: bool) -> &[M::Limit] {
        if by_block { self.largest } else { self.upper }
    }

    fn block(&self, block: usize) -> &[M::Limit] {
        &self.upper[block * BLOCK..self.upper.len().min((block + 1) * BLOCK)]
    }

    /// Up to `most` rows that reach a score, in each block the best one or all; asks for their codes.
    fn first(&self, score: f64, by_block: bool, most: usize) -> Vec<u32> {
        let floor = self.sieve.scale().limit(score);
        let reaching = self.limits(by_block).iter().enumerate().filter(|&(_, &limit)| limit >= floor);
        let row = |(i, _)| {
            let row = if by_block { self.best_of_block(i) } else { i };
            self.aimed.aim.codes().prefetch(row);
            row_number(row)
        };
        // Any number of limits can be equal.
        reaching.take(most).map(row).collect()
    }

    /// The row of the block that has the largest limit.
    fn best_of_block(&self, block: usize) -> usize {
        let bits = self.reaching(block, self.largest[block]);
        block * BLOCK + bits.trailing_zeros() as usize
    }

    /// Blocks with a row that has at least this limit.
    fn blocks_reaching(&self, floor: M::Limit) -> impl Iterator<Item = usize> {
        self.largest.chunks(BLOCK).enumerate().flat_map(move |(chunk, largest)| {
            let mut bits = M::Limit::reaching(self.sieve.isa(), largest, floor);
            std::iter::from_fn(move || {
                let bit = (bits != 0).then(|| bits.trailing_zeros() as usize)?;
                bits &= bits - 1;
                Some(chunk * BLOCK + bit)
            })
        })
    }

    /// Which rows of a block have at least this limit.
    fn reaching(&self, block: usize, floor: M::Limit) -> u64 {
        M::Limit::reaching(self.sieve.isa(), self.block(block), floor)
    }
}

/// What share of the rows reaches a score, judged by some of the blocks.
fn share_reaching<M: Mesh>(sieved: &[Sieved<'_, M>], score: f64) -> f64 {
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
