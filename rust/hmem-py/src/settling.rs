//! How cues settle, from the arguments that `DenseIndex.complete` and `TraceIndex.complete` share.

use hmem_core::completion::Settling;
use pyo3::prelude::*;

use crate::convert;
use crate::convert_text::number;
use crate::error::IntoPyErr;

/// Patterns that a cue settles among, unless the caller says otherwise.
const K: usize = 20;

/// What an update draws to one pattern alone among real embeddings, and to their mean where they are as good as equal.
const BETA: f64 = 64.0;

const STEPS: usize = 3;

/// `k`, and how to settle; what is not given is 20, 64 and 3.
pub fn arguments(
    k: Option<&Bound<'_, PyAny>>,
    beta: Option<&Bound<'_, PyAny>>,
    steps: Option<&Bound<'_, PyAny>>,
) -> PyResult<(usize, Settling)> {
    let k = k.map_or(Ok(K), |k| convert::count(k, "k"))?;
    let beta = beta.map_or(Ok(BETA), |beta| number(beta, "beta"))?;
    let steps = steps.map_or(Ok(STEPS), |steps| convert::whole(steps, "steps"))?;
    Ok((k, Settling::new(beta, steps).map_err(IntoPyErr::into_py_err)?))
}
