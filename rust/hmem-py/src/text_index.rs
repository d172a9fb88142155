//! `TextIndex`.

use std::convert::Infallible;

use hmem_core::sparse;
use numpy::PyArray1;
use pyo3::prelude::*;

use crate::answer::neighbours;
use crate::convert::{self, Array, count, integers};
use crate::convert_text;
use crate::guard::Guard;

/// Texts, found by the words they share with a query.
///
/// Scores are BM25: for each word of the query, as often as it stands there,
/// ``ln(1 + (n - df + .5) / (df + .5)) * tf (k1 + 1) / (tf + k1 (1 - b + b length / mean_length))``, where `df` of the
/// `n` texts have the word and this one has it `tf` times. The statistics are always those of the texts that are there
/// now, and a filter does not change them. Sums are taken in float64 in the order of the query's words, and texts are
/// ranked by them; equal scores come back in the order in which the texts were added. So an index that was edited gives
/// the same answers, to the bit, as one that was built afresh.
///
/// Searches may run in several threads while another one adds and removes: each sees all of an edit or nothing of it.
///
/// Parameters
/// ----------
/// analyzer : str
///     What cuts texts into words, or into character grams; see `analyze`.
/// stop_words : iterable of str, optional
///     Words to leave out, instead of the analyzer's own; ``()`` leaves none out.
/// k1 : float
///     The larger, the later repeated words stop counting; 0 or more.
/// b : float
///     How much long texts are held back, from 0 to 1.
///
/// Examples
/// --------
/// >>> index = TextIndex()
/// >>> index.add(["The cat sat on the mat.", "Dogs chase cats.", "It rains."])
/// array([0, 1, 2])
/// >>> index.search(["chasing a cat"], k=2).ids
/// array([[1, 0]])
#[pyclass(frozen, module = "hmem_fast.core")]
pub struct TextIndex {
    index: sparse::TextIndex,
    guard: Guard,
}

#[pymethods]
impl TextIndex {
    #[new]
    #[pyo3(
        signature = (analyzer = None, *, stop_words = None, k1 = None, b = None),
        text_signature = "(analyzer='english', *, stop_words=None, k1=1.2, b=0.75)"
    )]
    fn new(
        analyzer: Option<&Bound<'_, PyAny>>,
        stop_words: Option<&Bound<'_, PyAny>>,
        k1: Option<&Bound<'_, PyAny>>,
        b: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let analyzer = convert_text::analyzer(analyzer, stop_words)?;
        let bm25 = convert_text::bm25(k1, 1.2, b, 0.75)?;
        Ok(Self { index: sparse::TextIndex::new(analyzer, bm25), guard: Guard::default() })
    }

    /// Cut a text into the words that this index would store.
    fn analyze(&self, py: Python<'_>, text: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
        let text = convert_text::text(text, "text")?;
        self.guard.run(py, || Ok::<_, Infallible>(self.index.analyzer().analyze(&text)))
    }

    /// Add texts; all of them or, after an error, none.
    ///
    /// Parameters
    /// ----------
    /// texts : sequence of str
    ///     The texts; one without words is kept and never found.
    /// ids : (n,) int64, optional
    ///     Ids of the texts, 0 or more; the next ones that were never used where they are left out.
    /// replace : bool
    ///     Whether texts that have one of the ids already are replaced; they are an error otherwise.
    ///
    /// Returns
    /// -------
    /// (n,) int64
    ///     The ids.
    ///
    /// Raises
    /// ------
    /// InvalidValueError
    ///     For a lone surrogate, a negative id.
    /// DTypeError
    ///     If an item is not a string.
    /// DuplicateIdError
    ///     If an id is in use, or stands twice in the call.
    #[pyo3(signature = (texts, ids = None, replace = false))]
    fn add<'py>(
        &self,
        py: Python<'py>,
        texts: &Bound<'py, PyAny>,
        ids: Option<&Bound<'py, PyAny>>,
        replace: bool,
    ) -> PyResult<Bound<'py, PyArray1<i64>>> {
        let texts = convert_text::texts(texts, "texts")?;
        let ids = ids.map(|ids| integers::<i64>(ids, "ids")).transpose()?;
        let ids = ids.as_ref().map(Array::slice).transpose()?;
        Ok(PyArray1::from_vec(py, self.guard.run(py, || self.index.add(&texts, ids, replace))?))
    }

    /// Remove the texts with these ids; all of them or, after an error, none.
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

    /// For each query the `k` best texts, among those that share a word with it.
    ///
    /// Parameters
    /// ----------
    /// texts : sequence of str
    ///     The queries.
    /// k : int
    ///     Hits a query, 1 or more; above `n` it gives `n` columns.
    /// allowed : array of int64 ids, or boolean mask over the texts in insertion order, optional
    ///     Texts that may be answers; ids that are not there allow nothing.
    /// threads : int
    ///     Threads among which the queries are shared out.
    ///
    /// Returns
    /// -------
    /// Neighbours
    ///     Columns without a hit hold id -1 and score -inf.
    #[pyo3(
        signature = (texts, k, *, allowed = None, threads = None),
        text_signature = "($self, texts, k, *, allowed=None, threads=1)"
    )]
    fn search<'py>(
        &self,
        py: Python<'py>,
        texts: &Bound<'py, PyAny>,
        k: &Bound<'py, PyAny>,
        allowed: Option<&Bound<'py, PyAny>>,
        threads: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let k = count(k, "k")?;
        let threads = threads.map_or(Ok(1), |threads| count(threads, "threads"))?;
        let texts = convert_text::texts(texts, "texts")?;
        let allowed = convert::allowed(allowed)?;
        let filter = allowed.as_ref().map(convert::Allowed::filter).transpose()?;
        let hits = self.guard.run(py, || self.index.search(&texts, k, filter.as_ref(), threads))?;
        neighbours(py, hits.ids, hits.scores, texts.len(), hits.columns)
    }

    /// Ids of the texts, in the order in which they were added.
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
        let (bm25, name) = (self.index.bm25(), self.index.analyzer().name());
        let n = self.index.len();
        format!("TextIndex(analyzer='{name}', k1={:?}, b={:?}, n={n})", bm25.k1(), bm25.b())
    }
}
