//! `hmem_fast.core.DenseIndex`.

use std::convert::Infallible;

use hmem_core::completion;
use hmem_core::dense::index::{DenseIndex as Core, State};
use hmem_core::dense::normal::Metric;
use hmem_core::dense::scan::Wish;
use numpy::{PyArray1, PyArray2};
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};

use crate::answer;
use crate::convert::{self, Axis};
use crate::error::IntoPyErr;
use crate::guard::Guard;
use crate::isa;
use crate::settling;

/// Similarity search over float32 rows, exact unless asked otherwise.
///
/// The answer of a search, order included, is that of a float64 scan over all rows, and the same on every CPU: rows are
/// kept as small codes as well, which say with a proved bound how large a score can be, and the few that may be among the
/// best are scored in float64. Equal scores come in the order in which the rows were added. There is nothing to build or
/// train.
///
/// Any number of threads may search while one adds or removes: a search works on what the index held when it began, and
/// sees all of a write or nothing of it. Arrays of more than 1 MiB are read while other threads run: do not change one
/// before the call returns.
///
/// Parameters
/// ----------
/// dim : int
///     Width of the rows, 1 to 1048576.
/// metric : {"cosine", "dot"}
///     ``"cosine"`` scales rows and queries to unit length and refuses rows of zeros, which have no direction.
///     ``"dot"`` takes the inner product as it is; scores beyond the range of float32 are given as its largest number.
///
/// Attributes
/// ----------
/// dim : int
///     Width of the rows.
/// metric : str
///     What a score is.
/// nbytes : int
///     Bytes held by rows, codes, ids and marks.
/// ids : (n,) int64
///     The ids, in the order in which the rows were added.
///
/// Examples
/// --------
/// >>> index = DenseIndex(3)
/// >>> index.add(np.eye(3, dtype=np.float32))
/// array([0, 1, 2])
/// >>> index.search(np.array([[0.0, 0.8, 0.6]], dtype=np.float32), k=2).ids
/// array([[1, 2]])
/// >>> index
/// DenseIndex(dim=3, metric='cosine', n=3)
#[pyclass(frozen, module = "hmem_fast.core")]
pub struct DenseIndex {
    core: Core,
    guard: Guard,
}

#[pymethods]
impl DenseIndex {
    #[new]
    #[pyo3(signature = (dim, metric = "cosine"))]
    fn new(dim: &Bound<'_, PyAny>, metric: &str) -> PyResult<Self> {
        let dim = convert::count(dim, "dim")?;
        let metric = Metric::named(metric).map_err(IntoPyErr::into_py_err)?;
        let core = Core::new(isa::chosen()?, dim, metric).map_err(IntoPyErr::into_py_err)?;
        Ok(Self { core, guard: Guard::default() })
    }

