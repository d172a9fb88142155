//! BM25: how well a row's words answer a query's.
//!
//! For each word of the query, as often as it stands there:
//!
//! ```text
//! ln(1 + (n - df + 1/2) / (df + 1/2)) · tf (k1 + 1) / (tf + k1 (1 - b + b length / mean length))
//! ```
//!
//! `n` rows, `df` of them with the word, `tf` times in this one. The statistics are those of the live rows, counted
//! when a query comes, and whole numbers; a row's score is summed in the order in which the words first stand in the
//! query. So scores depend on what is there, to the bit, and not on what was added and removed before.

use std::collections::HashMap;
use std::num::NonZero;

use super::accumulator::Accumulator;
use super::kinds::{KINDS, N_KINDS, OTHER, kinds_up_to};
use super::words::{Extremes, Standing, Words};
use crate::bitmap::Bitmap;
use crate::error::InputError;
use crate::segment::Segment;

/// A word in fewer rows is weighed row by row, without a table.
const FEW: usize = 48;

/// The two parameters of BM25.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bm25 {
    k1: f64,
    b: f64,
}

impl Bm25 {
    /// `k1` at which repeated words stop counting, `b` how much long rows are held back.
    ///
    /// # Errors
    /// [`InputError::Range`] unless `k1` is finite and not negative and `b` lies within 0 and 1.
    pub fn new(k1: f64, b: f64) -> Result<Self, InputError> {
        if !(k1.is_finite() && k1 >= 0.0) {
            return Err(InputError::Range { argument: "k1", wanted: "0 or more", got: k1.to_string() });
        }
        if !(0.0..=1.0).contains(&b) {
            return Err(InputError::Range { argument: "b", wanted: "0 to 1", got: b.to_string() });
        }
        Ok(Self { k1, b })
    }

    /// Where repeated words stop counting.
    #[must_use]
    pub fn k1(&self) -> f64 {
        self.k1
    }

    /// How much long rows are held back.
    #[must_use]
    pub fn b(&self) -> f64 {
        self.b
    }

    /// Looks the words of a query up in `texts`, whose live rows set the statistics.
    pub(crate) fn query<'a>(&self, texts: Vec<Texts<'a>>, words: &[String]) -> Query<'a> {
        self.look_up(texts, &distinct(words))
    }

    /// As [`query`](Self::query), but a word that stands twice is two terms. For [`Query::explain`].
    pub(crate) fn query_by_word<'a>(&self, texts: Vec<Texts<'a>>, words: &[String]) -> Query<'a> {
        self.look_up(texts, &words.iter().map(|word| (word.as_str(), 1)).collect::<Vec<_>>())
    }

    fn look_up<'a>(&self, texts: Vec<Texts<'a>>, words: &[(&str, usize)]) -> Query<'a> {
        let n = texts.iter().map(|texts| texts.n_live).sum::<usize>() as f64;
        let dead: Vec<Vec<u32>> = texts.iter().map(Texts::dead).collect();
        let of_dead = |(texts, dead): (&Texts<'_>, &Vec<u32>)| {
            let lengths = texts.words.lengths();
            dead.iter().map(|&row| u64::from(lengths[row as usize])).sum::<u64>()
        };
        let total = texts.iter().map(|texts| texts.words.total()).sum::<u64>()
            - texts.iter().zip(&dead).map(of_dead).sum::<u64>();
        let mut standing = Vec::with_capacity(words.len() * texts.len());
        let term = |&(word, count): &(&str, usize)| {
            let mut df = 0;
            for (texts, dead) in texts.iter().zip(&dead) {
                let found = texts.words.find(word);
                df += found.map_or(0, |found| texts.count_live(found.entries.rows(), dead));
                standing.push(found);
            }
            let df = df as f64;
            let idf = libm::log1p((n - df + 0.5) / (df + 0.5));
            count as f64 * idf * (self.k1 + 1.0)
        };
        let weights: Vec<f64> = words.iter().map(term).collect();
        let norms = Norms { bm25: *self, mean_length: total as f64 / n };
        let mut norms_of_kinds = [0.0; N_KINDS];
        for kinds in kinds_up_to(texts.iter().map(|texts| texts.words.longest()).max().unwrap_or(0)) {
            for (norm, &(_, length)) in norms_of_kinds[kinds.clone()].iter_mut().zip(&KINDS[kinds]) {
                *norm = norms.of(length);
            }
        }
        Query { texts, weights, standing, norms, norms_of_kinds }
    }
}

