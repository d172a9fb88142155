//! `hmem_fast.core.Associator`.

use std::convert::Infallible;

use hmem_core::associator::Associator as Core;
use hmem_core::codes::Codes;
use hmem_core::error::InputError;
use hmem_core::rows::Rows;
use numpy::PyArray2;
use pyo3::prelude::*;

use crate::answer::matrix;
use crate::convert::{self, Array, Axis};
use crate::error::IntoPyErr;
use crate::guard::Guard;
use crate::isa;
use crate::separator::code_shape;

type Matrix<'py, T> = Bound<'py, PyArray2<T>>;

/// Associate sparse codes: a cue brings back its target, and that the next one.
///
/// The network learns ``W = sum(weight * outer(target, cue))`` over codes as vectors of zeros and ones, and answers a cue with
/// the most active units (Hebb's rule). The matrix is never made: an association takes about 220 bytes instead of a share of a
/// gigabyte, and counts by its overlap with the cue:
///
/// ``strength[unit] = sum(weight * overlap**power)`` over the associations that have `unit` in their target and share
/// ``overlap >= theta`` units with the cue. With ``theta=1, power=1`` this is exactly ``W @ cue``.
///
/// What is answered depends on the associations that are held, and not on the order in which they were learned: strengths are
/// summed as integers. Any number of threads may recall while one learns or forgets: a recall works on what was held when it
/// began, and sees all of a call or nothing of it.
///
/// Parameters
/// ----------
/// n_units : int
///     Units there are, 1 to 65536.
/// n_active : int
///     Units of a code, 1 to 16384.
/// power : float
///     What overlaps are raised to, 0 to 16. Larger ones favour the closest association over the sum of many distant ones.
/// theta : int, optional
///     The least overlap that counts. Left out, it is the least one that random codes, as many as are held, are expected to reach
///     less than once in a thousand recalls; and where more than 64 associations reach that, the least that at most 64 do.
///
/// Attributes
/// ----------
/// n_units, n_active, power, theta
///     As above.
/// nbytes : int
///     Bytes held.
///
/// Raises
/// ------
/// InvalidValueError
///     If a number is outside its range.
///
/// Shapes
/// ------
/// cues, targets  (n, n_active)  int32, distinct units of each row in any order; -1 in places that nothing fills
///
/// References
/// ----------
/// D. Willshaw, O. Buneman, H. Longuet-Higgins, "Non-holographic associative memory", 1969; D. Krotov, J. Hopfield, "Dense
/// associative memory for pattern recognition", 2016 (powers of overlaps).
///
/// Examples
/// --------
/// >>> codes = index_codes(np.arange(4))
/// >>> associator = Associator()
/// >>> associator.learn(codes[:-1], codes[1:])
/// >>> (associator.recall(codes[:1], hops=3) == codes[3]).all()
/// np.True_
/// >>> associator.recall(codes[3:])[0, :3].tolist()  # leads nowhere
/// [-1, -1, -1]
/// >>> associator
/// Associator(n_units=16384, n_active=50, power=3, theta=None, n=3)
#[pyclass(frozen, module = "hmem_fast.core")]
pub struct Associator {
    core: Core,
    guard: Guard,
}

