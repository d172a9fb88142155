//! Calls into the core: the interpreter lock is released, a panic becomes an exception.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::prelude::*;

use crate::error::{InternalError, IntoPyErr};

/// Stands in each object that has state: after a panic the object refuses further use.
///
/// The core's structures hold locks, memory and mapped files only, so they work in a forked child; a structure that owns
/// threads would remember its process here and refuse use in another.
#[derive(Debug, Default)]
pub struct Guard {
    broken: AtomicBool,
}

impl Guard {
    /// Refuses an object that panicked.
    pub fn check(&self) -> PyResult<()> {
        if self.broken.load(Ordering::Acquire) {
            return Err(InternalError::new_err(
                "an earlier call failed inside the compiled core; the object refuses further use",
            ));
        }
        Ok(())
    }

    /// Runs `call` with the interpreter lock released.
    pub fn run<T, E>(&self, py: Python<'_>, call: impl FnOnce() -> Result<T, E> + Send) -> PyResult<T>
    where
        T: Send,
        E: IntoPyErr + Send,
    {
        self.check()?;
        caught(py, call).unwrap_or_else(|message| {
            self.broken.store(true, Ordering::Release);
            Err(InternalError::new_err(format!("{message}; the object refuses further use")))
        })
    }
}

/// Runs `call`, which belongs to no object, with the interpreter lock released.
pub fn run<T, E>(py: Python<'_>, call: impl FnOnce() -> Result<T, E> + Send) -> PyResult<T>
where
    T: Send,
    E: IntoPyErr + Send,
{
    caught(py, call).unwrap_or_else(|message| Err(InternalError::new_err(message)))
}

/// The outer error is a panic's message.
fn caught<T, E>(py: Python<'_>, call: impl FnOnce() -> Result<T, E> + Send) -> Result<PyResult<T>, String>
where
    T: Send,
    E: IntoPyErr + Send,
{
    // Whatever a panic left half done is never looked at again: `Guard` locks the object, a bare call has no state.
    py.detach(|| catch_unwind(AssertUnwindSafe(call)))
        .map(|result| result.map_err(IntoPyErr::into_py_err))
        .map_err(|panic| format!("a bug in the compiled core, please report it: {}", message(&*panic)))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a message")
}