/// The texts of a segment, and which of them count.
#[derive(Debug)]
pub(crate) struct Texts<'a> {
    /// Their words.
    pub(crate) words: &'a Words,
    /// Those that are there.
    pub(crate) live: &'a Bitmap,
    /// How many these are.
    pub(crate) n_live: usize,
}

impl Texts<'_> {
    fn dead(&self) -> Vec<u32> {
        if self.n_live == self.words.n_rows() {
            return Vec::new();
        }
        self.live.absent().map(|row| u32::try_from(row).expect("rows fit u32")).collect()
    }

    /// How many of `rows` are there.
    fn count_live(&self, rows: &[u32], dead: &[u32]) -> usize {
        if dead.len() < rows.len() / 16 {
            return rows.len() - dead.iter().filter(|row| rows.binary_search(row).is_ok()).count();
        }
        rows.iter().filter(|&&row| self.live.contains(row as usize)).count()
    }
}

/// Each word once, in the order in which they first stand, and how often it stands.
fn distinct(words: &[String]) -> Vec<(&str, usize)> {
    let mut places = HashMap::with_capacity(words.len());
    let mut counted: Vec<(&str, usize)> = Vec::with_capacity(words.len());
    for word in words {
        let place = *places.entry(word.as_str()).or_insert(counted.len());
        match counted.get_mut(place) {
            Some((_, count)) => *count += 1,
            None => counted.push((word, 1)),
        }
    }
    counted
}

/// What holds long rows back: `k1 (1 - b + b length / mean length)`.
#[derive(Debug)]
struct Norms {
    bm25: Bm25,
    mean_length: f64,
}

impl Norms {
    fn of(&self, length: u32) -> f64 {
        let Bm25 { k1, b } = self.bm25;
        k1 * (1.0 - b + b * f64::from(length) / self.mean_length)
    }
}

/// What a word of this weight gives to the score of a row in which it stands `tf` times.
#[inline]
fn contribution(weight: f64, tf: f64, norm: f64) -> f64 {
    weight * tf / (tf + norm)
}

/// A query's words, looked up.
#[derive(Debug)]
pub(crate) struct Query<'a> {
    texts: Vec<Texts<'a>>,
    /// One a term.
    weights: Vec<f64>,
    /// One a term and segment, all segments of a term side by side.
    standing: Vec<Option<Standing<'a>>>,
    norms: Norms,
    /// Those of the lengths of [`KINDS`].
    norms_of_kinds: [f64; N_KINDS],
}

/// A word of a query in a segment that has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Term<'a> {
    weight: f64,
    pub(super) standing: Standing<'a>,
}

