//! Arguments: Python arrays and lists to slices.
//!
//! An array of the wanted type, C-contiguous, aligned and in native byte order is used as it lies. Everything else that
//! can be meant without guessing (other float widths, strided, reversed, Fortran-order and big-endian arrays, nested
//! lists) is converted once. What would need a guess (integers where floats are meant, objects) is refused.
//!
//! **What a caller may change meanwhile.** The core computes with the interpreter lock released. Arrays of up to
//! [`COPIED_BYTES`], and masks, are copied before that, so another thread may do with them what it likes. Larger arrays are
//! borrowed and must not be changed until the call returns.

use hmem_core::rows::Rows;
use numpy::{
    Element, PyArrayDescrMethods, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyUntypedArray,
    PyUntypedArrayMethods,
};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyInt, PyType};

use crate::error::{DTypeError, InternalError, IntoPyErr, InvalidValueError, ShapeError};

/// Up to this size an array is copied while the interpreter lock is held.
pub const COPIED_BYTES: usize = 1 << 20;

/// An argument's numbers, row-major.
pub struct Array<'py, T: Element> {
    numbers: Numbers<'py, T>,
    shape: Vec<usize>,
}

enum Numbers<'py, T: Element> {
    Copied(Vec<T>),
    Borrowed(PyReadonlyArrayDyn<'py, T>),
}

impl<'py, T: Element + Copy> Array<'py, T> {
    fn copied(numbers: Vec<T>, shape: Vec<usize>) -> Self {
        Self { numbers: Numbers::Copied(numbers), shape }
    }

    /// Holds `array`, which must be C-contiguous and aligned.
    fn hold(array: &Bound<'py, PyArrayDyn<T>>) -> PyResult<Self> {
        let numbers = if array.len() * size_of::<T>() <= COPIED_BYTES {
            Numbers::Copied(array.to_vec().map_err(not_as_promised)?)
        } else {
            Numbers::Borrowed(array.try_readonly()?)
        };
        Ok(Self { numbers, shape: array.shape().to_vec() })
    }

    /// All numbers, row after row.
    pub fn slice(&self) -> PyResult<&[T]> {
        match &self.numbers {
            Numbers::Copied(numbers) => Ok(numbers),
            Numbers::Borrowed(array) => array.as_slice().map_err(not_as_promised),
        }
    }

    /// Length of the first axis.
    #[allow(clippy::len_without_is_empty, reason = "an argument's length is only ever compared")]
    pub fn len(&self) -> usize {
        self.shape.first().copied().unwrap_or(0)
    }

    /// The numbers as rows; a one-dimensional argument is one number a row.
    pub fn rows(&self) -> PyResult<Rows<'_, T>> {
        let d = self.shape.get(1).copied().unwrap_or(1);
        Rows::new(self.slice()?, self.len(), d).map_err(IntoPyErr::into_py_err)
    }
}

/// For an array that was found to be C-contiguous and is not.
fn not_as_promised(error: impl std::fmt::Display) -> PyErr {
    InternalError::new_err(format!("array: {error}"))
}

/// The wanted shape: one entry an axis, a letter where any length will do.
#[derive(Clone, Copy)]
pub enum Axis {
    Any(&'static str),
    Exactly(usize),
}

/// Floats of the wanted shape, for example `floats(queries, "queries", &[Axis::Any("m"), Axis::Exactly(384)])`.
pub fn floats<'py>(
    value: &Bound<'py, PyAny>,
    name: &'static str,
    wanted: &[Axis],
) -> PyResult<Array<'py, f32>> {
    if let Some(array) = as_it_lies::<f32>(value) {
        check_shape(name, wanted, array.shape())?;
        return Array::hold(array);
    }
    let array = as_array(value, name)?;
    let dtype = array.dtype();
    if dtype.kind() != b'f' || dtype.itemsize() > 8 {
        return Err(wrong_dtype(name, "float32 (float64 and float16 are cast)", &array));
    }
    check_shape(name, wanted, array.shape())?;
    if dtype.itemsize() < 8 {
        let array = required::<f32>(&array)?;
        return Array::hold(&array);
    }
    let wide = required::<f64>(&array)?.try_readonly()?;
    let wide_numbers = wide.as_slice().map_err(|error| InternalError::new_err(format!("{name}: {error}")))?;
    let narrow: Vec<f32> = wide_numbers.iter().map(|&x| narrowed(x)).collect();
    match wide_numbers.iter().zip(&narrow).position(|(wide, narrow)| wide.is_finite() && !narrow.is_finite())
    {
        None => Ok(Array::copied(narrow, array.shape().to_vec())),
        Some(at) => {
            let row_len: usize = array.shape().iter().skip(1).product();
            Err(InvalidValueError::new_err(format!(
                "{name}: row {} holds {:e}, which is outside the range of float32",
                at / row_len.max(1),
                wide_numbers[at],
            )))
        }
    }
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "rounding to float32 is the purpose; overflow is refused after"
)]
pub fn narrowed(x: f64) -> f32 {
    x as f32
}