#[pymethods]
impl Associator {
    #[new]
    #[pyo3(signature = (n_units = None, n_active = None, power = 3.0, theta = None),
           text_signature = "(n_units=16384, n_active=50, power=3.0, theta=None)")]
    fn new(
        n_units: Option<&Bound<'_, PyAny>>,
        n_active: Option<&Bound<'_, PyAny>>,
        power: f64,
        theta: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let shape = code_shape(n_units, n_active)?;
        let theta = theta.map(|theta| convert::count(theta, "theta")).transpose()?;
        let core = Core::new(isa::chosen()?, shape, power, theta).map_err(IntoPyErr::into_py_err)?;
        Ok(Self { core, guard: Guard::default() })
    }

    /// Learn an association from each cue to its target; all of them or, after an error, none.
    ///
    /// What is learned twice counts twice.
    ///
    /// Parameters
    /// ----------
    /// cues, targets : (n, n_active) int32
    ///     Codes, at least one unit each.
    /// weights : (n,) float32, optional
    ///     How much each counts, above 0; 1 where they are left out.
    ///
    /// Raises
    /// ------
    /// ShapeError
    ///     If the shapes do not fit.
    /// InvalidValueError
    ///     For units outside the range, twice in a row, or none in a row, and for weights that are not above 0 or not finite.
    #[pyo3(signature = (cues, targets, weights = None))]
    fn learn(
        &self,
        py: Python<'_>,
        cues: &Bound<'_, PyAny>,
        targets: &Bound<'_, PyAny>,
        weights: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let (cues, targets) = (self.rows(cues, "cues")?, self.rows(targets, "targets")?);
        let (cues, targets) = (cues.rows()?, targets.rows()?);
        let weights =
            weights.map(|weights| convert::floats(weights, "weights", &[Axis::Any("n")])).transpose()?;
        let weights = weights.as_ref().map(Array::slice).transpose()?;
        self.guard.run(py, || {
            let (cues, targets) = (self.codes(cues, "cues")?, self.codes(targets, "targets")?);
            self.core.learn(&cues, &targets, weights)
        })
    }

    /// Forget one association for each row; all of them or, after an error, none.
    ///
    /// Of several that have exactly the cue and the target of a row, the one that was learned last is forgotten, whatever its
    /// weight.
    ///
    /// Parameters
    /// ----------
    /// cues, targets : (n, n_active) int32
    ///     Codes as they were learned; the order of units in a row does not matter.
    ///
    /// Raises
    /// ------
    /// UnknownIdError
    ///     If an association is not held, or fewer times than rows name it; the message names the first such row.
    /// ShapeError, InvalidValueError
    ///     As for `learn`.
    fn forget(&self, py: Python<'_>, cues: &Bound<'_, PyAny>, targets: &Bound<'_, PyAny>) -> PyResult<()> {
        let (cues, targets) = (self.rows(cues, "cues")?, self.rows(targets, "targets")?);
        let (cues, targets) = (cues.rows()?, targets.rows()?);
        self.guard.run(py, || {
            let (cues, targets) = (self.codes(cues, "cues")?, self.codes(targets, "targets")?);
            self.core.forget(&cues, &targets)
        })
    }

    /// Give the code that each cue leads to.
    ///
    /// Parameters
    /// ----------
    /// cues : (m, n_active) int32
    ///     Codes; a corrupted or partial one will do.
    /// hops : int
    ///     Recalls, 1 or more; each takes the answer of the one before for its cue.
    ///
    /// Returns
    /// -------
    /// (m, n_active) int32
    ///     The most active units, ascending (of equal ones the smaller), then -1 where fewer are active. A cue that no
    ///     association is close to, or a chain that ends before `hops`, gives -1 alone.
    ///
    /// Raises
    /// ------
    /// ShapeError
    ///     If the cues have another width.
    /// InvalidValueError
    ///     For units outside the range or twice in a row, and `hops` below 1.
    #[pyo3(signature = (cues, hops = None), text_signature = "($self, cues, hops=1)")]
    fn recall<'py>(
        &self,
        py: Python<'py>,
        cues: &Bound<'py, PyAny>,
        hops: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyArray2<i32>>> {
        let hops = hops.map_or(Ok(1), |hops| convert::count(hops, "hops"))?;
        let cues = self.rows(cues, "cues")?;
        let cues = cues.rows()?;
        let found =
            self.guard.run(py, || Ok::<_, InputError>(self.core.recall(&self.codes(cues, "cues")?, hops)))?;
        matrix(py, found, cues.len(), self.core.shape().n_active())
    }

    /// Give the units that each cue activates most, and how strongly.
    ///
    /// Where a cue has several targets, all of their units are active: more than a code has.
    ///
    /// Parameters
    /// ----------
    /// cues : (m, n_active) int32
    ///     Codes.
    /// k : int
    ///     Units a cue, 1 or more; above `n_units` it gives `n_units` columns.
    ///
    /// Returns
    /// -------
    /// units : (m, k) int32
    ///     Strongest first, of equal ones the smaller; -1 where fewer are active.
    /// strengths : (m, k) float32
    ///     Sums of ``weight * overlap**power``; 0 where fewer are active. Beyond the range of float32, its largest number.
    ///
    /// Raises
    /// ------
    /// ShapeError, InvalidValueError
    ///     As for `recall`.
    ///
    /// Examples
    /// --------
    /// >>> associator = Associator(n_units=9, n_active=2, power=1, theta=1)
    /// >>> associator.learn([[0, 1], [1, 2]], [[5, 6], [6, 7]], weights=[1.0, 10.0])
    /// >>> units, strengths = associator.activate([[0, 1]], k=4)
    /// >>> units.tolist(), strengths.tolist()
    /// ([[6, 7, 5, -1]], [[12.0, 10.0, 2.0, 0.0]])
    fn activate<'py>(
        &self,
        py: Python<'py>,
        cues: &Bound<'py, PyAny>,
        k: &Bound<'py, PyAny>,
    ) -> PyResult<(Matrix<'py, i32>, Matrix<'py, f32>)> {
        let k = convert::count(k, "k")?;
        let cues = self.rows(cues, "cues")?;
        let cues = cues.rows()?;
        let found =
            self.guard.run(py, || Ok::<_, InputError>(self.core.activate(&self.codes(cues, "cues")?, k)))?;
        let units = matrix(py, found.units, cues.len(), found.columns)?;
        Ok((units, matrix(py, found.strengths, cues.len(), found.columns)?))
    }

    /// Units there are.
    #[getter]
    fn n_units(&self) -> usize {
        self.core.shape().n_units()
    }

    /// Units of a code.
    #[getter]
    fn n_active(&self) -> usize {
        self.core.shape().n_active()
    }

    /// What overlaps are raised to.
    #[getter]
    fn power(&self) -> f64 {
        self.core.power()
    }

    /// The least overlap that counts; None where it is free.
    #[getter]
    fn theta(&self) -> Option<usize> {
        self.core.theta()
    }

    /// Bytes held.
    #[getter]
    fn nbytes(&self, py: Python<'_>) -> PyResult<usize> {
        self.guard.run(py, || Ok::<_, Infallible>(self.core.nbytes()))
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.guard.run(py, || Ok::<_, Infallible>(self.core.len()))
    }

    fn __repr__(&self) -> String {
        let (shape, power) = (self.core.shape(), self.core.power());
        let theta = self.core.theta().map_or("None".to_owned(), |theta| theta.to_string());
        format!(
            "Associator(n_units={}, n_active={}, power={power}, theta={theta}, n={})",
            shape.n_units(),
            shape.n_active(),
            self.core.len()
        )
    }
}

impl Associator {
    fn rows<'py>(&self, value: &Bound<'py, PyAny>, name: &'static str) -> PyResult<Array<'py, i32>> {
        convert::integer_rows(value, name, self.core.shape().n_active())
    }

    fn codes(&self, rows: Rows<'_, i32>, name: &'static str) -> Result<Codes, InputError> {
        Codes::new(name, rows, self.core.shape())
    }
}
