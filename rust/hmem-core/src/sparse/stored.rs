//! Words in a file.

use super::postings::Postings;
use super::rows::check_offsets;
use super::units::{Dictionary, Units};
use super::words::Words;
use crate::sections::{Fault, Kind, Sections, Source, demand};

impl Words {
    /// How many different words there are.
    pub(crate) fn n_different(&self) -> usize {
        self.counts.units.len()
    }

    /// Puts them into their sections.
    pub(crate) fn store<'a>(&'a self, sections: &mut Sections<'a>) {
        let Postings { units, offsets, rows, weights, .. } = &self.counts;
        sections.put(Kind::WordBytes, &units.bytes);
        sections.put(Kind::WordEnds, &units.ends);
        sections.put(Kind::PostingOffsets, offsets);
        sections.put(Kind::PostingRows, rows);
        sections.put(Kind::PostingWeights, weights);
        sections.put(Kind::WordCounts, &self.lengths);
    }

    /// The words of a file.
    pub(crate) fn load(source: &Source) -> Result<Self, Fault> {
        let (n_rows, n_words) = (source.counts().memories, source.counts().words);
        let too_many = || Fault::new("words", "what fits memory", n_words);
        let units = Dictionary {
            bytes: source.column(Kind::WordBytes)?,
            ends: source.column_of(Kind::WordEnds, n_words)?,
        };
        let offsets = source.column_of(Kind::PostingOffsets, n_words.checked_add(1).ok_or_else(too_many)?)?;
        let rows = source.column(Kind::PostingRows)?;
        let weights = source.column_of(Kind::PostingWeights, rows.len())?;
        let lengths = source.column_of(Kind::WordCounts, n_rows)?;
        units.check()?;
        let counts = Postings { n_rows, units, offsets, rows, weights };
        counts.check(&lengths)?;
        Ok(Self::from_parts(counts, lengths))
    }
}

impl Dictionary {
    fn check(&self) -> Result<(), Fault> {
        let whole = self.ends.last().copied().unwrap_or(0) == self.bytes.len();
        demand(whole && self.ends.is_sorted(), "section word_ends: they do not cut the bytes of words")?;
        let ascend = (1..self.len()).all(|at| self.get(at - 1) < self.get(at));
        demand(ascend, "section word_bytes: the words do not ascend")
    }
}

impl Postings<Dictionary> {
    /// `lengths` are the words of each row, with repetitions.
    fn check(&self, lengths: &[u32]) -> Result<(), Fault> {
        check_offsets(&self.offsets, self.rows.len())
            .map_err(|error| Fault::Wrong(format!("section posting_offsets: {error}")))?;
        let mut sums = vec![0f64; self.n_rows];
        for bounds in self.offsets.windows(2) {
            // The row after the last one that came.
            let mut next = 0;
            for at in bounds[0]..bounds[1] {
                let (row, weight) = (self.rows[at] as usize, self.weights[at]);
                let sum = sums.get_mut(row).filter(|_| row >= next);
                let sum = sum.ok_or_else(|| {
                    Fault::Wrong("section posting_rows: they do not ascend within the rows".into())
                })?;
                demand(
                    (1.0..=u32::MAX as f32).contains(&weight),
                    "section posting_weights: not all are counts",
                )?;
                *sum += f64::from(weight);
                next = row + 1;
            }
        }
        // Counts beyond 2^24 are rounded.
        let near =
            |(&sum, &length): (&f64, &u32)| (sum - f64::from(length)).abs() <= f64::from(length) * 1e-6;
        demand(
            sums.iter().zip(lengths).all(near),
            "section word_counts: they are not the sums of the words' counts",
        )
    }
}
