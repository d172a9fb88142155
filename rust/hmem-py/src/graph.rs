//! `Graph`.

use std::convert::Infallible;

use hmem_core::graph::{self, Spread};
use numpy::PyArray1;
use pyo3::prelude::*;

use crate::answer;
use crate::convert::{Array, Axis, count, floats, integers, whole};
use crate::guard::Guard;

/// Weighted links between nodes, and how a cue spreads along them.
///
/// A node is an int64 id, and is there as long as it has a link. Nodes with a **negative id are hidden**: walked through
/// like all others, but never an answer. That is for what stands between things, as an entity stands between two texts that
/// name it.
///
/// `spread` is personalised PageRank: each step, a node hands `walk` of its score on along its links, in shares by their
/// weights, and the rest returns to the seeds; a node that no link leaves gives all back. Sums run in float64 over ascending
/// ids, so the answer is a function of the links and of nothing else, to the last bit, on every CPU.
///
/// Any number of threads may spread while another one adds and removes: each sees all of an edit or nothing of it. A write
/// notes what changes; whoever asks next puts it in order, in one pass over all links.
///
/// Parameters
/// ----------
/// directed : bool
///     Whether a link leads from its source to its target only.
///
/// References
/// ----------
/// T. H. Haveliwala, "Topic-Sensitive PageRank", 2002.
///
/// Examples
/// --------
/// >>> graph = Graph()
/// >>> graph.add([1, 2, 3], [2, 3, 4])
/// >>> graph.spread([1], k=3).ids
/// array([1, 2, 3])
#[pyclass(frozen, module = "hmem_fast.core")]
pub struct Graph {
    graph: graph::Graph,
    guard: Guard,
}

#[pymethods]
impl Graph {
    #[new]
    #[pyo3(signature = (directed = false))]
    fn new(directed: bool) -> Self {
        Self { graph: graph::Graph::new(directed), guard: Guard::default() }
    }

    /// Add links; all of them or, after an error, none.
    ///
    /// A link that is there gets the new weight (weights do not add up); of one that stands in the call twice, the last
    /// counts. In an undirected graph a link from `b` to `a` is the one from `a` to `b`.
    ///
    /// Parameters
    /// ----------
    /// sources, targets : (n,) int64
    ///     The two ends of each link.
    /// weights : (n,) float32, optional
    ///     Above 0; each link weighs 1 where they are left out.
    ///
    /// Raises
    /// ------
    /// InvalidValueError
    ///     For a weight that is not finite or not above 0.
    /// ShapeError
    ///     For arrays of different lengths.
    #[pyo3(signature = (sources, targets, weights = None))]
    fn add(
        &self,
        py: Python<'_>,
        sources: &Bound<'_, PyAny>,
        targets: &Bound<'_, PyAny>,
        weights: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let (sources, targets) = (integers::<i64>(sources, "sources")?, integers::<i64>(targets, "targets")?);
        let weights = weights.map(|weights| floats(weights, "weights", &[Axis::Any("n")])).transpose()?;
        let (sources, targets) = (sources.slice()?, targets.slice()?);
        let weights = weights.as_ref().map(Array::slice).transpose()?;
        self.guard.run(py, || self.graph.add(sources, targets, weights))
    }

    /// Remove links; all of them or, after an error, none.
    ///
    /// Parameters
    /// ----------
    /// sources, targets : (n,) int64
    ///     The two ends of each link.
    ///
    /// Raises
    /// ------
    /// UnknownIdError
    ///     If a link is not there.
    /// DuplicateIdError
    ///     If one stands in the call twice.
    /// ShapeError
    ///     For arrays of different lengths.
    fn remove(&self, py: Python<'_>, sources: &Bound<'_, PyAny>, targets: &Bound<'_, PyAny>) -> PyResult<()> {
        let (sources, targets) = (integers::<i64>(sources, "sources")?, integers::<i64>(targets, "targets")?);
        let (sources, targets) = (sources.slice()?, targets.slice()?);
        self.guard.run(py, || self.graph.remove(sources, targets))
    }

    /// Remove nodes with all their links; all of them or, after an error, none.
    ///
    /// Parameters
    /// ----------
    /// ids : (n,) int64
    ///     The nodes.
    ///
    /// Raises
    /// ------
    /// UnknownIdError
    ///     If a node is not there, because it has no link.
    /// DuplicateIdError
    ///     If one stands in the call twice.
    fn remove_nodes(&self, py: Python<'_>, ids: &Bound<'_, PyAny>) -> PyResult<()> {
        let ids = integers::<i64>(ids, "ids")?;
        let ids = ids.slice()?;
        self.guard.run(py, || self.graph.remove_nodes(ids))
    }

