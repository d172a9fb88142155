//! Binding of hmem-core to Python: converts, checks shapes, releases the interpreter lock, calls. No algorithm here.
#![forbid(unsafe_code)]

use pyo3::prelude::*;

#[pymodule]
mod _core {}