    /// Add rows.
    ///
    /// All rows are added or, if one is refused, none.
    ///
    /// Parameters
    /// ----------
    /// rows : (n, dim) float32
    ///     float64 and float16 are cast.
    /// ids : (n,) int64, optional
    ///     Zero or more, each once. Default: the next ones that were never used.
    /// replace : bool
    ///     Remove rows that have one of the ids in the same step; the new ones come last in order.
    ///
    /// Returns
    /// -------
    /// (n,) int64
    ///     The ids of the rows.
    ///
    /// Raises
    /// ------
    /// InvalidValueError
    ///     If a row holds NaN or an infinity or, under cosine, only zeros; the message names it.
    /// DuplicateIdError
    ///     If an id is in use (without `replace`) or stands twice.
    /// ShapeError, DTypeError
    ///     If the rows have another width, or are no floats.
    ///
    /// Examples
    /// --------
    /// >>> index = DenseIndex(2)
    /// >>> index.add([[1.0, 0.0], [0.0, 1.0]], ids=[7, 3])
    /// array([7, 3])
    /// >>> index.add([[1.0, 1.0]])
    /// array([8])
    #[pyo3(signature = (rows, ids = None, replace = false))]
    fn add<'py>(
        &self,
        py: Python<'py>,
        rows: &Bound<'py, PyAny>,
        ids: Option<&Bound<'py, PyAny>>,
        replace: bool,
    ) -> PyResult<Bound<'py, PyArray1<i64>>> {
        let rows = convert::floats(rows, "rows", &[Axis::Any("n"), Axis::Exactly(self.core.dim())])?;
        let ids = ids.map(|ids| convert::integers::<i64>(ids, "ids")).transpose()?;
        let rows = rows.rows()?;
        let ids = ids.as_ref().map(convert::Array::slice).transpose()?;
        let ids = self.guard.run(py, || self.core.add(rows, ids, replace))?;
        Ok(PyArray1::from_vec(py, ids))
    }

    /// Remove the rows with these ids; all of them or, if one is unknown, none.
    ///
    /// Raises
    /// ------
    /// UnknownIdError
    ///     If an id is not there.
    /// DuplicateIdError
    ///     If an id stands twice.
    ///
    /// Examples
    /// --------
    /// >>> index = DenseIndex(2)
    /// >>> ids = index.add([[1.0, 0.0], [0.0, 1.0]])
    /// >>> index.remove(ids[:1])
    /// >>> index.ids
    /// array([1])
    fn remove(&self, py: Python<'_>, ids: &Bound<'_, PyAny>) -> PyResult<()> {
        let ids = convert::integers::<i64>(ids, "ids")?;
        let ids = ids.slice()?;
        self.guard.run(py, || self.core.remove(ids))
    }

    /// Find the `k` rows most similar to each query.
    ///
    /// Parameters
    /// ----------
    /// queries : (m, dim) float32
    ///     float64 and float16 are cast.
    /// k : int
    ///     Rows a query, 1 or more. Above the number of rows ``n`` it gives ``n`` columns.
    /// allowed : (j,) int64 or (n,) bool, optional
    ///     Ids that may be answered (unknown ones allow nothing), or one entry for each row in the order of `ids`.
    /// exact : bool
    ///     False reads one bit a number first. That is faster, and misses less than one hit in ten thousand on real data; it is
    ///     an estimate, not a promise. Few or narrow rows, and rows that signs do not tell apart, are searched exactly.
    /// threads : int
    ///     Threads that the queries are split over or, with one exact query, the rows from 131072 on; at most one a processor.
    ///     The answer is the same for any number.
    ///
    /// Returns
    /// -------
    /// Neighbours
    ///     ``ids`` (m, min(k, n)) int64 and ``scores`` float32 of that shape, best first. Where `allowed` leaves fewer
    ///     hits than columns, the id is -1 and the score ``-inf``.
    ///
    /// Raises
    /// ------
    /// ShapeError
    ///     If a width differs, or a mask has not one entry a row.
    /// InvalidValueError
    ///     If `k` or `threads` is below 1, or a query holds NaN, an infinity or, under cosine, only zeros.
    ///
    /// Examples
    /// --------
    /// >>> index = DenseIndex(2, metric="dot")
    /// >>> ids = index.add([[1.0, 0.0], [0.0, 1.0], [3.0, 3.0]])
    /// >>> index.search([[1.0, 0.5]], k=2)
    /// Neighbours(ids=array([[2, 0]]), scores=array([[4.5, 1. ]], dtype=float32))
    /// >>> index.search([[1.0, 0.5]], k=2, allowed=[1]).ids
    /// array([[ 1, -1]])
    #[pyo3(signature = (queries, k, *, allowed = None, exact = true, threads = None))]
    #[pyo3(text_signature = "($self, queries, k, *, allowed=None, exact=True, threads=1)")]
    fn search<'py>(
        &self,
        py: Python<'py>,
        queries: &Bound<'py, PyAny>,
        k: &Bound<'py, PyAny>,
        allowed: Option<&Bound<'py, PyAny>>,
        exact: bool,
        threads: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let queries = convert::floats(queries, "queries", &[Axis::Any("m"), Axis::Exactly(self.core.dim())])?;
        let k = convert::count(k, "k")?;
        let threads = threads.map_or(Ok(1), |threads| convert::count(threads, "threads"))?;
        let allowed = convert::allowed(allowed)?;
        let queries = queries.rows()?;
        let allowed = allowed.as_ref().map(convert::Allowed::filter).transpose()?;
        let wish = Wish { k, exact, threads };
        let found = self.guard.run(py, || self.core.search(queries, allowed.as_ref(), wish))?;
        answer::neighbours(py, found.ids, found.scores, queries.len(), found.columns)
    }

    /// Let each cue settle among the `k` rows most similar to it: two stages in one call.
    ///
    /// The first stage is an exact search, the second `settle` among what it finds. It completes a pattern: what a cue resembles, it
    /// comes to rest on. As a ranking it says nothing that `search` does not say. The index must be one of cosines.
    ///
    /// Parameters
    /// ----------
    /// queries : (m, dim) float32
    ///     The cues; their length does not matter.
    /// k : int
    ///     Patterns a cue, 1 or more. Above the number of rows ``n`` it gives ``n`` columns.
    /// beta : float
    ///     Inverse temperature of settling, above 0. Large: the cue comes to rest on one pattern; small: on a mean of several.
    /// steps : int
    ///     Updates at most; see `settle`.
    /// allowed : array of int64 ids, or boolean mask over `ids`, optional
    ///     Rows that may be settled among; ids that are not there allow nothing.
    ///
    /// Returns
    /// -------
    /// Completion
    ///     Where each cue comes to rest, with the rows that it settled among. Where there are none, it stays where it was, at
    ///     unit length, with an energy of ``-inf``.
    ///
    /// Raises
    /// ------
    /// ShapeError
    ///     If a width differs, or a mask has not one entry a row.
    /// InvalidValueError
    ///     If `k` is below 1, `steps` below 0 or `beta` not above 0; if a cue holds NaN, an infinity or only zeros; or if
    ///     the metric is not ``"cosine"``.
    ///
    /// References
    /// ----------
    /// H. Ramsauer et al., "Hopfield Networks is All You Need", 2020 (arXiv:2008.02217), equation 3.
    ///
    /// Examples
    /// --------
    /// >>> index = DenseIndex(3)
    /// >>> ids = index.add(np.eye(3, dtype=np.float32))
    /// >>> done = index.complete([[0.1, 0.9, 0.3]], k=2)
    /// >>> done.vectors.round(3), done.ids, done.steps
    /// (array([[0., 1., 0.]], dtype=float32), array([[1, 2]]), array([3]))
    #[pyo3(signature = (queries, k = None, *, beta = None, steps = None, allowed = None))]
    #[pyo3(text_signature = "($self, queries, k=20, *, beta=64.0, steps=3, allowed=None)")]
    fn complete<'py>(
        &self,
        py: Python<'py>,
        queries: &Bound<'py, PyAny>,
        k: Option<&Bound<'py, PyAny>>,
        beta: Option<&Bound<'py, PyAny>>,
        steps: Option<&Bound<'py, PyAny>>,
        allowed: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let queries = convert::floats(queries, "queries", &[Axis::Any("m"), Axis::Exactly(self.core.dim())])?;
        let (k, by) = settling::arguments(k, beta, steps)?;
        let allowed = convert::allowed(allowed)?;
        let queries = queries.rows()?;
        let allowed = allowed.as_ref().map(convert::Allowed::filter).transpose()?;
        let completed =
            self.guard.run(py, || completion::among_rows(&self.core, queries, allowed.as_ref(), k, by))?;
        answer::completion(py, completed, self.core.dim())
    }

    /// Give the rows with these ids: scaled to unit length under cosine, as they were added under dot.
    ///
    /// Returns
    /// -------
    /// (len(ids), dim) float32
    ///
    /// Raises
    /// ------
    /// UnknownIdError
    ///     If an id is not there.
    ///
    /// Examples
    /// --------
    /// >>> index = DenseIndex(2)
    /// >>> index.vectors(index.add([[0.0, 2.0]]))
    /// array([[0., 1.]], dtype=float32)
    fn vectors<'py>(&self, py: Python<'py>, ids: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let ids = convert::integers::<i64>(ids, "ids")?;
        let ids = ids.slice()?;
        let vectors = self.guard.run(py, || self.core.vectors(ids))?;
        answer::matrix(py, vectors, ids.len(), self.core.dim())
    }

    #[getter]
    fn dim(&self) -> usize {
        self.core.dim()
    }

    #[getter]
    fn metric(&self) -> &'static str {
        self.core.metric().name()
    }

    #[getter]
    fn nbytes(&self, py: Python<'_>) -> PyResult<usize> {
        self.guard.run(py, || Ok::<_, Infallible>(self.core.view().nbytes()))
    }

    #[getter]
    fn ids<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<i64>>> {
        let ids = self.guard.run(py, || Ok::<_, Infallible>(self.core.view().ids().collect()))?;
        Ok(PyArray1::from_vec(py, ids))
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.guard.run(py, || Ok::<_, Infallible>(self.core.view().len()))
    }

    fn __contains__(&self, py: Python<'_>, id: &Bound<'_, PyAny>) -> PyResult<bool> {
        let Ok(id) = id.extract() else { return Ok(false) };
        self.guard.run(py, || Ok::<_, Infallible>(self.core.view().locate(id).is_some()))
    }

    fn __repr__(&self) -> String {
        let (dim, metric, n) = (self.core.dim(), self.core.metric().name(), self.core.view().len());
        format!("DenseIndex(dim={dim}, metric='{metric}', n={n})")
    }

    /// Give all that is needed to make an equal index: plain values and arrays, see `from_state`.
    ///
    /// Examples
    /// --------
    /// >>> index = DenseIndex(2, metric="dot")
    /// >>> ids = index.add([[0.0, 3.0]])
    /// >>> sorted(index.state())
    /// ['dim', 'exponents', 'ids', 'metric', 'next_id', 'rows']
    fn state<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let state = self.guard.run(py, || Ok::<_, Infallible>(self.core.state()))?;
        let n = state.ids.len();
        let dict = PyDict::new(py);
        dict.set_item("dim", self.core.dim())?;
        dict.set_item("metric", self.core.metric().name())?;
        dict.set_item("rows", answer::matrix(py, state.rows, n, self.core.dim())?)?;
        dict.set_item("exponents", PyArray1::from_vec(py, state.exponents))?;
        dict.set_item("ids", PyArray1::from_vec(py, state.ids))?;
        dict.set_item("next_id", state.next_id)?;
        Ok(dict)
    }

    /// Make an index equal to the one that `state` was taken from: same answers, same ids to come.
    ///
    /// Examples
    /// --------
    /// >>> index = DenseIndex(2, metric="dot")
    /// >>> ids = index.add([[0.0, 3.0]])
    /// >>> DenseIndex.from_state(index.state())
    /// DenseIndex(dim=2, metric='dot', n=1)
    #[classmethod]
    fn from_state(cls: &Bound<'_, PyType>, state: &Bound<'_, PyDict>) -> PyResult<Self> {
        let py = cls.py();
        let entry = |name: &'static str| state.get_item(name)?.ok_or_else(|| PyKeyError::new_err(name));
        let dim = convert::count(&entry("dim")?, "dim")?;
        let metric: String = entry("metric")?.extract()?;
        let metric = Metric::named(&metric).map_err(IntoPyErr::into_py_err)?;
        let rows = convert::floats(&entry("rows")?, "rows", &[Axis::Any("n"), Axis::Exactly(dim)])?;
        let exponents = convert::integers::<i64>(&entry("exponents")?, "exponents")?;
        let ids = convert::integers::<i64>(&entry("ids")?, "ids")?;
        let state = State {
            rows: rows.slice()?.to_vec(),
            exponents: exponents.slice()?.to_vec(),
            ids: ids.slice()?.to_vec(),
            next_id: entry("next_id")?.extract()?,
        };
        let isa = isa::chosen()?;
        let core = crate::guard::run(py, || Core::from_state(isa, dim, metric, &state))?;
        Ok(Self { core, guard: Guard::default() })
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyDict>,))> {
        let state = slf.get().state(slf.py())?;
        Ok((slf.get_type().getattr("from_state")?, (state,)))
    }
}
