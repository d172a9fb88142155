//! The core's errors as the exceptions of `hmem_fast.errors`. The only file that knows both.

use hmem_core::error::{
    AddError, AssociationError, EncoderError, IdError, InputError, IsaError as CoreIsaError, LinkError,
    SeedError, SnapshotError as CoreSnapshotError, TokenizerError,
};
use pyo3::PyErr;
use pyo3::import_exception;

import_exception!(hmem_fast.errors, DTypeError);
import_exception!(hmem_fast.errors, DuplicateIdError);
import_exception!(hmem_fast.errors, InternalError);
import_exception!(hmem_fast.errors, InvalidValueError);
import_exception!(hmem_fast.errors, IsaError);
import_exception!(hmem_fast.errors, ModelError);
import_exception!(hmem_fast.errors, ShapeError);
import_exception!(hmem_fast.errors, SnapshotError);
import_exception!(hmem_fast.errors, StoreIOError);
import_exception!(hmem_fast.errors, UnknownIdError);

/// An error of the core that has an exception.
pub trait IntoPyErr: Sized {
    /// The exception.
    fn into_py_err(self) -> PyErr;
}

impl IntoPyErr for PyErr {
    fn into_py_err(self) -> PyErr {
        self
    }
}

/// For calls that cannot fail.
impl IntoPyErr for std::convert::Infallible {
    fn into_py_err(self) -> PyErr {
        match self {}
    }
}

impl IntoPyErr for InputError {
    fn into_py_err(self) -> PyErr {
        let message = self.to_string();
        match self {
            Self::Width { .. } | Self::Length { .. } | Self::Offsets { .. } => ShapeError::new_err(message),
            // NotFinite, ZeroRow, Range: the shape is right, a value is not.
            _ => InvalidValueError::new_err(message),
        }
    }
}

impl IntoPyErr for IdError {
    fn into_py_err(self) -> PyErr {
        let message = self.to_string();
        match self {
            Self::Duplicate { .. } | Self::Repeated { .. } => DuplicateIdError::new_err(message),
            Self::Unknown { .. } => UnknownIdError::new_err(message),
            Self::Count { .. } => ShapeError::new_err(message),
            // Negative, Exhausted
            _ => InvalidValueError::new_err(message),
        }
    }
}

impl IntoPyErr for AddError {
    fn into_py_err(self) -> PyErr {
        match self {
            Self::Input(error) => error.into_py_err(),
            Self::Id(error) => error.into_py_err(),
            error => InternalError::new_err(error.to_string()),
        }
    }
}

impl IntoPyErr for LinkError {
    fn into_py_err(self) -> PyErr {
        let message = self.to_string();
        match self {
            Self::Input(error) => error.into_py_err(),
            Self::Unknown { .. } => UnknownIdError::new_err(message),
            Self::Repeated { .. } => DuplicateIdError::new_err(message),
            _ => InternalError::new_err(message),
        }
    }
}

impl IntoPyErr for SeedError {
    fn into_py_err(self) -> PyErr {
        match self {
            Self::Input(error) => error.into_py_err(),
            Self::Id(error) => error.into_py_err(),
            error => InternalError::new_err(error.to_string()),
        }
    }
}

impl IntoPyErr for AssociationError {
    fn into_py_err(self) -> PyErr {
        match self {
            Self::Input(error) => error.into_py_err(),
            Self::Unknown { .. } => UnknownIdError::new_err(self.to_string()),
            // Id: rows are removed by ids that were just looked up.
            error => InternalError::new_err(error.to_string()),
        }
    }
}

impl IntoPyErr for CoreIsaError {
    fn into_py_err(self) -> PyErr {
        IsaError::new_err(self.to_string())
    }
}

impl IntoPyErr for CoreSnapshotError {
    fn into_py_err(self) -> PyErr {
        let message = self.to_string();
        match self {
            Self::Io { .. } => StoreIOError::new_err(message),
            _ => SnapshotError::new_err(message),
        }
    }
}

impl IntoPyErr for TokenizerError {
    fn into_py_err(self) -> PyErr {
        let message = self.to_string();
        match self {
            Self::MaxLength { .. } => InvalidValueError::new_err(message),
            // Unreadable, Text: the model's file is to blame.
            _ => ModelError::new_err(message),
        }
    }
}

impl IntoPyErr for EncoderError {
    fn into_py_err(self) -> PyErr {
        match self {
            Self::Tokenizer(error) => error.into_py_err(),
            // Io, Model
            error => ModelError::new_err(error.to_string()),
        }
    }
}
