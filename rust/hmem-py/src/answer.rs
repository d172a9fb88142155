//! Results: vectors of the core to arrays and to the small classes of `hmem_fast.types`.

use hmem_core::attractor::Settled;
use hmem_core::trace::Candidates;
use numpy::{Element, PyArray1, PyArray2, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// `numbers` as `n` rows of `d`.
pub fn matrix<T: Element>(
    py: Python<'_>,
    numbers: Vec<T>,
    n: usize,
    d: usize,
) -> PyResult<Bound<'_, PyArray2<T>>> {
    PyArray1::from_vec(py, numbers).reshape([n, d])
}

/// `hmem_fast.types.Neighbours` of `m` queries with `columns` hits each.
pub fn neighbours(
    py: Python<'_>,
    ids: Vec<i64>,
    scores: Vec<f32>,
    m: usize,
    columns: usize,
) -> PyResult<Bound<'_, PyAny>> {
    static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let class = CLASS.import(py, "hmem_fast.types", "Neighbours")?;
    class.call1((matrix(py, ids, m, columns)?, matrix(py, scores, m, columns)?))
}

/// `hmem_fast.types.Settled`.
pub fn settled(py: Python<'_>, settled: Settled) -> PyResult<Bound<'_, PyAny>> {
    static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let class = CLASS.import(py, "hmem_fast.types", "Settled")?;
    class.call1((PyArray1::from_vec(py, settled.vector), settled.energy, settled.steps))
}

/// `hmem_fast.types.Candidates`.
pub fn candidates(py: Python<'_>, found: Candidates) -> PyResult<Bound<'_, PyAny>> {
    static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let class = CLASS.import(py, "hmem_fast.types", "Candidates")?;
    class.call1((
        PyArray1::from_vec(py, found.ids),
        PyArray1::from_vec(py, found.energy),
        PyArray1::from_vec(py, found.bm25),
        PyArray1::from_vec(py, found.best_key),
        PyArray1::from_vec(py, found.best_score),
        found.energy_moments.mean,
        found.energy_moments.deviation,
        found.bm25_moments.mean,
        found.bm25_moments.deviation,
    ))
}
