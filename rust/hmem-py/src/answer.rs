//! Results: vectors of the core to arrays and to the small classes of `hmem_fast.types`.

use hmem_core::attractor::Settled;
use hmem_core::completion::Completed;
use hmem_core::graph::Reached;
use hmem_core::trace::Candidates;
use numpy::ndarray::Array2;
use numpy::{Element, PyArray1, PyArray2};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTuple;

use crate::error::InternalError;

/// A class of `hmem_fast.types`, looked up once.
type Class = PyOnceLock<Py<PyAny>>;

/// A named tuple as `class(*fields)` makes it, without the step through Python that only puts the fields into a tuple.
fn named<'py>(
    py: Python<'py>,
    class: &Bound<'py, PyAny>,
    fields: impl IntoPyObject<'py, Target = PyTuple, Output = Bound<'py, PyTuple>, Error: Into<PyErr>>,
) -> PyResult<Bound<'py, PyAny>> {
    static NEW: Class = Class::new();
    let new =
        NEW.get_or_try_init(py, || Ok::<_, PyErr>(py.get_type::<PyTuple>().getattr("__new__")?.unbind()))?;
    new.bind(py).call1((class, fields))
}

/// `numbers` as `n` rows of `d`.
pub fn matrix<T: Element>(
    py: Python<'_>,
    numbers: Vec<T>,
    n: usize,
    d: usize,
) -> PyResult<Bound<'_, PyArray2<T>>> {
    let numbers = Array2::from_shape_vec((n, d), numbers)
        .map_err(|error| InternalError::new_err(format!("an answer of {n} by {d}: {error}")))?;
    Ok(PyArray2::from_owned_array(py, numbers))
}

/// `hmem_fast.types.Neighbours` of `m` queries with `columns` hits each.
pub fn neighbours(
    py: Python<'_>,
    ids: Vec<i64>,
    scores: Vec<f32>,
    m: usize,
    columns: usize,
) -> PyResult<Bound<'_, PyAny>> {
    static CLASS: Class = Class::new();
    let class = CLASS.import(py, "hmem_fast.types", "Neighbours")?;
    named(py, class, (matrix(py, ids, m, columns)?, matrix(py, scores, m, columns)?))
}

/// `hmem_fast.types.Settled`.
pub fn settled(py: Python<'_>, settled: Settled) -> PyResult<Bound<'_, PyAny>> {
    static CLASS: Class = Class::new();
    let class = CLASS.import(py, "hmem_fast.types", "Settled")?;
    named(py, class, (PyArray1::from_vec(py, settled.vector), settled.energy, settled.steps))
}

/// `hmem_fast.types.Completion` of cues that are `d` wide.
pub fn completion(py: Python<'_>, completed: Completed, d: usize) -> PyResult<Bound<'_, PyAny>> {
    static CLASS: Class = Class::new();
    let class = CLASS.import(py, "hmem_fast.types", "Completion")?;
    let Completed { vectors, ids, scores, settled_scores, energies, steps, columns } = completed;
    let m = energies.len();
    let steps = steps.into_iter().map(|steps| i64::try_from(steps).unwrap_or(i64::MAX));
    class.call1((
        matrix(py, vectors, m, d)?,
        matrix(py, ids, m, columns)?,
        matrix(py, scores, m, columns)?,
        matrix(py, settled_scores, m, columns)?,
        PyArray1::from_vec(py, energies),
        PyArray1::from_iter(py, steps),
    ))
}

/// `hmem_fast.types.Spread`.
pub fn spread(py: Python<'_>, reached: Reached) -> PyResult<Bound<'_, PyAny>> {
    static CLASS: Class = Class::new();
    let class = CLASS.import(py, "hmem_fast.types", "Spread")?;
    named(py, class, (PyArray1::from_vec(py, reached.ids), PyArray1::from_vec(py, reached.scores)))
}

/// `hmem_fast.types.Candidates`.
pub fn candidates(py: Python<'_>, found: Candidates) -> PyResult<Bound<'_, PyAny>> {
    static CLASS: Class = Class::new();
    let class = CLASS.import(py, "hmem_fast.types", "Candidates")?;
    let fields = (
        PyArray1::from_vec(py, found.ids),
        PyArray1::from_vec(py, found.energy),
        PyArray1::from_vec(py, found.bm25),
        PyArray1::from_vec(py, found.best_key),
        PyArray1::from_vec(py, found.best_score),
        found.energy_moments.mean,
        found.energy_moments.deviation,
        found.bm25_moments.mean,
        found.bm25_moments.deviation,
    );
    named(py, class, fields)
}
