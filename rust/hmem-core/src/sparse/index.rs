//! Search by the units that rows share.

use super::postings::{Entries, Postings, PostingsBuilder};
use super::rank::answer;
use super::rows::SparseRows;
use crate::dense::Neighbours;
use crate::error::{AddError, IdError, InputError};
use crate::segment::{Allowed, Segments};

/// Weighted units of each row; the score is the sum of the products of shared weights.
///
/// Sums are taken in float64 in the order of the query's units, so the score of a row depends on the row and the query
/// alone.
#[derive(Debug, Default)]
pub struct SparseIndex {
    segments: Segments<Postings<u32>>,
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
        Ok(answer(&view, queries.len(), k, threads, |query, sums, best| {
            for (p, part) in view.parts().iter().enumerate() {
                let rows = rows.as_ref().map_or(part.live(), |rows| &rows[p]);
                sums.reserve(rows.len());
                for (unit, weight) in queries.row(query) {
                    for (row, stored) in part.segment().find(&unit).iter().flat_map(Entries::iter) {
                        if rows.contains(row as usize) {
                            sums.add(row, f64::from(weight) * f64::from(stored));
                        }
                    }
                }
                best.take(sums, rows.len());
            }
        }))
    }
}
