//! Arguments that are sparse rows: one array of units for all rows, or one for each; weights in the same shape.

use hmem_core::sparse::SparseRows;
use numpy::{PyUntypedArray, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PySequence, PyString};

use crate::convert::{Axis, as_array, check_shape, floats, integers, type_name};
use crate::error::{DTypeError, IntoPyErr, ShapeError};

/// Units of several rows and their weights, owned.
pub struct Units {
    offsets: Vec<usize>,
    units: Vec<u32>,
    weights: Option<Vec<f32>>,
}

impl Units {
    /// From the arguments `units` and `weights`; `None` means that each unit weighs 1.
    pub fn new(units: &Bound<'_, PyAny>, weights: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let (offsets, units) =
            flat(units, "units", |row| Ok(integers::<u32>(row, "units")?.slice()?.to_vec()))?;
        let Some(weights) = weights else { return Ok(Self { offsets, units, weights: None }) };
        let wanted = [Axis::Any("a")];
        let (cuts, weights) =
            flat(weights, "weights", |row| Ok(floats(row, "weights", &wanted)?.slice()?.to_vec()))?;
        if cuts.len() != offsets.len() {
            let (wanted, got) = (offsets.len() - 1, cuts.len() - 1);
            return Err(ShapeError::new_err(format!(
                "weights: wanted {wanted} rows (as in units), got {got}"
            )));
        }
        if let Some(row) = (1..cuts.len()).find(|&row| cuts[row] != offsets[row]) {
            let (wanted, got) = (offsets[row] - offsets[row - 1], cuts[row] - cuts[row - 1]);
            return Err(ShapeError::new_err(format!(
                "weights: wanted {wanted} entries in row {} (as in units), got {got}",
                row - 1
            )));
        }
        Ok(Self { offsets, units, weights: Some(weights) })
    }

    /// For the core.
    pub fn rows(&self) -> PyResult<SparseRows<'_>> {
        SparseRows::new(&self.offsets, &self.units, self.weights.as_deref()).map_err(IntoPyErr::into_py_err)
    }
}

/// Where each row begins, and all numbers; `numbers` converts one-dimensional arguments.
fn flat<T>(
    value: &Bound<'_, PyAny>,
    name: &'static str,
    numbers: impl Fn(&Bound<'_, PyAny>) -> PyResult<Vec<T>>,
) -> PyResult<(Vec<usize>, Vec<T>)> {
    if value.is_instance_of::<PyUntypedArray>() {
        let array = as_array(value, name)?;
        check_shape(name, &[Axis::Any("n"), Axis::Any("a")], array.shape())?;
        let (n, a) = (array.shape()[0], array.shape()[1]);
        let numbers = numbers(&array.call_method1("reshape", (-1,))?)?;
        return Ok(((0..=n).map(|row| row * a).collect(), numbers));
    }
    let not_rows = || {
        let got = type_name(value);
        DTypeError::new_err(format!("{name}: wanted a (n, a) array or a sequence of arrays, got {got}"))
    };
    let is_text = value.is_instance_of::<PyString>()
        || value.is_instance_of::<PyBytes>()
        || value.is_instance_of::<PyByteArray>();
    if is_text || value.cast::<PySequence>().is_err() {
        return Err(not_rows());
    }
    let (mut offsets, mut all) = (vec![0], Vec::new());
    for row in value.try_iter()? {
        all.extend(numbers(&row?)?);
        offsets.push(all.len());
    }
    Ok((offsets, all))
}
