//! The best rows of a query, found by whole numbers of two bytes.
//!
//! The score of a row is a sum in float64 in the order of the query, and there are many rows. So what each word gives is
//! first rounded *up* to a multiple of a unit, and these *levels* are added, in any order: the sum is at least the score,
//! and above it by a unit a word at most. The unit is so small that the levels of all words fill 15 bits.
//!
//! 1. Levels are added up, entry by entry, into one number a row.
//! 2. The rows are looked at in blocks. The `k`-th best block has a row of that level, so `k` rows have it, and the `k`-th
//!    best score is not below that less a unit a word. Rows with a lower level than this *floor* are not among the best.
//! 3. The few rows that are left are scored by the definition.
//!
//! Rounding in float64 is far smaller than the whole unit that is kept besides. Where too many rows are left, as with
//! equal texts, all are scored by the definition, in about the time of the levels again.

use std::cell::Cell;
use std::thread;

use super::accumulator::Accumulator;
use super::bm25::{Query, Term};
use crate::bitmap::Bitmap;
use crate::kernels::select::{Kth, TopK};

/// Rows in a block.
const BLOCK: usize = 64;

/// Levels of a row sum up to so much at most.
const LARGEST: usize = i16::MAX as usize - 8;

/// Finding the score of a row by the definition takes as long as adding so many entries, for each word.
const LOOK_UP: usize = 24;

/// Adding up an entry's float64 takes longer than its level, by as much as looking at so many rows' levels.
const SAVED: usize = 48;

/// Offers to `top`, which holds `k`, the rows of a segment that may be among the best: of all live ones, or of `rows`.
/// Their positions count from `first`.
pub(crate) fn offer(
    query: &Query<'_>,
    part: usize,
    rows: Option<&Bitmap>,
    first: usize,
    k: usize,
    top: &mut TopK<f64>,
) {
    let entries = query.n_entries(part);
    if entries == 0 {
        return;
    }
    let n_rows = query.n_rows(part);
    let terms = query.terms(part).count();
    let scoring = k.saturating_mul(terms * LOOK_UP);
    if entries > scoring.saturating_add(n_rows / SAVED)
        && let Some(search) = Search::new(query, part, rows)
        && let Some(left) = search.left(k, top.threshold(), entries / (terms * LOOK_UP))
    {
        for row in left {
            top.push(search.score(row), first + row as usize);
        }
        return;
    }
    let mut sums = Accumulator::kept(n_rows);
    query.score(part, rows, &mut sums);
    sums.drain(|row, score| top.push(score, first + row));
}

/// A search in one segment.
struct Search<'q, 'a> {
    query: &'q Query<'a>,
    part: usize,
    rows: Option<&'q Bitmap>,
    terms: Vec<Term<'a>>,
    unit: f64,
}

impl<'q, 'a> Search<'q, 'a> {
    /// `None` where there is no unit: there are more words than levels, or scores near the end of float64.
    fn new(query: &'q Query<'a>, part: usize, rows: Option<&'q Bitmap>) -> Option<Self> {
        let terms: Vec<_> = query.terms(part).collect();
        let most: f64 = terms.iter().map(|term| query.most(term)).sum();
        let unit = most / LARGEST.checked_sub(2 * terms.len()).filter(|&levels| levels > 0)? as f64;
        let rows = rows.or_else(|| query.live(part));
        unit.is_normal().then_some(Self { query, part, rows, terms, unit })
    }

    /// Rows among which the best are, if they are no more than `most`. Scores below `threshold` are not among the best.
    fn left(&self, k: usize, threshold: Option<f64>, most: usize) -> Option<Vec<u32>> {
        let mut kept = Kept::take();
        let levels = kept.levels(self.query.n_rows(self.part));
        for &term in &self.terms {
            self.query.each(self.part, term, self.rows, self.to_level(), |row, level| levels[row] += level);
        }
        // Rows that share no word have level 0.
        let reached = threshold.map_or(0.0, |threshold| threshold / self.unit - 2.0);
        if reached > LARGEST as f64 {
            levels.fill(0);
            return Some(Vec::new());
        }
        #[allow(clippy::cast_possible_truncation, reason = "no more than the largest")]
        let mut floor = (reached as i16).max(1);
        let best: Vec<i16> = levels.chunks(BLOCK).map(best_of).collect();
        floor = self.raised(floor, k, best.iter().copied());
        let mut left: Vec<(u32, i16)> = Vec::new();
        for (levels, (start, _)) in
            levels.chunks(BLOCK).zip((0..).step_by(BLOCK).zip(&best)).filter(|(_, (_, best))| **best >= floor)
        {
            left.extend((start..).zip(levels.iter().copied()).filter(|&(_, level)| level >= floor));
        }
        levels.fill(0);
        floor = self.raised(floor, k, left.iter().map(|&(_, level)| level));
        left.retain(|&(_, level)| level >= floor);
        (left.len() <= most).then(|| left.into_iter().map(|(row, _)| row).collect())
    }

    /// Makes whole units of what a word gives, rounded up, or one more. What it gives to rows that are here fits; a table has
    /// kinds of rows that are not, whose levels mean nothing.
    #[allow(clippy::cast_possible_truncation, reason = "said above")]
    fn to_level(&self) -> impl Fn(f64) -> i16 {
        let per_unit = 1.0 / self.unit;
        // By way of 32 bits, to which every CPU converts several numbers at once.
        move |given| ((given * per_unit) as i32 as i16).wrapping_add(1)
    }

