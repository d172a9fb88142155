//! Search by the units that rows share.

use super::accumulator::Accumulator;
use super::postings::{Entries, Postings, PostingsBuilder};
use super::rank::answer;
use super::rows::SparseRows;
use crate::dense::Neighbours;
use crate::error::{AddError, IdError, InputError};
use crate::kernels::memory::Column;
use crate::segment::{Allowed, Segment, Segments};

/// Weighted units of each row; the score is the sum of the products of shared weights.
///
/// Sums are taken in float64 in the order of the query's units, so the score of a row depends on the row and the query
/// alone.
#[derive(Debug, Default)]
pub struct SparseIndex {
    segments: Segments<Postings<Column<u32>>>,
}

impl SparseIndex {
    /// An empty index.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds rows; see [`Segments::add`].
    ///
    /// # Errors
    /// [`AddError::Id`]; then nothing was changed.
    pub fn add(
        &self,
        rows: &SparseRows<'_>,
        ids: Option<&[i64]>,
        replace: bool,
    ) -> Result<Vec<i64>, AddError> {
        let mut builder = PostingsBuilder::new();
        for row in 0..rows.len() {
            let pairs: Vec<_> = rows.row(row).collect();
            builder.push(pairs.iter().map(|(unit, weight)| (unit, *weight)));
        }
        Ok(self.segments.add(builder.finish(), ids, replace)?)
    }

    /// Removes rows; see [`Segments::remove`].
    ///
    /// # Errors
    /// [`IdError`]; then nothing was changed.
    pub fn remove(&self, ids: &[i64]) -> Result<(), IdError> {
        self.segments.remove(ids)
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.segments.view().len()
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes held.
    #[must_use]
    pub fn nbytes(&self) -> usize {
        self.segments.view().nbytes()
    }

    /// Ids of the rows, in the order in which they were added.
    #[must_use]
    pub fn ids(&self) -> Vec<i64> {
        self.segments.view().ids().collect()
    }

    /// Whether there is a row with that id.
    #[must_use]
    pub fn contains(&self, id: i64) -> bool {
        self.segments.view().locate(id).is_some()
    }

    /// For each query the `k` rows of the largest scores, among those that share a unit with it.
    ///
    /// # Errors
    /// [`InputError`] for a filter that does not fit.
    pub fn search(
        &self,
        queries: &SparseRows<'_>,
        k: usize,
        allowed: Option<&Allowed<'_>>,
        threads: usize,
    ) -> Result<Neighbours, InputError> {
        let view = self.segments.view();
        let rows = allowed.map(|allowed| view.filter(allowed)).transpose()?;
        Ok(answer(&view, queries.len(), k, threads, |query, top| {
            let mut first = 0;
            for (p, part) in view.parts().iter().enumerate() {
                let n_rows = part.segment().n_rows();
                let live = (part.n_live() < n_rows).then_some(part.live());
                let rows = rows.as_ref().map(|rows| &rows[p]).or(live);
                let mut sums = Accumulator::kept(n_rows);
                for (unit, weight) in queries.row(query) {
                    for (row, stored) in part.segment().find(&unit).iter().flat_map(Entries::iter) {
                        let row = row as usize;
                        if rows.is_none_or(|rows| rows.contains(row)) {
                            sums.add(row, f64::from(weight) * f64::from(stored));
                        }
                    }
                }
                sums.drain(|row, score| top.push(score, first + row));
                first += n_rows;
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows<'a>(offsets: &'a [usize], units: &'a [u32], weights: &'a [f32]) -> SparseRows<'a> {
        SparseRows::new(offsets, units, Some(weights)).unwrap()
    }

    #[test]
    fn scores_are_sums_over_shared_units() {
        let index = SparseIndex::new();
        index.add(&rows(&[0, 2, 3], &[9, 4, 7], &[2.0, 3.0, 1.0]), None, false).unwrap();
        index.add(&rows(&[0, 2], &[7, 4], &[5.0, -1.0]), Some(&[40]), false).unwrap();
        let query = rows(&[0, 2, 3], &[4, 7, 8], &[1.0, 2.0, 1.0]);
        let found = index.search(&query, 5, None, 2).unwrap();
        assert_eq!((found.columns, &found.ids[..]), (3, &[40, 0, 1, -1, -1, -1][..]));
        assert_eq!(found.scores[..3], [9.0, 3.0, 2.0]);
        index.remove(&[40]).unwrap();
        assert_eq!(index.search(&query, 1, Some(&Allowed::Ids(&[40, 1])), 1).unwrap().ids, [1, -1]);
        assert_eq!((index.len(), index.ids(), index.contains(40)), (2, vec![0, 1], false));
    }

    #[test]
    fn rows_are_checked() {
        assert!(SparseRows::new(&[0, 2], &[3, 3], None).is_err());
        assert!(SparseRows::new(&[0, 1], &[3], Some(&[f32::NAN])).is_err());
        assert!(SparseRows::new(&[0, 1], &[3], Some(&[])).is_err());
        for offsets in [&[][..], &[0], &[1, 1], &[0, 2], &[0, 1, 0, 1]] {
            assert!(SparseRows::new(offsets, &[3], None).is_err(), "{offsets:?}");
        }
    }
}
