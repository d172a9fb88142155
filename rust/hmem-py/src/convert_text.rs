//! Arguments that are text, and the options that go with it.

use std::fmt::{Arguments, Display};

use hmem_core::sparse::bm25::Bm25;
use hmem_core::text::{Analyzer, StopWords};
use pyo3::exceptions::{PyOverflowError, PyUnicodeEncodeError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyString};

use crate::convert::type_name;
use crate::error::{DTypeError, IntoPyErr, InvalidValueError};

/// One text.
pub fn text(value: &Bound<'_, PyAny>, name: impl Display) -> PyResult<String> {
    let text = value
        .cast::<PyString>()
        .map_err(|_| DTypeError::new_err(format!("{name}: wanted a string, got {}", type_name(value))))?;
    match text.to_str() {
        Ok(text) => Ok(text.to_owned()),
        Err(error) if error.is_instance_of::<PyUnicodeEncodeError>(value.py()) => {
            let at: usize = error.value(value.py()).getattr("start")?.extract()?;
            Err(InvalidValueError::new_err(format!(
                "{name}: a lone surrogate at position {at} (it is no valid Unicode)"
            )))
        }
        Err(error) => Err(error),
    }
}

/// Several texts, from any iterable but a string.
pub fn texts(value: &Bound<'_, PyAny>, name: &str) -> PyResult<Vec<String>> {
    each_text(value, name, |item, name| text(item, name))
}

/// As [`texts`], each of them read by `read`, which gets its name.
pub fn each_text(
    value: &Bound<'_, PyAny>,
    name: &str,
    read: impl Fn(&Bound<'_, PyAny>, Arguments<'_>) -> PyResult<String>,
) -> PyResult<Vec<String>> {
    let not_texts =
        || DTypeError::new_err(format!("{name}: wanted strings in a sequence, got {}", type_name(value)));
    if value.is_instance_of::<PyString>() || value.is_instance_of::<PyBytes>() {
        return Err(not_texts());
    }
    let items = value.try_iter().map_err(|_| not_texts())?;
    items.enumerate().map(|(i, item)| read(&item?, format_args!("{name}[{i}]"))).collect()
}

/// A float, from any real number.
pub fn number(value: &Bound<'_, PyAny>, name: &str) -> PyResult<f64> {
    let wanted = || format!("{name}: wanted a number, got {}", type_name(value));
    if value.is_instance_of::<PyBool>() || !value.hasattr("__float__")? {
        return Err(DTypeError::new_err(wanted()));
    }
    value.extract().map_err(|error: PyErr| {
        if error.is_instance_of::<PyOverflowError>(value.py()) {
            InvalidValueError::new_err(format!("{name}: {value} is outside the range of float64"))
        } else {
            DTypeError::new_err(wanted())
        }
    })
}

/// An analyzer by its name ("english" where none is given), with the given stop words or its own.
pub fn analyzer(
    name: Option<&Bound<'_, PyAny>>,
    stop_words: Option<&Bound<'_, PyAny>>,
) -> PyResult<Analyzer> {
    let stop_words = match stop_words {
        None => StopWords::Own,
        Some(words) => StopWords::Given(texts(words, "stop_words")?),
    };
    let name = name.map_or(Ok("english".to_owned()), |name| text(name, "analyzer"))?;
    Analyzer::new(&name, &stop_words).map_err(IntoPyErr::into_py_err)
}

/// The parameters of BM25, each with a default.
pub fn bm25(
    k1: Option<&Bound<'_, PyAny>>,
    default_k1: f64,
    b: Option<&Bound<'_, PyAny>>,
    default_b: f64,
) -> PyResult<Bm25> {
    let k1 = k1.map_or(Ok(default_k1), |k1| number(k1, "k1"))?;
    let b = b.map_or(Ok(default_b), |b| number(b, "b"))?;
    Bm25::new(k1, b).map_err(IntoPyErr::into_py_err)
}