    /// The floor, once `levels` of different rows are known.
    fn raised(&self, floor: i16, k: usize, levels: impl Iterator<Item = i16>) -> i16 {
        let mut kth = Kth::rarely(k);
        let mut least = floor;
        for level in levels {
            if level > least {
                least = kth.push(level).unwrap_or(least).max(least);
            }
        }
        let below = i16::try_from(self.terms.len() + 1).unwrap_or(i16::MAX);
        kth.find().map_or(floor, |level| floor.max(level.saturating_sub(below)))
    }

    /// The score of a row, by the definition.
    fn score(&self, row: u32) -> f64 {
        let given = |term: &Term<'_>| {
            let tf = term.standing.entries.of_row(row as usize)?;
            Some(self.query.given_to(self.part, term, row, tf))
        };
        self.terms.iter().filter_map(given).sum()
    }
}

fn best_of(levels: &[i16]) -> i16 {
    levels.iter().copied().fold(0, i16::max)
}

/// Levels of rows, all 0 between searches, which a thread keeps for its next one.
struct Kept(Vec<i16>);

/// What is kept at most, in rows: beyond that, fresh memory takes a small part of a search.
const KEPT_AT_MOST: usize = 1 << 22;

thread_local! {
    static KEPT: Cell<Vec<i16>> = const { Cell::new(Vec::new()) };
}

impl Kept {
    fn take() -> Self {
        Self(KEPT.take())
    }

    fn levels(&mut self, n_rows: usize) -> &mut [i16] {
        if self.0.len() < n_rows {
            self.0.resize(n_rows, 0);
        }
        &mut self.0[..n_rows]
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // After a panic there may be levels left in it.
        if self.0.len() <= KEPT_AT_MOST && !thread::panicking() {
            KEPT.set(std::mem::take(&mut self.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sparse::bm25::{Bm25, Texts};
    use crate::sparse::words::Words;
    use crate::text::{Analyzer, StopWords};
    use proptest::prelude::*;

    const WORDS: [&str; 6] = ["fig", "nut", "plum", "pear", "lime", "quince"];

    /// Rows of some words, each any number of times: most are short, some are long, many are equal.
    fn rows() -> impl Strategy<Value = Vec<Vec<usize>>> {
        let counts = prop::sample::select(vec![0usize, 0, 0, 1, 1, 1, 2, 3, 40, 300]);
        let some = prop::collection::vec(prop::collection::vec(counts, WORDS.len()), 1..12);
        (some, prop::collection::vec(any::<prop::sample::Index>(), 1..400))
            .prop_map(|(some, picks)| picks.iter().map(|pick| some[pick.index(some.len())].clone()).collect())
    }

    fn words_of(rows: &[Vec<usize>]) -> Words {
        let analyzer = Analyzer::new("english", &StopWords::Own).unwrap();
        let text = |counts: &Vec<usize>| {
            counts
                .iter()
                .zip(WORDS)
                .flat_map(|(&count, word)| vec![word; count])
                .collect::<Vec<_>>()
                .join(" ")
        };
        let texts: Vec<String> = rows.iter().map(text).collect();
        Words::new(&analyzer, texts.iter().map(String::as_str))
    }

    proptest! {
        #[test]
        fn the_best_are_left_and_scored_by_the_definition(
            rows in rows(),
            asked in prop::collection::vec(prop::sample::select(WORDS.to_vec()), 1..9),
            dead in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
            filtered in any::<bool>(),
            k in 1usize..30,
            k1 in prop::sample::select(vec![0.0, 1.2, 50.0]),
            b in prop::sample::select(vec![0.0, 0.75, 1.0]),
        ) {
            let words = words_of(&rows);
            let mut live = Bitmap::all(rows.len());
            dead.iter().for_each(|pick| live.remove(pick.index(rows.len())));
            let some = live.only(|row| row % 3 > 0);
            let texts = Texts { words: &words, live: &live, n_live: live.count() };
            let asked: Vec<String> = asked.into_iter().map(str::to_owned).collect();
            let query = Bm25::new(k1, b).unwrap().query(vec![texts], &asked);
            let allowed = filtered.then_some(&some);
            let mut sums = Accumulator::kept(rows.len());
            query.score(0, allowed, &mut sums);
            let mut scores = Vec::new();
            sums.drain(|row, score| scores.push((score, row)));
            scores.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            let Some(search) = Search::new(&query, 0, allowed) else {
                prop_assert!(scores.is_empty());
                return Ok(());
            };
            for threshold in [None, scores.get(k - 1).map(|&(score, _)| score)] {
                let left = search.left(k, threshold, usize::MAX).unwrap();
                for (score, row) in scores.iter().take(k) {
                    prop_assert!(left.contains(&u32::try_from(*row).unwrap()), "row {row} is missing, threshold {threshold:?}");
                    prop_assert_eq!(search.score(u32::try_from(*row).unwrap()).to_bits(), score.to_bits());
                }
            }
            prop_assert!(search.left(k, Some(f64::MAX), usize::MAX).unwrap().is_empty());
            prop_assert_eq!(search.left(k, None, 0).is_none(), !scores.is_empty());
            prop_assert!(Kept::take().0.iter().all(|&level| level == 0));
        }
    }

    #[test]
    fn few_are_left_where_scores_differ() {
        let rows: Vec<Vec<usize>> = (0..3000).map(|row| vec![1 + row % 7, 1, row % 97, 0, 0, 0]).collect();
        let (words, live) = (words_of(&rows), Bitmap::all(3000));
        let texts = Texts { words: &words, live: &live, n_live: 3000 };
        let asked = ["fig", "nut"].map(str::to_owned);
        let query = Bm25::new(1.2, 0.75).unwrap().query(vec![texts], &asked);
        let left = Search::new(&query, 0, None).unwrap().left(4, None, usize::MAX).unwrap();
        assert!((4..40).contains(&left.len()), "{} are left", left.len());
    }
}