    /// Find the nodes that a cue reaches from some nodes.
    ///
    /// Parameters
    /// ----------
    /// ids : (m,) int64
    ///     The seeds, hidden ones too. An id that is no node is taken for one without links.
    /// weights : (m,) float32, optional
    ///     The seeds' shares of the cue, 0 or more; they are divided by their sum. Equal shares where they are left out.
    /// walk : float
    ///     Share of a node's score that moves on in a step, 0 to 1; the rest returns to the seeds.
    /// steps : int
    ///     Steps to make.
    /// k : int, optional
    ///     Answers wanted, 1 or more; all that were reached where it is left out.
    /// rarity : bool
    ///     Whether the weight of a link to a node is multiplied by ``log(1 + n / links)``, `n` nodes and `links` of them at
    ///     that node: through a node that many share, little comes. A hidden node with a single link is not walked into
    ///     then, since from there it only goes back.
    ///
    /// Returns
    /// -------
    /// Spread
    ///     Nodes that are not hidden and have a score above 0: best first, of equal ones the smaller id.
    ///
    /// Raises
    /// ------
    /// InvalidValueError
    ///     For a weight that is negative or not finite, weights that are all 0, or `walk` outside 0 and 1.
    /// DuplicateIdError
    ///     If a seed stands twice.
    /// ShapeError
    ///     For arrays of different lengths.
    ///
    /// Examples
    /// --------
    /// >>> graph = Graph()
    /// >>> graph.add([1, 2, 2, 3], [-7, -7, -8, -8])  # 1 and 2 share a hidden node, 2 and 3 another one
    /// >>> graph.spread([1], walk=0.5, steps=4).ids
    /// array([1, 2, 3])
    #[pyo3(
        signature = (ids, weights = None, *, walk = 0.5, steps = None, k = None, rarity = false),
        text_signature = "($self, ids, weights=None, *, walk=0.5, steps=10, k=None, rarity=False)"
    )]
    #[allow(
        clippy::too_many_arguments,
        reason = "the arguments of the Python call, each with its name there"
    )]
    fn spread<'py>(
        &self,
        py: Python<'py>,
        ids: &Bound<'py, PyAny>,
        weights: Option<&Bound<'py, PyAny>>,
        walk: f64,
        steps: Option<&Bound<'py, PyAny>>,
        k: Option<&Bound<'py, PyAny>>,
        rarity: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let steps = steps.map_or(Ok(10), |steps| whole(steps, "steps"))?;
        let k = k.map_or(Ok(usize::MAX), |k| count(k, "k"))?;
        let ids = integers::<i64>(ids, "ids")?;
        let weights = weights.map(|weights| floats(weights, "weights", &[Axis::Any("m")])).transpose()?;
        let ids = ids.slice()?;
        let weights = weights.as_ref().map(Array::slice).transpose()?;
        let how = Spread { walk, steps, rarity };
        let reached = self.guard.run(py, || self.graph.spread(ids, weights, how, k))?;
        answer::spread(py, reached)
    }

    /// Give a graph with the same links, which the two share. What is done to one does not show in the other.
    ///
    /// Returns
    /// -------
    /// Graph
    fn copy(&self, py: Python<'_>) -> PyResult<Self> {
        let graph = self.guard.run(py, || Ok::<_, Infallible>(self.graph.copy()))?;
        Ok(Self { graph, guard: Guard::default() })
    }

    /// Give all links: sources, targets and weights, ascending by source and target.
    ///
    /// An undirected link is given once, from its smaller to its larger end.
    ///
    /// Returns
    /// -------
    /// sources, targets : (n_links,) int64
    /// weights : (n_links,) float32
    #[allow(clippy::type_complexity, reason = "three arrays")]
    fn links<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<f32>>)> {
        let links = self.guard.run(py, || Ok::<_, Infallible>(self.graph.links()))?;
        Ok((
            PyArray1::from_vec(py, links.sources),
            PyArray1::from_vec(py, links.targets),
            PyArray1::from_vec(py, links.weights),
        ))
    }

    /// Whether a link leads one way only.
    #[getter]
    fn directed(&self) -> bool {
        self.graph.is_directed()
    }

    /// Ids of the nodes, ascending.
    #[getter]
    fn ids<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<i64>>> {
        let ids = self.guard.run(py, || Ok::<_, Infallible>(self.graph.ids()))?;
        Ok(PyArray1::from_vec(py, ids))
    }

    /// Number of links.
    #[getter]
    fn n_links(&self, py: Python<'_>) -> PyResult<usize> {
        self.guard.run(py, || Ok::<_, Infallible>(self.graph.n_links()))
    }

    /// Bytes held.
    #[getter]
    fn nbytes(&self, py: Python<'_>) -> PyResult<usize> {
        self.guard.run(py, || Ok::<_, Infallible>(self.graph.nbytes()))
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.guard.run(py, || Ok::<_, Infallible>(self.graph.len()))
    }

    fn __contains__(&self, py: Python<'_>, item: &Bound<'_, PyAny>) -> PyResult<bool> {
        let Ok(id) = item.extract() else { return Ok(false) };
        self.guard.run(py, || Ok::<_, Infallible>(self.graph.contains(id)))
    }

    fn __repr__(&self) -> String {
        let directed = if self.graph.is_directed() { "True" } else { "False" };
        format!("Graph(directed={directed}, n={}, n_links={})", self.graph.len(), self.graph.n_links())
    }
}
