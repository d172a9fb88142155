//! The words of rows, as a segment.

use std::num::NonZero;

use super::kinds::kind;
use super::postings::{Entries, Postings, PostingsBuilder};
use super::units::{Dictionary, Units};
use crate::kernels::memory::Column;
use crate::segment::{Live, Segment};
use crate::text::Analyzer;

/// How often each word stands in each row, and how many words a row has.
#[derive(Debug)]
pub struct Words {
    pub(super) counts: Postings<Dictionary>,
    pub(super) lengths: Column<u32>,
    /// The [`kind`] of each entry.
    kinds: Vec<u8>,
    /// One a word.
    extremes: Vec<Extremes>,
    total: u64,
    longest: u32,
}

/// Which rows a word says most of, whatever else there is: a row's score grows with how often the word stands in it,
/// and falls with its length.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extremes {
    /// Length of the shortest row in which the word stands once.
    pub(super) once: Option<NonZero<u32>>,
    /// Length of the shortest one in which it stands more often.
    pub(super) again: Option<NonZero<u32>>,
    /// How often it stands in a row at most.
    pub(super) most: f32,
}

/// Where a word stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing<'a> {
    pub(super) entries: Entries<'a>,
    /// The [`kind`] of each entry.
    pub(super) kinds: &'a [u8],
    pub(super) extremes: Extremes,
}

impl Words {
    /// One row for each of `texts`.
    pub fn new<'t>(analyzer: &Analyzer, texts: impl Iterator<Item = &'t str>) -> Self {
        let mut builder = PostingsBuilder::<Vec<u8>>::new();
        let mut lengths = Vec::new();
        for text in texts {
            let mut terms = analyzer.analyze(text);
            // A text of 2^32 words would fill a hundred gigabytes.
            lengths.push(u32::try_from(terms.len()).expect("words of a text fit u32"));
            terms.sort_unstable();
            builder.push(terms.chunk_by(|a, b| a == b).map(|same| (same[0].as_bytes(), same.len() as f32)));
        }
        Self::from_parts(builder.finish(), lengths.into())
    }

    pub(super) fn from_parts(counts: Postings<Dictionary>, lengths: Column<u32>) -> Self {
        let total = lengths.iter().map(|&length| u64::from(length)).sum();
        let pairs = counts.rows.iter().zip(&*counts.weights);
        let kinds = pairs.map(|(&row, &count)| kind(count, lengths[row as usize])).collect();
        let extremes =
            (0..counts.units.len()).map(|at| Extremes::of(&counts.entries(at), &lengths)).collect();
        let longest = lengths.iter().copied().max().unwrap_or(0);
        Self { counts, lengths, kinds, extremes, total, longest }
    }

    /// The rows in which `word` stands, and how often.
    pub(super) fn find(&self, word: &str) -> Option<Standing<'_>> {
        let at = self.counts.units.place_of(word.as_bytes())?;
        let kinds = &self.kinds[self.counts.span(at)];
        Some(Standing { entries: self.counts.entries(at), kinds, extremes: self.extremes[at] })
    }

    /// Words of each row.
    pub(super) fn lengths(&self) -> &[u32] {
        &self.lengths
    }

    /// Words of the longest row.
    pub(super) fn longest(&self) -> u32 {
        self.longest
    }

    /// Words of all rows.
    pub(super) fn total(&self) -> u64 {
        self.total
    }
}

impl Extremes {
    fn of(entries: &Entries<'_>, lengths: &[u32]) -> Self {
        let (mut once, mut again, mut most) = (u32::MAX, u32::MAX, 0f32);
        for (row, count) in entries.iter() {
            let shortest = if count == 1.0 { &mut once } else { &mut again };
            *shortest = lengths[row as usize].min(*shortest);
            most = most.max(count);
        }
        let there = |shortest| (shortest < u32::MAX).then_some(shortest).and_then(NonZero::new);
        Self { once: there(once), again: there(again), most }
    }
}

impl Segment for Words {
    fn n_rows(&self) -> usize {
        self.lengths.len()
    }

    fn nbytes(&self) -> usize {
        self.counts.nbytes()
            + size_of_val(&*self.lengths)
            + size_of_val(&*self.kinds)
            + size_of_val(&*self.extremes)
    }

    fn merge(parts: &[Live<'_, Self>]) -> Self {
        let counts: Vec<_> =
            parts.iter().map(|part| Live { segment: &part.segment.counts, rows: part.rows }).collect();
        let lengths =
            parts.iter().flat_map(|part| part.rows.iter().map(|row| part.segment.lengths[row])).collect();
        Self::from_parts(Postings::merge(&counts), lengths)
    }
}
