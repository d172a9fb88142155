//! The words of rows, as a segment.

use super::postings::{Entries, Postings, PostingsBuilder};
use super::units::Dictionary;
use crate::kernels::memory::Column;
use crate::segment::{Live, Segment};
use crate::text::Analyzer;

/// How often each word stands in each row, and how many words a row has.
#[derive(Debug)]
pub struct Words {
    pub(super) counts: Postings<Dictionary>,
    pub(super) lengths: Column<u32>,
    total: u64,
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
        Self { counts, lengths, total }
    }

    /// The rows in which `word` stands, and how often.
    pub(super) fn find(&self, word: &str) -> Option<Entries<'_>> {
        self.counts.find(word.as_bytes())
    }

    /// Words of a row.
    pub(super) fn length(&self, row: usize) -> u32 {
        self.lengths[row]
    }

    /// Words of all rows.
    pub(super) fn total(&self) -> u64 {
        self.total
    }
}

impl Segment for Words {
    fn n_rows(&self) -> usize {
        self.lengths.len()
    }

    fn nbytes(&self) -> usize {
        self.counts.nbytes() + size_of_val(&*self.lengths)
    }

    fn merge(parts: &[Live<'_, Self>]) -> Self {
        let counts: Vec<_> =
            parts.iter().map(|part| Live { segment: &part.segment.counts, rows: part.rows }).collect();
        let lengths =
            parts.iter().flat_map(|part| part.rows.iter().map(|row| part.segment.lengths[row])).collect();
        Self::from_parts(Postings::merge(&counts), lengths)
    }
}
