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

use super::accumulator::Accumulator;
use super::postings::Entries;
use super::words::Words;
use crate::bitmap::Bitmap;
use crate::error::InputError;
use crate::segment::{Live, Segment};

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

    /// Looks the words of a query up in `parts`, whose live rows set the statistics.
    pub(crate) fn query<'a>(&self, parts: Vec<Live<'a, Words>>, words: &[String]) -> Query<'a> {
        self.look_up(parts, &distinct(words))
    }

    /// As [`query`](Self::query), but a word that stands twice is two terms. For [`Query::explain`].
    pub(crate) fn query_by_word<'a>(&self, parts: Vec<Live<'a, Words>>, words: &[String]) -> Query<'a> {
        self.look_up(parts, &words.iter().map(|word| (word.as_str(), 1)).collect::<Vec<_>>())
    }

    fn look_up<'a>(&self, parts: Vec<Live<'a, Words>>, words: &[(&str, usize)]) -> Query<'a> {
        let n_live: Vec<_> = parts.iter().map(|part| part.rows.count()).collect();
        let n = n_live.iter().sum::<usize>() as f64;
        let total: u64 = parts
            .iter()
            .map(|part| {
                let dead = part.rows.absent().map(|row| u64::from(part.segment.length(row)));
                part.segment.total() - dead.sum::<u64>()
            })
            .sum();
        let terms = words
            .iter()
            .map(|&(word, count)| {
                let entries: Vec<_> = parts.iter().map(|part| part.segment.find(word)).collect();
                let df = entries
                    .iter()
                    .zip(parts.iter().zip(&n_live))
                    .filter_map(|(entries, (part, &n_live))| {
                        let rows = entries.as_ref()?.rows();
                        let all = n_live == part.segment.n_rows();
                        Some(if all { rows.len() } else { count_in(rows, part.rows) })
                    })
                    .sum::<usize>() as f64;
                let idf = libm::log1p((n - df + 0.5) / (df + 0.5));
                Term { weight: count as f64 * idf * (self.k1 + 1.0), entries }
            })
            .collect();
        Query { parts, terms, bm25: *self, mean_length: total as f64 / n }
    }
}

fn count_in(rows: &[u32], live: &Bitmap) -> usize {
    rows.iter().filter(|&&row| live.contains(row as usize)).count()
}

/// Each word once, in the order in which they first stand, and how often it stands.
fn distinct(words: &[String]) -> Vec<(&str, usize)> {
    let mut places = HashMap::new();
    let mut counted: Vec<(&str, usize)> = Vec::new();
    for word in words {
        let place = *places.entry(word.as_str()).or_insert(counted.len());
        match counted.get_mut(place) {
            Some((_, count)) => *count += 1,
            None => counted.push((word, 1)),
        }
    }
    counted
}

/// A query's words, looked up.
#[derive(Debug)]
pub(crate) struct Query<'a> {
    parts: Vec<Live<'a, Words>>,
    terms: Vec<Term<'a>>,
    bm25: Bm25,
    mean_length: f64,
}

#[derive(Debug)]
struct Term<'a> {
    weight: f64,
    /// One a part.
    entries: Vec<Option<Entries<'a>>>,
}

impl Query<'_> {
    /// Adds up the scores of those of a part's `rows` that share a word with the query.
    pub(crate) fn score(&self, part: usize, rows: &Bitmap, sums: &mut Accumulator) {
        sums.reserve(rows.len());
        for term in &self.terms {
            for (row, tf) in term.entries[part].iter().flat_map(Entries::iter) {
                if rows.contains(row as usize) {
                    sums.add(row, self.contribution(term, part, row as usize, tf));
                }
            }
        }
    }

    /// What each term gives to the score of one row.
    pub(crate) fn explain(&self, part: usize, row: usize) -> Vec<f64> {
        let given = |term: &Term<'_>| {
            let tf = term.entries[part].as_ref()?.of_row(row)?;
            Some(self.contribution(term, part, row, tf))
        };
        self.terms.iter().map(|term| given(term).unwrap_or(0.0)).collect()
    }

    fn contribution(&self, term: &Term<'_>, part: usize, row: usize, tf: f32) -> f64 {
        let Bm25 { k1, b } = self.bm25;
        let (tf, length) = (f64::from(tf), f64::from(self.parts[part].segment.length(row)));
        term.weight * tf / (tf + k1 * (1.0 - b + b * length / self.mean_length))
    }
}
