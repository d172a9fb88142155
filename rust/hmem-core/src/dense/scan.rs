//! Searches: one query or many, on one thread or several.
//!
//! A single query is answered in four steps (`single`):
//!
//! 1. A *sieve* gives every row an upper limit of its score, from the smallest code that serves: the upper halves of 8-bit
//!    codes where the answer must be exact, signs where nearly always is enough.
//! 2. The rows of all segments that look best are compared by their whole codes; what the `k`-th of them reaches for certain
//!    (after signs: nearly always) is the first *floor*.
//! 3. Rows whose limit reaches the floor are compared by their whole codes, after signs by their upper halves first
//!    (`screen`); the floor rises on the way.
//! 4. Rows that are still in the contest, hardly more than `k`, are scored in float64.
//!
//! With proved limits the answer, its order included, is that of a float64 scan over all rows: scores are
//! [`dot64`](crate::kernels::dot::dot64) of the stored forms, times the powers of two under dot, divided by the product of
//! the norms under cosine; equal scores keep the order of the rows. Where a sieve lets too many rows through to be worth
//! the trouble, the next better one is taken: signs, codes, and in the end the rows as they are.

use std::num::NonZero;
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::aim::{Aim, Fine};
use super::batch;
use super::contest::Contest;
use super::floats;
use super::normal::{Metric, NormalRows};
use super::query::{Limit, Query};
use super::segment::DenseSegment;
use crate::kernels::isa::Isa;
use crate::kernels::nibble::dot_codes;
use crate::kernels::prefetch::prefetch;
use crate::segment::{Live, Segment};

/// Rows whose whole codes are compared at a time.
pub(super) const CHUNK: usize = 128;

/// A row that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// Which of the parts.
    pub part: usize,
    /// Which of its rows.
    pub row: usize,
    /// Its score in float64; larger is closer.
    pub score: f64,
}

/// What is asked of a search.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// Hits a query.
    pub k: usize,
    /// Whether a hit may be missed, once in ten thousand, for the sake of speed.
    pub exact: bool,
    /// Threads to use, at most one a processor; the answer is the same for any number.
    pub threads: usize,
}

/// The best rows that `parts` let through, best first, for each query. Equal scores come in order of part and row.
#[must_use]
pub fn search(
    isa: Isa,
    metric: Metric,
    parts: &[Live<'_, DenseSegment>],
    queries: &NormalRows,
    wish: Wish,
) -> Vec<Vec<Hit>> {
    let m = queries.len();
    let mut answers = vec![Vec::new(); m];
    let n: usize = parts.iter().map(|part| part.segment.n_rows()).sum();
    if wish.k == 0 || n == 0 {
        return answers;
    }
    let available = match wish.threads {
        // Asking the system how many processors there are takes longer than a small search.
        0 | 1 => 1,
        threads => threads.min(thread::available_parallelism().map_or(1, NonZero::get)),
    };
    let threads = available.min(m.max(1));
    let search = Search { isa, parts, wish, threads: available / threads };
    let share = m.div_ceil(threads).max(1);
    let shares = Mutex::new(answers.chunks_mut(share).enumerate());
    let work = || {
        loop {
            // Taken in a statement of its own: the lock is free again while the share is worked on.
            let next = shares.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((i, answers)) = next else { return };
            let queries: Vec<_> =
                (0..answers.len()).map(|j| Query::new(metric, queries, i * share + j)).collect();
            search.answer_all(&queries, answers);
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            // Where the system gives no further thread, the ones there are do the work.
            if thread::Builder::new().spawn_scoped(scope, work).is_err() {
                break;
            }
        }
        work();
    });
    answers
}

pub(super) struct Search<'a> {
    pub(super) isa: Isa,
    pub(super) parts: &'a [Live<'a, DenseSegment>],
    pub(super) wish: Wish,
    /// Threads for each query.
    pub(super) threads: usize,
}

