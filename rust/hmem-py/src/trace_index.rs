//! `TraceIndex`.

use std::convert::Infallible;

use hmem_core::completion;
use hmem_core::trace;
use numpy::{PyArray1, PyArray2};
use pyo3::prelude::*;

use crate::answer;
use crate::convert::{self, Axis, count, floats, integers};
use crate::convert_text::{self, number};
use crate::error::IntoPyErr;
use crate::guard::Guard;
use crate::isa;
use crate::settling;

/// For each memory where its keys begin, the keys' ids, and something of each key.
type OfKeys<'py, A> = (Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<i64>>, Bound<'py, A>);

/// Memories, each under any number of dense keys and one document of words.
///
/// A memory is compared with a cue in two ways. Its *energy* pools the cosines ``s`` of its keys,
/// ``(1/beta) log(sum(exp(beta * s)))``: at least the largest of them, and more where several keys are close. Its *BM25*
/// scores the words it shares with the cue (see `TextIndex`). `candidates` gives the memories that are best by either,
/// with both scores, for a ranking to be made of them.
///
/// All scores are exact and in float64, and depend on the memories that are there alone: an index that was edited gives
/// the same bits as one that was built afresh. Searches may run in several threads while another one puts and removes:
/// each sees all of an edit or nothing of it, keys and words together.
///
/// Parameters
/// ----------
/// dim : int
///     Width of the keys.
/// beta : float
///     Inverse temperature of the energy, above 0; infinity takes the closest key alone.
/// analyzer, stop_words, k1, b
///     What cuts texts into words, and the parameters of BM25; see `TextIndex`.
///
/// Examples
/// --------
/// >>> index = TraceIndex(2)
/// >>> keys = np.array([[1, 0], [0, 1], [1, 1]], dtype=np.float32)
/// >>> index.put([7, 9], [0, 2, 3], [70, 71, 90], keys, ["Cats sleep.", "Dogs bark at cats."])
/// >>> found = index.candidates(keys[0], index.analyze("barking dogs"))
/// >>> found.ids, found.best_key
/// (array([7, 9]), array([70, 90]))
/// >>> found.energy.round(3), found.bm25.round(3)
/// (array([1.   , 0.707]), array([0.   , 1.315]))
#[pyclass(frozen, module = "hmem_fast.core")]
pub struct TraceIndex {
    index: trace::TraceIndex,
    guard: Guard,
}

