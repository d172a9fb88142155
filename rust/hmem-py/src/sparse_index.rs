//! `SparseIndex`.

use std::convert::Infallible;

use hmem_core::sparse;
use numpy::PyArray1;
use pyo3::prelude::*;

use crate::answer::neighbours;
use crate::convert::{self, Array, count, integers};
use crate::convert_sparse::Units;
use crate::guard::Guard;

/// Search by the units that rows share.
///
/// A row is a set of units, each with a weight. The score of a row for a query is the sum, over the units that both
/// have, of the product of the two weights. Sums are taken in float64 in the order of the query's units, and rows are
/// ranked by them; equal scores come back in the order in which the rows were added. So an index that was edited gives
/// the same answers, to the bit, as one that was built afresh.
///
/// Searches may run in several threads while another one adds and removes: each sees all of an edit or nothing of it.
///
/// Shapes
/// ------
/// units    (n, a)  integers from 0 to 2**32 - 1, or n one-dimensional arrays of any lengths; no unit twice in a row
/// weights  float32 in the shape of the units; left out, each unit weighs 1
///
/// Examples
/// --------
/// >>> index = SparseIndex()
/// >>> index.add([[1, 5, 9], [5, 7]], [[1.0, 2.0, 1.0], [3.0, 1.0]])
/// array([0, 1])
/// >>> hits = index.search([[5, 9]], None, k=2)
/// >>> hits.ids
/// array([[0, 1]])
/// >>> hits.scores
/// array([[3., 3.]], dtype=float32)
#[pyclass(frozen, module = "hmem_fast.core")]
pub struct SparseIndex {
    index: sparse::SparseIndex,
    guard: Guard,
}

#[pymethods]
impl SparseIndex {
    #[new]
    fn new() -> Self {
        Self { index: sparse::SparseIndex::new(), guard: Guard::default() }
    }

    /// Add rows; all of them or, after an error, none.
    ///
    /// Parameters
    /// ----------
    /// units, weights
    ///     The rows.
    /// ids : (n,) int64, optional
    ///     Ids of the rows, 0 or more; the next ones that were never used where they are left out.
    /// replace : bool
    ///     Whether rows that have one of the ids already are replaced; they are an error otherwise.
    ///
    /// Returns
    /// -------
    /// (n,) int64
    ///     The ids.
    ///
    /// Raises
    /// ------
    /// InvalidValueError
    ///     For NaN, an infinity, a unit outside the range or twice in a row, a negative id.
    /// DuplicateIdError
    ///     If an id is in use, or stands twice in the call.
    #[pyo3(signature = (units, weights = None, ids = None, replace = false))]
    fn add<'py>(
        &self,
        py: Python<'py>,
        units: &Bound<'py, PyAny>,
        weights: Option<&Bound<'py, PyAny>>,
        ids: Option<&Bound<'py, PyAny>>,
        replace: bool,
    ) -> PyResult<Bound<'py, PyArray1<i64>>> {
        let units = Units::new(units, weights)?;
        let ids = ids.map(|ids| integers::<i64>(ids, "ids")).transpose()?;
        let ids = ids.as_ref().map(Array::slice).transpose()?;
        let rows = units.rows()?;
        Ok(PyArray1::from_vec(py, self.guard.run(py, || self.index.add(&rows, ids, replace))?))
    }

    /// Remove the rows with these ids; all of them or, after an error, none.
    ///
    /// Raises
    /// ------
    /// UnknownIdError
    ///     If an id is not there.
    fn remove(&self, py: Python<'_>, ids: &Bound<'_, PyAny>) -> PyResult<()> {
        let ids = integers::<i64>(ids, "ids")?;
        let ids = ids.slice()?;
        self.guard.run(py, || self.index.remove(ids))
    }

    /// For each query the `k` rows of the largest scores, among those that share a unit with it.
    ///
    /// Parameters
    /// ----------
    /// units, weights
    ///     The queries.
    /// k : int
    ///     Hits a query, 1 or more; above `n` it gives `n` columns.
    /// allowed : array of int64 ids, or boolean mask over the rows in insertion order, optional
    ///     Rows that may be answers; ids that are not there allow nothing.
    /// threads : int
    ///     Threads among which the queries are shared out.
    ///
    /// Returns
    /// -------
    /// Neighbours
    ///     Columns without a hit hold id -1 and score -inf.
    #[pyo3(
        signature = (units, weights, k, *, allowed = None, threads = None),
        text_signature = "($self, units, weights, k, *, allowed=None, threads=1)"
    )]
    fn search<'py>(
        &self,
        py: Python<'py>,
        units: &Bound<'py, PyAny>,
        weights: Option<&Bound<'py, PyAny>>,
        k: &Bound<'py, PyAny>,
        allowed: Option<&Bound<'py, PyAny>>,
        threads: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let k = count(k, "k")?;
        let threads = threads.map_or(Ok(1), |threads| count(threads, "threads"))?;
        let units = Units::new(units, weights)?;
        let rows = units.rows()?;
        let allowed = convert::allowed(allowed)?;
        let filter = allowed.as_ref().map(convert::Allowed::filter).transpose()?;
        let hits = self.guard.run(py, || self.index.search(&rows, k, filter.as_ref(), threads))?;
        neighbours(py, hits.ids, hits.scores, rows.len(), hits.columns)
    }

    /// Ids of the rows, in the order in which they were added.
    #[getter]
    fn ids<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<i64>>> {
        let ids = self.guard.run(py, || Ok::<_, Infallible>(self.index.ids()))?;
        Ok(PyArray1::from_vec(py, ids))
    }

    /// Bytes held.
    #[getter]
    fn nbytes(&self, py: Python<'_>) -> PyResult<usize> {
        self.guard.run(py, || Ok::<_, Infallible>(self.index.nbytes()))
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.guard.run(py, || Ok::<_, Infallible>(self.index.len()))
    }

    fn __contains__(&self, py: Python<'_>, item: &Bound<'_, PyAny>) -> PyResult<bool> {
        let Ok(id) = item.extract() else { return Ok(false) };
        self.guard.run(py, || Ok::<_, Infallible>(self.index.contains(id)))
    }

    fn __repr__(&self) -> String {
        format!("SparseIndex(n={})", self.index.len())
    }
}
