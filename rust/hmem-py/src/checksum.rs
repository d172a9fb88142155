//! `row_checksum`.

use hmem_core::checksum::RowChecksum;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyTuple};

/// Give the checksum of a row: the CRC-32 of its fields, each preceded by its length in decimal and a colon.
///
/// Parameters
/// ----------
/// *fields : str, bytes, int, float or None
///     Strings count as UTF-8, numbers as Python writes them, None as a single ``-`` without a length.
///
/// Returns
/// -------
/// int
///
/// Examples
/// --------
/// >>> import zlib
/// >>> row_checksum(7, "née", None) == zlib.crc32("1:74:née-".encode())
/// True
#[pyfunction]
#[pyo3(signature = (*fields))]
pub fn row_checksum(fields: &Bound<'_, PyTuple>) -> PyResult<u32> {
    let mut checksum = RowChecksum::default();
    for field in fields {
        if field.is_none() {
            checksum.missing();
        } else if let Ok(text) = field.cast::<PyString>() {
            checksum.field(text.to_str()?.as_bytes());
        } else if let Ok(bytes) = field.cast::<PyBytes>() {
            checksum.field(bytes.as_bytes());
        } else {
            checksum.field(field.repr()?.to_str()?.as_bytes());
        }
    }
    Ok(checksum.finish())
}
