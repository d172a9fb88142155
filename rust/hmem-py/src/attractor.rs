//! `hmem_fast.core.energy` and `settle`.

use hmem_core::attractor::{self, Pool};
use numpy::PyArray1;
use pyo3::prelude::*;

use crate::answer;
use crate::convert::{self, Axis};
use crate::guard;
use crate::isa;

/// Pool the scores of each group: ``(1/beta) * log(sum(exp(beta * s)))``.
///
/// This is the Hopfield energy with its sign turned, so that larger is closer. It lies between the largest score of the
/// group and that plus ``log(count) / beta``, so that many scores of a kind are worth more than one. With ``mean=True`` the
/// mean stands in place of the sum: how many there are does not count, and the answer lies between the mean of the scores
/// and the largest. The largest score is subtracted before `exp`, so nothing overflows; sums are taken in float64 and are
/// the same on every CPU. Scores of ``-inf`` (places without a hit) add nothing and are not counted.
///
/// Parameters
/// ----------
/// scores : (t,) float32
///     Similarities, group after group.
/// offsets : (g + 1,) int64
///     Group ``i`` owns ``scores[offsets[i]:offsets[i + 1]]``.
/// beta : float
///     Inverse temperature, above 0. Infinity gives the largest score.
/// mean : bool
///     Whether the mean of the powers is taken instead of their sum.
///
/// Returns
/// -------
/// (g,) float32
///     One energy a group; ``-inf`` for an empty group.
///
/// Raises
/// ------
/// InvalidValueError
///     If `beta` is not above 0, or a score is NaN or infinity.
/// ShapeError
///     If `offsets` do not ascend from 0 to ``len(scores)``.
///
/// References
/// ----------
/// H. Ramsauer et al., "Hopfield Networks is All You Need", 2020 (arXiv:2008.02217), equation 1.
///
/// Examples
/// --------
/// >>> scores = np.array([0.9, 0.1, 0.5], dtype=np.float32)
/// >>> energy(scores, [0, 2, 3], beta=float("inf")).tolist() == scores[[0, 2]].tolist()
/// True
/// >>> energy([0.0, 0.0], [0, 2], beta=1.0).round(3).tolist() == [np.float32(np.log(2)).round(3)]
/// True
/// >>> energy([0.5, 0.5, 0.5], [0, 1, 3], beta=8.0, mean=True)
/// array([0.5, 0.5], dtype=float32)
#[pyfunction]
#[pyo3(signature = (scores, offsets, beta, *, mean = false))]
pub fn energy<'py>(
    py: Python<'py>,
    scores: &Bound<'py, PyAny>,
    offsets: &Bound<'py, PyAny>,
    beta: f64,
    mean: bool,
) -> PyResult<Bound<'py, PyArray1<f32>>> {
    let scores = convert::floats(scores, "scores", &[Axis::Any("t")])?;
    let offsets = convert::integers::<i64>(offsets, "offsets")?;
    let (scores, offsets) = (scores.slice()?, offsets.slice()?);
    let (isa, pool) = (isa::chosen()?, if mean { Pool::Mean } else { Pool::Sum });
    let energies = guard::run(py, || attractor::energies(isa, scores, offsets, beta, pool))?;
    Ok(PyArray1::from_iter(py, energies.into_iter().map(convert::narrowed)))
}

/// Move a cue to the stored patterns that it resembles.
///
/// Repeats ``x = normalise(P.T @ softmax(beta * P @ x))``, the update of the modern Hopfield network, where the rows of
/// ``P`` are the patterns scaled to unit length. With a large `beta` the cue comes to rest on the closest pattern, with a
/// small one on a mean of several. It completes a pattern; it does not rank: every cue ends near *some* pattern, also one
/// that resembles none, so take scores from a search. An update compares and sums in float32, the energy is computed in
/// float64 (error bounds: docs/numerics.md); every CPU gives the same bits.
///
/// Parameters
/// ----------
/// cue : (d,) float32
///     Where to start; scaled to unit length first.
/// patterns : (n, d) float32
///     At least one row; scaled to unit length first.
/// beta : float
///     Inverse temperature, above 0.
/// steps : int
///     Updates at most. It stops early where an update changes nothing, where two updates lead back, and where the weighted
///     mean of the patterns is zero.
///
/// Returns
/// -------
/// Settled
///     The state, its energy over the patterns, and the updates that were made.
///
/// Raises
/// ------
/// ShapeError
///     If the two widths differ.
/// InvalidValueError
///     For a zero cue or pattern, no patterns, NaN, infinities, or `beta` not above 0.
///
/// References
/// ----------
/// H. Ramsauer et al., "Hopfield Networks is All You Need", 2020 (arXiv:2008.02217), equation 3.
///
/// Examples
/// --------
/// >>> settle([0.2, 0.9], np.eye(2, dtype=np.float32), beta=50.0, steps=3).vector.round(3)
/// array([0., 1.], dtype=float32)
#[pyfunction]
pub fn settle<'py>(
    py: Python<'py>,
    cue: &Bound<'py, PyAny>,
    patterns: &Bound<'py, PyAny>,
    beta: f64,
    steps: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let cue = convert::floats(cue, "cue", &[Axis::Any("d")])?;
    let patterns = convert::floats(patterns, "patterns", &[Axis::Any("n"), Axis::Exactly(cue.len())])?;
    let steps = convert::whole(steps, "steps")?;
    let (cue, patterns) = (cue.slice()?, patterns.rows()?);
    let isa = isa::chosen()?;
    let settled = guard::run(py, || attractor::settle(isa, cue, patterns, beta, steps))?;
    answer::settled(py, settled)
}
