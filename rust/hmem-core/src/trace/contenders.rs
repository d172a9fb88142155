//! Which memories may be among the best by energy, from codes.
//!
//! What [`dense::scan`](crate::dense::scan) does for rows is done here for memories, which have several:
//!
//! 1. A sieve gives every key an upper limit `u` of its cosine, from the upper halves of codes ([`sieved`](super::sieved)).
//! 2. The memories that look best by these limits are compared by whole codes; what the `n`-th of them reaches for certain
//!    is the *floor* ([`floor`](super::floor)).
//! 3. Of the others, those that may reach the floor are compared by whole codes, which raises it on the way
//!    ([`sweep`](super::sweep)).
//!
//! Energies grow with each cosine, and by no more than the largest of their changes: limits of cosines become limits of
//! energies. Where codes let too many through to be worth the trouble, the keys are compared as they are.

use super::pool::{margin, quick_energy};
use super::segment::TraceSegment;
use super::sieved::Aimed;
use crate::bitmap::Bitmap;
use crate::dense::contest::Contest;
use crate::dense::query::{Limit, Query};
use crate::dense::scratch::Scratch;
use crate::kernels::dot::dot_rows;
use crate::kernels::isa::Isa;

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

/// Memory that is used again and again within a search.
#[derive(Default)]
pub(super) struct Work {
    pub(super) keys: Vec<u32>,
    pub(super) sums: Vec<i32>,
    pub(super) scores: Vec<f64>,
    pub(super) cosines: Vec<Limit>,
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
    fn by_codes<'a>(&self, parts: &[Open<'a>]) -> Option<Contest> {
        let n_memories: usize = parts.iter().map(|open| open.rows.count()).sum();
        if self.beta < FLATTEST {
            return None;
        }
        let aim = |&open: &Open<'a>| Aimed::new(self.isa, open, &self.query);
        let aimed: Vec<_> = parts.iter().filter_map(aim).collect();
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
            sieved.push(aimed.sieve(self.beta, limits));
        }
        let entered = self.enter_best(&sieved, &mut work, &mut contest);
        for (sieved, entered) in sieved.iter().zip(&entered) {
            self.sweep(sieved, entered, &mut work, &mut contest);
        }
        contest.prune();
        (contest.len() <= self.n + n_memories / 4).then_some(contest)
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
    pub(super) fn pool(&self, cosines: &[Limit]) -> Limit {
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
    pub(super) fn set_keys(&mut self, keys: impl Iterator<Item = usize>) {
        self.keys.clear();
        self.keys.extend(keys.map(|key| u32::try_from(key).expect("a segment has fewer than 2^32 keys")));
    }
}