/// Integers of any width in one dimension, as `T` (`i64` for ids, `i32` for units).
pub fn integers<'py, T>(value: &Bound<'py, PyAny>, name: &'static str) -> PyResult<Array<'py, T>>
where
    T: Element + Copy + TryFrom<i64> + TryFrom<u64>,
{
    integers_of(value, name, &[Axis::Any("n")])
}

/// Integers of any width in rows of `d`, as `T`.
pub fn integer_rows<'py, T>(
    value: &Bound<'py, PyAny>,
    name: &'static str,
    d: usize,
) -> PyResult<Array<'py, T>>
where
    T: Element + Copy + TryFrom<i64> + TryFrom<u64>,
{
    integers_of(value, name, &[Axis::Any("n"), Axis::Exactly(d)])
}

fn integers_of<'py, T>(
    value: &Bound<'py, PyAny>,
    name: &'static str,
    wanted: &[Axis],
) -> PyResult<Array<'py, T>>
where
    T: Element + Copy + TryFrom<i64> + TryFrom<u64>,
{
    if let Some(array) = as_it_lies::<T>(value) {
        check_shape(name, wanted, array.shape())?;
        return Array::hold(array);
    }
    let array = as_array(value, name)?;
    let shape = array.shape().to_vec();
    let numbers = match array.dtype().kind() {
        b'i' => cast::<i64, T>(&array, name),
        b'u' => cast::<u64, T>(&array, name),
        // numpy takes an empty list for floats
        _ if array.is_empty() && !value.is_instance_of::<PyUntypedArray>() => Ok(Vec::new()),
        _ => return Err(wrong_dtype(name, "integers", &array)),
    };
    check_shape(name, wanted, &shape)?;
    Ok(Array::copied(numbers?, shape))
}

fn cast<S, T>(array: &Bound<'_, PyUntypedArray>, name: &str) -> PyResult<Vec<T>>
where
    S: Element + Copy + std::fmt::Display,
    T: TryFrom<S>,
{
    let array = required::<S>(array)?.try_readonly()?;
    let numbers = array.as_slice().map_err(|error| InternalError::new_err(format!("{name}: {error}")))?;
    numbers
        .iter()
        .enumerate()
        .map(|(at, &x)| {
            T::try_from(x).map_err(|_| {
                InvalidValueError::new_err(format!(
                    "{name}: wanted integers of {} bits, got {x} at position {at}",
                    size_of::<T>() * 8
                ))
            })
        })
        .collect()
}

/// Which rows a search may answer with.
pub enum Allowed<'py> {
    /// These ids; unknown ones allow nothing.
    Ids(Array<'py, i64>),
    /// One entry for each live row, in insertion order.
    Mask(Array<'py, bool>),
}

impl Allowed<'_> {
    /// For the core.
    pub fn filter(&self) -> PyResult<hmem_core::segment::Allowed<'_>> {
        Ok(match self {
            Allowed::Ids(ids) => hmem_core::segment::Allowed::Ids(ids.slice()?),
            Allowed::Mask(mask) => hmem_core::segment::Allowed::Mask(mask.slice()?),
        })
    }
}

/// A filter: ids or a boolean mask, told apart by their type, as numpy's indexing does. `None` allows all.
pub fn allowed<'py>(value: Option<&Bound<'py, PyAny>>) -> PyResult<Option<Allowed<'py>>> {
    let Some(value) = value else { return Ok(None) };
    let name = "allowed";
    if as_it_lies::<i64>(value).is_some() {
        return Ok(Some(Allowed::Ids(integers(value, name)?)));
    }
    if let Some(array) = as_it_lies::<bool>(value) {
        return mask(array, name).map(Some);
    }
    let array = as_array(value, name)?;
    match array.dtype().kind() {
        b'b' => mask(&required::<bool>(&array)?, name).map(Some),
        b'i' | b'u' => Ok(Some(Allowed::Ids(integers(array.as_any(), name)?))),
        _ if array.is_empty() => Ok(Some(Allowed::Ids(integers(value, name)?))),
        _ => Err(wrong_dtype(name, "int64 ids or a boolean mask", &array)),
    }
}

/// A mask, always copied. Memory that came from elsewhere may hold any byte; numpy takes all but 0 for true.
fn mask<'py>(array: &Bound<'py, PyArrayDyn<bool>>, name: &str) -> PyResult<Allowed<'py>> {
    let py = array.py();
    check_shape(name, &[Axis::Any("n")], array.shape())?;
    let bytes = array.call_method1(intern!(py, "view"), (numpy::dtype::<u8>(py),))?;
    let bytes = bytes.cast_into::<PyArrayDyn<u8>>()?.try_readonly()?;
    let entries = bytes.as_slice().map_err(not_as_promised)?.iter().map(|&byte| byte != 0).collect();
    Ok(Allowed::Mask(Array::copied(entries, array.shape().to_vec())))
}

