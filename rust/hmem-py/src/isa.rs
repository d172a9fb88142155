//! `hmem_fast.core.isa` and `cpu_features`.

use hmem_core::kernels::isa::{Isa, cpu_features as features_of_this_cpu};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::IntoPyErr;

/// The chosen instruction set, for structures that compute.
pub fn chosen() -> PyResult<Isa> {
    Isa::chosen().map_err(IntoPyErr::into_py_err)
}

/// Name the instruction set that the compiled core uses here.
///
/// It is the best one that the CPU has, capped by the environment variable ``HMEM_ISA`` (``scalar``, ``avx2``, ``avx512``,
/// ``amx`` or ``neon``), which is read once in a process. All of them give the same bits; the variable is for tests.
///
/// Raises
/// ------
/// IsaError
///     If ``HMEM_ISA`` is no known name or names a set that this CPU lacks.
///
/// Examples
/// --------
/// >>> isa() in {"scalar", "avx2", "avx512", "neon"}
/// True
#[pyfunction]
pub fn isa() -> PyResult<&'static str> {
    Ok(chosen()?.name())
}

/// List the CPU features that matter here, and whether this CPU has them.
///
/// ``HMEM_ISA`` does not change the answer.
///
/// Examples
/// --------
/// >>> cpu_features()["avx2"] in {True, False}
/// True
#[pyfunction]
pub fn cpu_features(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let features = PyDict::new(py);
    for (name, has) in features_of_this_cpu() {
        features.set_item(name, has)?;
    }
    Ok(features)
}