#[pymethods]
impl TraceIndex {
    #[new]
    #[pyo3(
        signature = (dim, *, beta = None, analyzer = None, stop_words = None, k1 = None, b = None),
        text_signature = "(dim, *, beta=12.0, analyzer='english', stop_words=None, k1=1.2, b=0.5)"
    )]
    fn new(
        dim: &Bound<'_, PyAny>,
        beta: Option<&Bound<'_, PyAny>>,
        analyzer: Option<&Bound<'_, PyAny>>,
        stop_words: Option<&Bound<'_, PyAny>>,
        k1: Option<&Bound<'_, PyAny>>,
        b: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let dim = count(dim, "dim")?;
        let beta = beta.map_or(Ok(12.0), |beta| number(beta, "beta"))?;
        let analyzer = convert_text::analyzer(analyzer, stop_words)?;
        let bm25 = convert_text::bm25(k1, 1.2, b, 0.5)?;
        let index = trace::TraceIndex::new(isa::chosen()?, dim, beta, analyzer, bm25);
        index.map(Self::of).map_err(IntoPyErr::into_py_err)
    }

    /// Put memories in; all of them or, after an error, none. One that is there already is replaced.
    ///
    /// Parameters
    /// ----------
    /// memory_ids : (n,) int64
    ///     Ids, 0 or more.
    /// offsets : (n + 1,) int64
    ///     Memory ``i`` has the keys ``offsets[i]:offsets[i + 1]``, which may be none.
    /// key_ids : (t,) int64
    ///     Ids of the keys, 0 or more. They are only handed back.
    /// vectors : (t, dim) float32
    ///     The keys; their length does not matter.
    /// texts : sequence of n str
    ///     The words under which each memory is found.
    ///
    /// Raises
    /// ------
    /// InvalidValueError
    ///     For NaN, an infinity, a key of zeros, a lone surrogate, a negative id.
    /// DuplicateIdError
    ///     If a memory stands twice in the call.
    /// ShapeError
    ///     If lengths or widths do not fit together.
    fn put(
        &self,
        py: Python<'_>,
        memory_ids: &Bound<'_, PyAny>,
        offsets: &Bound<'_, PyAny>,
        key_ids: &Bound<'_, PyAny>,
        vectors: &Bound<'_, PyAny>,
        texts: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let ids = integers::<i64>(memory_ids, "memory_ids")?;
        let offsets = integers::<i64>(offsets, "offsets")?;
        let key_ids = integers::<i64>(key_ids, "key_ids")?;
        let vectors = floats(vectors, "vectors", &[Axis::Any("t"), Axis::Exactly(self.index.dim())])?;
        let texts = convert_text::texts(texts, "texts")?;
        let (ids, offsets, key_ids, vectors) =
            (ids.slice()?, offsets.slice()?, key_ids.slice()?, vectors.rows()?);
        self.guard.run(py, || self.index.put(ids, offsets, key_ids, vectors, &texts))
    }

    /// Remove memories; all of them or, after an error, none.
    ///
    /// Raises
    /// ------
    /// UnknownIdError
    ///     If an id is not there.
    fn remove(&self, py: Python<'_>, memory_ids: &Bound<'_, PyAny>) -> PyResult<()> {
        let ids = integers::<i64>(memory_ids, "memory_ids")?;
        let ids = ids.slice()?;
        self.guard.run(py, || self.index.remove(ids))
    }

    /// Give another index with the same memories. What is done to one does not show in the other.
    ///
    /// The two share what they hold, so that a copy takes no time and hardly any memory.
    ///
    /// Returns
    /// -------
    /// TraceIndex
    ///
    /// Examples
    /// --------
    /// >>> index = TraceIndex(2)
    /// >>> index.put([7], [0, 0], [], np.zeros((0, 2), np.float32), ["a pear"])
    /// >>> copy = index.copy()
    /// >>> copy.remove([7])
    /// >>> len(index), len(copy)
    /// (1, 0)
    fn copy(&self, py: Python<'_>) -> PyResult<Self> {
        self.guard.run(py, || Ok::<_, Infallible>(self.index.copy())).map(Self::of)
    }

    /// Rewrite whatever has removed memories in it, so that nothing of these is left in this index.
    ///
    /// Removing marks a memory as gone; its keys and words leave when their segment is next rewritten, which may be never.
    /// This is for memories that must vanish for good. Answers do not change.
    fn compact(&self, py: Python<'_>) -> PyResult<()> {
        self.guard.run(py, || {
            self.index.compact();
            Ok::<_, Infallible>(())
        })
    }

    /// Cut a text into the words that this index would store; for `candidates`.
    fn analyze(&self, py: Python<'_>, text: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
        let text = convert_text::text(text, "text")?;
        self.guard.run(py, || Ok::<_, Infallible>(self.index.analyzer().analyze(&text)))
    }

    /// Find the `n` memories that are best by energy and the `n` that are best by BM25, each with both scores.
    ///
    /// A memory without keys is found by its words alone, one that shares no word by its keys alone. Where scores are
    /// equal at the cut, smaller ids come first.
    ///
    /// Parameters
    /// ----------
    /// vector : (dim,) float32, optional
    ///     The cue's vector; without one, memories are found by words alone.
    /// terms : iterable of str, optional
    ///     The cue's words, as `analyze` gives them. One that stands twice counts twice.
    /// allowed : array of int64 ids, or boolean mask over `ids`, optional
    ///     Memories that may be found; ids that are not there allow nothing. Scores and moments do not change.
    /// n : int
    ///     Memories of each kind, 1 or more; so there are at most ``2 * n`` candidates.
    /// beta : float, optional
    ///     Instead of the index's own.
    ///
    /// Returns
    /// -------
    /// Candidates
    ///     By ascending id.
    ///
    /// Examples
    /// --------
    /// >>> index = TraceIndex(2)
    /// >>> index.put([1, 2], [0, 1, 1], [10], [[0.0, 2.0]], ["a red apple", "a green apple"])
    /// >>> index.candidates([1.0, 1.0], ["green"]).energy.round(3)
    /// array([0.707,  -inf])
    /// >>> index.candidates(None, ["green"]).ids
    /// array([2])
    #[pyo3(signature = (vector, terms, *, allowed = None, n = None, beta = None))]
    #[pyo3(text_signature = "($self, vector, terms, *, allowed=None, n=200, beta=None)")]
    #[allow(clippy::too_many_arguments, reason = "they are the keyword arguments of the Python method")]
    fn candidates<'py>(
        &self,
        py: Python<'py>,
        vector: Option<&Bound<'py, PyAny>>,
        terms: Option<&Bound<'py, PyAny>>,
        allowed: Option<&Bound<'py, PyAny>>,
        n: Option<&Bound<'py, PyAny>>,
        beta: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let cue = vector.map(|vector| self.cue(vector)).transpose()?;
        let terms = terms.map_or_else(|| Ok(Vec::new()), |terms| convert_text::texts(terms, "terms"))?;
        let allowed = convert::allowed(allowed)?;
        let allowed = allowed.as_ref().map(convert::Allowed::filter).transpose()?;
        let n = n.map_or(Ok(200), |n| count(n, "n"))?;
        let beta = beta.map(|beta| number(beta, "beta")).transpose()?;
        let found =
            self.guard.run(py, || self.index.candidates(cue.as_ref(), &terms, allowed.as_ref(), n, beta))?;
        answer::candidates(py, found)
    }

    /// Let each cue settle among the `k` memories most similar to it: two stages in one call.
    ///
    /// The patterns are the closest key of each of the `k` memories whose closest keys are closest to the cue (exactly those; of
    /// equal ones, smaller ids come first). Among these the cue settles as in `settle`. It completes a pattern; as a ranking of
    /// memories it loses to the first stage.
    ///
    /// Parameters
    /// ----------
    /// queries : (m, dim) float32
    ///     The cues; their length does not matter.
    /// k : int
    ///     Patterns a cue, 1 or more. Above the number of memories ``n`` it gives ``n`` columns.
    /// beta : float
    ///     Inverse temperature of settling, above 0. Large: the cue comes to rest on one pattern; small: on a mean of several.
    /// steps : int
    ///     Updates at most; see `settle`.
    /// allowed : array of int64 ids, or boolean mask over `ids`, optional
    ///     Memories that may be settled among; ids that are not there allow nothing.
    ///
    /// Returns
    /// -------
    /// Completion
    ///     Where each cue comes to rest, with the memories that it settled among. Where there are none, it stays where it was, at
    ///     unit length, with an energy of ``-inf``.
    ///
    /// Raises
    /// ------
    /// ShapeError
    ///     If a width differs, or a mask has not one entry a memory.
    /// InvalidValueError
    ///     If `k` is below 1, `steps` below 0 or `beta` not above 0; if a cue holds NaN, an infinity or only zeros.
    ///
    /// References
    /// ----------
    /// H. Ramsauer et al., "Hopfield Networks is All You Need", 2020 (arXiv:2008.02217), equation 3.
    ///
    /// Examples
    /// --------
    /// >>> index = TraceIndex(2)
    /// >>> index.put([7, 9], [0, 2, 3], [70, 71, 90], [[1, 0.1], [-1, 0], [0, 1]] * np.ones(1, np.float32), ["", ""])
    /// >>> done = index.complete([[0.2, 0.9]])
    /// >>> done.vectors.round(3), done.ids, done.settled_scores.round(2)
    /// (array([[0., 1.]], dtype=float32), array([[9, 7]]), array([[1. , 0.1]], dtype=float32))
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
        let queries = floats(queries, "queries", &[Axis::Any("m"), Axis::Exactly(self.index.dim())])?;
        let (k, by) = settling::arguments(k, beta, steps)?;
        let allowed = convert::allowed(allowed)?;
        let queries = queries.rows()?;
        let allowed = allowed.as_ref().map(convert::Allowed::filter).transpose()?;
        let completed = self
            .guard
            .run(py, || completion::among_memories(&self.index, queries, allowed.as_ref(), k, by))?;
        answer::completion(py, completed, self.index.dim())
    }

    /// Give the cosine of each key of these memories.
    ///
    /// Returns
    /// -------
    /// offsets : (len(memory_ids) + 1,) int64
    ///     Memory ``i`` owns entries ``offsets[i]:offsets[i + 1]`` of the other two.
    /// key_ids : (t,) int64
    ///     Ids of the keys, in the order in which they were put.
    /// scores : (t,) float64
    ///
    /// Raises
    /// ------
    /// UnknownIdError
    ///     If a memory is not there.
    fn key_scores<'py>(
        &self,
        py: Python<'py>,
        vector: &Bound<'py, PyAny>,
        memory_ids: &Bound<'py, PyAny>,
    ) -> PyResult<OfKeys<'py, PyArray1<f64>>> {
        let cue = self.cue(vector)?;
        let ids = integers::<i64>(memory_ids, "memory_ids")?;
        let ids = ids.slice()?;
        let keys = self.guard.run(py, || self.index.key_scores(&cue, ids))?;
        Ok((
            PyArray1::from_vec(py, keys.offsets),
            PyArray1::from_vec(py, keys.key_ids),
            PyArray1::from_vec(py, keys.values),
        ))
    }

    /// Give the keys of these memories, scaled to unit length.
    ///
    /// Returns
    /// -------
    /// offsets : (len(memory_ids) + 1,) int64
    ///     Memory ``i`` owns entries ``offsets[i]:offsets[i + 1]`` of the other two.
    /// key_ids : (t,) int64
    ///     Ids of the keys, in the order in which they were put.
    /// vectors : (t, dim) float32
    ///
    /// Raises
    /// ------
    /// UnknownIdError
    ///     If a memory is not there.
    fn vectors<'py>(
        &self,
        py: Python<'py>,
        memory_ids: &Bound<'py, PyAny>,
    ) -> PyResult<OfKeys<'py, PyArray2<f32>>> {
        let ids = integers::<i64>(memory_ids, "memory_ids")?;
        let ids = ids.slice()?;
        let keys = self.guard.run(py, || self.index.vectors(ids))?;
        let t = keys.key_ids.len();
        Ok((
            PyArray1::from_vec(py, keys.offsets),
            PyArray1::from_vec(py, keys.key_ids),
            answer::matrix(py, keys.values, t, self.index.dim())?,
        ))
    }

    /// Give what each of `terms` adds to the BM25 of each of these memories.
    ///
    /// Returns
    /// -------
    /// (len(memory_ids), len(terms)) float64
    ///
    /// Raises
    /// ------
    /// UnknownIdError
    ///     If a memory is not there.
    fn word_scores<'py>(
        &self,
        py: Python<'py>,
        terms: &Bound<'py, PyAny>,
        memory_ids: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let terms = convert_text::texts(terms, "terms")?;
        let ids = integers::<i64>(memory_ids, "memory_ids")?;
        let ids = ids.slice()?;
        let scores = self.guard.run(py, || self.index.word_scores(&terms, ids))?;
        answer::matrix(py, scores, ids.len(), terms.len())
    }

    #[getter]
    fn dim(&self) -> usize {
        self.index.dim()
    }

    #[getter]
    fn beta(&self) -> f64 {
        self.index.beta()
    }

    /// Ids of the memories, in the order in which they were put.
    #[getter]
    fn ids<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<i64>>> {
        let ids = self.guard.run(py, || Ok::<_, Infallible>(self.index.view().ids().collect()))?;
        Ok(PyArray1::from_vec(py, ids))
    }

    /// Bytes held; where it was opened from a snapshot, most of them lie in files.
    #[getter]
    fn nbytes(&self, py: Python<'_>) -> PyResult<usize> {
        self.guard.run(py, || Ok::<_, Infallible>(self.index.view().nbytes()))
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.guard.run(py, || Ok::<_, Infallible>(self.index.view().len()))
    }

    fn __contains__(&self, py: Python<'_>, item: &Bound<'_, PyAny>) -> PyResult<bool> {
        let Ok(id) = item.extract() else { return Ok(false) };
        self.guard.run(py, || Ok::<_, Infallible>(self.index.view().locate(id).is_some()))
    }

    fn __repr__(&self) -> String {
        let (dim, beta, name) = (self.index.dim(), self.index.beta(), self.index.analyzer().name());
        let (bm25, n) = (self.index.bm25(), self.index.view().len());
        let (k1, b) = (bm25.k1(), bm25.b());
        format!("TraceIndex(dim={dim}, beta={beta:?}, analyzer='{name}', k1={k1:?}, b={b:?}, n={n})")
    }
}

impl TraceIndex {
    pub fn of(index: trace::TraceIndex) -> Self {
        Self { index, guard: Guard::default() }
    }

    /// For other objects; refused after a panic.
    pub fn core(&self) -> PyResult<&trace::TraceIndex> {
        self.guard.check().map(|()| &self.index)
    }

    fn cue(&self, vector: &Bound<'_, PyAny>) -> PyResult<trace::Cue> {
        let vector = floats(vector, "vector", &[Axis::Exactly(self.index.dim())])?;
        self.index.cue(vector.slice()?).map_err(IntoPyErr::into_py_err)
    }
}