impl<'a> Query<'a> {
    /// The words of the query that stand in a segment, in the order of the query.
    pub(super) fn terms(&self, part: usize) -> impl Iterator<Item = Term<'a>> {
        let of_part = self.standing.iter().skip(part).step_by(self.texts.len());
        self.weights
            .iter()
            .zip(of_part)
            .filter_map(|(&weight, standing)| Some(Term { weight, standing: (*standing)? }))
    }

    /// How many entries the words of the query have in a segment.
    pub(crate) fn n_entries(&self, part: usize) -> usize {
        self.terms(part).map(|term| term.standing.entries.len()).sum()
    }

    /// Adds up the scores of those of a segment's rows that share a word with the query: of all live ones, or of `rows`.
    pub(crate) fn score(&self, part: usize, rows: Option<&Bitmap>, sums: &mut Accumulator) {
        let rows = rows.or_else(|| self.live(part));
        sums.reserve(self.n_rows(part));
        for term in self.terms(part) {
            self.each(part, term, rows, |given| given, |row, given| sums.add(row, given));
        }
    }

    /// The live rows of a segment; `None` where all are.
    pub(super) fn live(&self, part: usize) -> Option<&'a Bitmap> {
        let Texts { words, live, n_live } = self.texts[part];
        (n_live < words.n_rows()).then_some(live)
    }

    /// Calls `add` with each row of a segment in which a word stands, or with those that are in `rows` too, and with the
    /// `value` of what the word gives to it.
    #[inline]
    pub(super) fn each<T: Copy + Default>(
        &self,
        part: usize,
        term: Term<'_>,
        rows: Option<&Bitmap>,
        value: impl Fn(f64) -> T,
        mut add: impl FnMut(usize, T),
    ) {
        let Standing { entries, kinds, .. } = term.standing;
        let mut of_kinds = [T::default(); N_KINDS + 1];
        let known = if entries.len() < FEW { 0 } else { kinds.len() };
        if known > 0 {
            for kinds in kinds_up_to(self.texts[part].words.longest()) {
                let norms = &self.norms_of_kinds[kinds.clone()];
                for ((of_kind, (tf, _)), norm) in
                    of_kinds[kinds.clone()].iter_mut().zip(&KINDS[kinds]).zip(norms)
                {
                    *of_kind = value(contribution(term.weight, *tf, *norm));
                }
            }
        }
        let other = |at: usize| value(self.given_at(part, &term, at));
        for (at, (&row, &kind)) in entries.rows().iter().zip(kinds).enumerate() {
            let row = row as usize;
            if rows.is_none_or(|rows| rows.contains(row)) {
                add(row, if kind == OTHER || known == 0 { other(at) } else { of_kinds[usize::from(kind)] });
            }
        }
    }

    /// What a word gives to the row of its entry number `at`.
    #[cold]
    #[inline(never)]
    fn given_at(&self, part: usize, term: &Term<'_>, at: usize) -> f64 {
        let (row, tf) = term.standing.entries.get(at);
        self.given_to(part, term, row, tf)
    }

    /// What a word gives to one row of a segment, in which it stands `tf` times.
    #[inline]
    pub(super) fn given_to(&self, part: usize, term: &Term<'_>, row: u32, tf: f32) -> f64 {
        let length = self.texts[part].words.lengths()[row as usize];
        contribution(term.weight, tf.into(), self.norms.of(length))
    }

    /// What a word gives to any row of a segment at most, but for rounding.
    pub(super) fn most(&self, term: &Term<'_>) -> f64 {
        let Extremes { once, again, most } = term.standing.extremes;
        let given = |length: Option<NonZero<u32>>, tf: f64| {
            length.map_or(0.0, |length| contribution(term.weight, tf, self.norms.of(length.get())))
        };
        given(once, 1.0).max(given(again, most.into()))
    }

    /// What each term gives to the score of one row.
    pub(crate) fn explain(&self, part: usize, row: usize) -> Vec<f64> {
        let of_part = self.standing.iter().skip(part).step_by(self.texts.len());
        let given = |(&weight, standing): (&f64, &Option<Standing<'_>>)| {
            let term = Term { weight, standing: (*standing)? };
            let tf = term.standing.entries.of_row(row)?;
            Some(self.given_to(part, &term, u32::try_from(row).ok()?, tf))
        };
        self.weights.iter().zip(of_part).map(|pair| given(pair).unwrap_or(0.0)).collect()
    }

    /// How many rows a segment has.
    pub(super) fn n_rows(&self, part: usize) -> usize {
        self.texts[part].words.n_rows()
    }
}
