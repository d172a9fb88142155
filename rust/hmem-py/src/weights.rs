//! `read_safetensors`.

use std::path::PathBuf;

use hmem_core::encoder::weights;
use numpy::{PyArray1, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::convert::type_name;
use crate::error::{DTypeError, ModelError};
use crate::guard;

/// Read the tensors of floats from a safetensors file.
///
/// Numbers of 16 bits (both kinds) are widened to float32, those of 64 bits rounded to it. Tensors of integers, booleans and
/// 8-bit floats are left out.
///
/// Parameters
/// ----------
/// path : str or path
///
/// Returns
/// -------
/// dict of str to array
///     By name, in alphabetical order; each float32, in C order.
///
/// Raises
/// ------
/// ModelError
///     If the file cannot be read, is damaged, or holds no safetensors.
/// DTypeError
///     If `path` is none.
///
/// Examples
/// --------
/// >>> import json, pathlib, tempfile
/// >>> header = {"bias": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}}
/// >>> content = json.dumps(header).encode()
/// >>> with tempfile.TemporaryDirectory() as folder:
/// ...     path = pathlib.Path(folder) / "model.safetensors"
/// ...     content = len(content).to_bytes(8, "little") + content + np.array([1, -2], dtype="<f2").tobytes()
/// ...     _ = path.write_bytes(content)
/// ...     read_safetensors(path)
/// {'bias': array([ 1., -2.], dtype=float32)}
#[pyfunction]
#[pyo3(signature = (path))]
pub fn read_safetensors<'py>(py: Python<'py>, path: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    let path: PathBuf = path
        .extract()
        .map_err(|_| DTypeError::new_err(format!("path: wanted a path, got {}", type_name(path))))?;
    let arrays = PyDict::new(py);
    for tensor in guard::run(py, || weights::read(&path))? {
        let array = PyArray1::from_vec(py, tensor.values).reshape(&tensor.shape[..]).map_err(|error| {
            // More axes than numpy has, or one that is too long although another is empty.
            ModelError::new_err(format!("{}: tensor {:?}: {error}", path.display(), tensor.name))
        })?;
        arrays.set_item(tensor.name, array)?;
    }
    Ok(arrays)
}