impl Search<'_> {
    fn answer_all(&self, queries: &[Query<'_>], answers: &mut [Vec<Hit>]) {
        if self.wish.exact && queries.len() >= batch::MIN_QUERIES {
            let groups = queries.chunks(batch::MAX_QUERIES).zip(answers.chunks_mut(batch::MAX_QUERIES));
            groups.for_each(|(queries, answers)| self.answer_together(queries, answers));
        } else {
            for (query, answer) in queries.iter().zip(answers) {
                *answer = self.answer(query);
            }
        }
    }

    fn answer_together(&self, queries: &[Query<'_>], answers: &mut [Vec<Hit>]) {
        let mut contests: Vec<Contest> = queries.iter().map(|_| Contest::new(self.wish.k)).collect();
        // What `k` rows are believed to reach; ∞ for a query that is given up.
        let mut guesses = vec![f64::NEG_INFINITY; queries.len()];
        let mut first = 0;
        for part in self.parts {
            if let Some((rotation, codes)) = part.segment.codes() {
                let aim = |query| batch::Aimed::new(self.isa, rotation, codes, query);
                let aimed: Vec<_> = queries.iter().map(aim).collect();
                let floors: Vec<f64> = contests.iter().map(Contest::floor).collect();
                let found = batch::scan(self.isa, codes, part.rows, self.wish.k, &aimed, &floors);
                for (((aimed, mut found), contest), guess) in
                    aimed.iter().zip(found).zip(&mut contests).zip(&mut guesses)
                {
                    *guess = guess.max(found.guess);
                    // They come while the query is made ready for them.
                    found.rows.iter().take(CHUNK).for_each(|&row| codes.prefetch(row as usize));
                    self.compare(&aimed.aim, &aimed.aim.fine(), &mut found.rows, |limit, row| {
                        contest.enter(limit, first + row);
                    });
                }
            } else {
                for (query, contest) in queries.iter().zip(&mut contests) {
                    floats::scan(self.isa, query, part.segment.rows(), part.rows, first, contest);
                }
            }
            first += part.segment.n_rows();
        }
        for (((query, contest), guess), answer) in queries.iter().zip(contests).zip(guesses).zip(answers) {
            if guess < f64::INFINITY {
                *answer = self.decide(query, contest);
            }
            let reached = answer.get(self.wish.k - 1).map_or(f64::NEG_INFINITY, |hit| hit.score);
            if reached < guess {
                *answer = self.answer(query);
            }
        }
    }

    /// The hits of a contest.
    pub(super) fn decide(&self, query: &Query<'_>, contest: Contest) -> Vec<Hit> {
        let rows = |position| {
            let (part, row) = self.place(position);
            (self.parts[part].segment.rows(), row)
        };
        let soon = |position| {
            let (rows, row) = rows(position);
            prefetch(rows.rows().row(row));
        };
        let exact = |position| {
            let (rows, row) = rows(position);
            query.score(self.isa, rows, row)
        };
        let best = contest.decide(soon, exact);
        let hit = |(score, position)| {
            let (part, row) = self.place(position);
            Hit { part, row, score }
        };
        best.into_iter().map(hit).collect()
    }

    /// Gives the limits of `chosen` rows by their whole codes, and their numbers; empties `chosen`.
    pub(super) fn compare(
        &self,
        aim: &Aim<'_>,
        fine: &Fine,
        chosen: &mut Vec<u32>,
        mut enter: impl FnMut(Limit, usize),
    ) {
        let mut sums = [0; CHUNK];
        let [a, b] = &fine.query;
        for chosen in chosen.chunks(CHUNK) {
            let sums = &mut sums[..chosen.len()];
            dot_codes(self.isa, aim.codes().planes(), chosen, [a, b], sums);
            for (&row, &sum) in chosen.iter().zip(&*sums) {
                let row = row as usize;
                enter(aim.limit(&fine.grain, row, sum), row);
            }
        }
        chosen.clear();
    }

    /// Part and row of a position.
    fn place(&self, position: usize) -> (usize, usize) {
        let mut row = position;
        for (part, live) in self.parts.iter().enumerate() {
            match row.checked_sub(live.segment.n_rows()) {
                None => return (part, row),
                Some(rest) => row = rest,
            }
        }
        unreachable!("position {position} is behind all parts")
    }
}

pub(super) fn row_number(row: usize) -> u32 {
    u32::try_from(row).expect("a segment has fewer than 2^32 rows")
}