/// A number of things, at least 1, from a Python integer of any size; what does not fit is as good as infinite.
pub fn count(value: &Bound<'_, PyAny>, name: &'static str) -> PyResult<usize> {
    match whole(value, name)? {
        0 => Err(InvalidValueError::new_err(format!("{name}: wanted 1 or more, got {value}"))),
        count => Ok(count),
    }
}

/// A number of things, at least 0, from a Python integer of any size; what does not fit is as good as infinite.
pub fn whole(value: &Bound<'_, PyAny>, name: &'static str) -> PyResult<usize> {
    // A plain integer, and not the bool that is one too; negative and huge ones go the long way.
    if let Ok(value) = value.cast_exact::<PyInt>()
        && let Ok(whole) = value.extract()
    {
        return Ok(whole);
    }
    let not_whole = || DTypeError::new_err(format!("{name}: wanted an integer, got {}", type_name(value)));
    if value.is_instance_of::<PyBool>() {
        return Err(not_whole());
    }
    let index = value.call_method0("__index__").map_err(|_| not_whole())?;
    if index.lt(0)? {
        return Err(InvalidValueError::new_err(format!("{name}: wanted 0 or more, got {value}")));
    }
    Ok(index.extract().unwrap_or(usize::MAX))
}

/// A seed: a Python integer of 64 bits.
pub fn seed(value: &Bound<'_, PyAny>, name: &'static str) -> PyResult<u64> {
    // What does not fit comes back as the largest, which would be another seed: so this one is refused as well.
    match u64::try_from(whole(value, name)?) {
        Ok(seed) if seed < u64::MAX => Ok(seed),
        _ => Err(InvalidValueError::new_err(format!("{name}: wanted 0 to 2**64 - 2, got {value}"))),
    }
}

/// The array itself if its memory can be read as numbers of type `T`. Not for subclasses: they may mean otherwise.
fn as_it_lies<'a, 'py, T: Element>(value: &'a Bound<'py, PyAny>) -> Option<&'a Bound<'py, PyArrayDyn<T>>> {
    let array = value.cast_exact::<PyUntypedArray>().ok()?;
    (array.is_c_contiguous() && array.is_aligned()).then(|| value.cast::<PyArrayDyn<T>>().ok()).flatten()
}

/// Whatever numpy makes of `value`, without changing its type.
pub fn as_array<'py>(value: &Bound<'py, PyAny>, name: &str) -> PyResult<Bound<'py, PyUntypedArray>> {
    static ASARRAY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = value.py();
    let array = ASARRAY.import(py, "numpy", "asarray")?.call1((value,)).map_err(|error| {
        // Ragged nested lists: numpy says so in its own words.
        if error.is_instance_of::<pyo3::exceptions::PyValueError>(py) {
            ShapeError::new_err(format!("{name}: {}", error.value(py)))
        } else {
            error
        }
    })?;
    Ok(array.cast_into()?)
}

/// `array` as a C-contiguous, aligned, native array of `T`: itself if it is one already, else a converted copy.
fn required<'py, T: Element>(array: &Bound<'py, PyUntypedArray>) -> PyResult<Bound<'py, PyArrayDyn<T>>> {
    static REQUIRE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = array.py();
    let dtype = numpy::dtype::<T>(py);
    Ok(REQUIRE.import(py, "numpy", "require")?.call1((array, dtype, ["C", "A"]))?.cast_into()?)
}

pub fn check_shape(name: &str, wanted: &[Axis], got: &[usize]) -> PyResult<()> {
    let fits = |(axis, &length): (&Axis, &usize)| match axis {
        Axis::Any(_) => true,
        Axis::Exactly(wanted) => *wanted == length,
    };
    if wanted.len() == got.len() && wanted.iter().zip(got).all(fits) {
        return Ok(());
    }
    let wanted = wanted.iter().map(|axis| match axis {
        Axis::Any(letter) => (*letter).to_owned(),
        Axis::Exactly(length) => length.to_string(),
    });
    let got = got.iter().map(usize::to_string);
    Err(ShapeError::new_err(format!("{name}: wanted shape {}, got {}", tuple(wanted), tuple(got))))
}

/// Writes a shape as Python does.
fn tuple(entries: impl ExactSizeIterator<Item = String>) -> String {
    let comma = if entries.len() == 1 { "," } else { "" };
    format!("({}{comma})", entries.collect::<Vec<_>>().join(", "))
}

pub fn wrong_dtype(name: &str, wanted: &str, array: &Bound<'_, PyUntypedArray>) -> PyErr {
    DTypeError::new_err(format!("{name}: wanted {wanted}, got {}", array.dtype()))
}

pub fn type_name(value: &Bound<'_, PyAny>) -> String {
    let class: Bound<'_, PyType> = value.get_type();
    class.name().map_or_else(|_| "another type".to_owned(), |name| name.to_string())
}
