//! `hmem_fast.core.Separator` and `index_codes`.

use std::convert::Infallible;

use hmem_core::codes::{self, CodeShape};
use hmem_core::separator::Separator as Core;
use numpy::PyArray2;
use pyo3::prelude::*;

use crate::answer::matrix;
use crate::convert::{self, Array, Axis};
use crate::error::IntoPyErr;
use crate::guard::{self, Guard};
use crate::isa;

/// Turn vectors into sparse codes: the units that respond to a vector most.
///
/// A unit responds to a row by its inner product with a random pattern of signs, and the `n_active` units of the largest
/// responses are the row's code (winner take all). Similar rows share units, but fewer than their cosine would say: of 50,
/// rows at a cosine of .9 share about 24, at .5 about 4, unrelated ones 0.15. So codes of similar rows can be told apart.
///
/// A code depends on the row's direction, the parameters and the seed alone, and is the same on every CPU. Of units that
/// respond equally, the smaller ones win.
///
/// Rows that have much in common (real embeddings do) make the same few units fire: subtract their mean, or whiten them
/// (`hmem_fast.whitening`).
///
/// Parameters
/// ----------
/// dim : int
///     Width of the rows, 1 to 16384.
/// n_units : int
///     Units there are, 1 to 65536.
/// n_active : int
///     Units of a code, 1 to `n_units`.
/// seed : int
///     Which random patterns, 0 to 2**64 - 2.
/// mean : (dim,) float32, optional
///     Subtracted from each row.
/// transform : (dim, dim) float32, optional
///     Multiplied from the right: what is separated is ``(row - mean) @ transform``.
///
/// Attributes
/// ----------
/// dim, n_units, n_active, seed : int
///     As above.
///
/// Raises
/// ------
/// InvalidValueError
///     If a number is outside its range, or `mean` or `transform` holds NaN, an infinity, or (`transform`) zeros alone.
/// ShapeError
///     If `mean` or `transform` has another shape.
///
/// References
/// ----------
/// S. Dasgupta, C. Stevens, S. Navlakha, "A neural algorithm for a fundamental computing problem", 2017; N. Ailon,
/// B. Chazelle, "The fast Johnson-Lindenstrauss transform and approximate nearest neighbors", 2009.
///
/// Examples
/// --------
/// >>> separator = Separator(3, n_units=1000, n_active=5)
/// >>> codes = separator.separate(np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0]], dtype=np.float32))
/// >>> codes.shape, (codes[0] == codes[1]).all()
/// ((2, 5), np.True_)
/// >>> separator
/// Separator(dim=3, n_units=1000, n_active=5, seed=0)
#[pyclass(frozen, module = "hmem_fast.core")]
pub struct Separator {
    core: Core,
    seed: u64,
    guard: Guard,
}

#[pymethods]
impl Separator {
    #[new]
    #[pyo3(signature = (dim, n_units = None, n_active = None, seed = None, *, mean = None, transform = None),
           text_signature = "(dim, n_units=16384, n_active=50, seed=0, *, mean=None, transform=None)")]
    fn new(
        dim: &Bound<'_, PyAny>,
        n_units: Option<&Bound<'_, PyAny>>,
        n_active: Option<&Bound<'_, PyAny>>,
        seed: Option<&Bound<'_, PyAny>>,
        mean: Option<&Bound<'_, PyAny>>,
        transform: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let dim = convert::count(dim, "dim")?;
        let shape = code_shape(n_units, n_active)?;
        let seed = seed.map_or(Ok(0), |seed| convert::seed(seed, "seed"))?;
        let mean = mean.map(|mean| convert::floats(mean, "mean", &[Axis::Exactly(dim)])).transpose()?;
        let wanted = [Axis::Exactly(dim), Axis::Exactly(dim)];
        let transform = transform.map(|matrix| convert::floats(matrix, "transform", &wanted)).transpose()?;
        let mean = mean.as_ref().map(Array::slice).transpose()?;
        let transform = transform.as_ref().map(Array::rows).transpose()?;
        let core = Core::new(isa::chosen()?, dim, shape, seed, mean, transform);
        Ok(Self { core: core.map_err(IntoPyErr::into_py_err)?, seed, guard: Guard::default() })
    }

    /// Give the code of each row.
    ///
    /// Parameters
    /// ----------
    /// rows : (n, dim) float32
    ///     The vectors; their lengths do not matter.
    ///
    /// Returns
    /// -------
    /// (n, n_active) int32
    ///     The units of each row, ascending.
    ///
    /// Raises
    /// ------
    /// ShapeError
    ///     If the rows have another width.
    /// InvalidValueError
    ///     For NaN, infinities, and rows without a direction: zeros, or of which `mean` and `transform` leave nothing else.
    fn separate<'py>(
        &self,
        py: Python<'py>,
        rows: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyArray2<i32>>> {
        let rows = convert::floats(rows, "rows", &[Axis::Any("n"), Axis::Exactly(self.core.dim())])?;
        let rows = rows.rows()?;
        let codes = self.guard.run(py, || self.core.separate(rows))?;
        matrix(py, codes, rows.len(), self.core.shape().n_active())
    }

    /// Width of the rows.
    #[getter]
    fn dim(&self) -> usize {
        self.core.dim()
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

    /// Which random patterns.
    #[getter]
    fn seed(&self) -> u64 {
        self.seed
    }

    fn __repr__(&self) -> String {
        let (dim, shape, seed) = (self.core.dim(), self.core.shape(), self.seed);
        format!(
            "Separator(dim={dim}, n_units={}, n_active={}, seed={seed})",
            shape.n_units(),
            shape.n_active()
        )
    }
}

/// Draw a random sparse code for each id.
///
/// Index codes owe nothing to what an id stands for. Unrelated ones share 0.15 of 50 units on average, so an `Associator`
/// tells a hundred thousand of them apart, hop after hop, where codes of similar vectors run into each other.
///
/// Parameters
/// ----------
/// ids : (n,) int64
///     Any integers.
/// n_units : int
///     Units there are, 1 to 65536.
/// n_active : int
///     Units of a code, 1 to `n_units`.
/// seed : int
///     Another one gives other codes; 0 to 2**64 - 2.
///
/// Returns
/// -------
/// (n, n_active) int32
///     Distinct units of each id, ascending. They depend on the id, `n_units`, `n_active` and the seed alone, and are the same
///     on every machine.
///
/// Raises
/// ------
/// InvalidValueError
///     If a number is outside its range.
///
/// References
/// ----------
/// T. Teyler, P. DiScenna, "The hippocampal memory indexing theory", 1986.
///
/// Examples
/// --------
/// >>> codes = index_codes([7, 8], n_units=1000, n_active=4)
/// >>> codes.shape
/// (2, 4)
/// >>> (index_codes([8], n_units=1000, n_active=4) == codes[1:]).all()
/// np.True_
#[pyfunction]
#[pyo3(signature = (ids, n_units = None, n_active = None, seed = None),
       text_signature = "(ids, n_units=16384, n_active=50, seed=0)")]
pub fn index_codes<'py>(
    py: Python<'py>,
    ids: &Bound<'py, PyAny>,
    n_units: Option<&Bound<'py, PyAny>>,
    n_active: Option<&Bound<'py, PyAny>>,
    seed: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyArray2<i32>>> {
    let shape = code_shape(n_units, n_active)?;
    let seed = seed.map_or(Ok(0), |seed| convert::seed(seed, "seed"))?;
    let ids = convert::integers::<i64>(ids, "ids")?;
    let ids = ids.slice()?;
    let found = guard::run(py, || Ok::<_, Infallible>(codes::index_codes(ids, shape, seed)))?;
    matrix(py, found, ids.len(), shape.n_active())
}

/// The arguments `n_units` and `n_active`, and their defaults.
pub fn code_shape(
    n_units: Option<&Bound<'_, PyAny>>,
    n_active: Option<&Bound<'_, PyAny>>,
) -> PyResult<CodeShape> {
    let n_units = n_units.map_or(Ok(16_384), |n_units| convert::count(n_units, "n_units"))?;
    let n_active = n_active.map_or(Ok(50), |n_active| convert::count(n_active, "n_active"))?;
    CodeShape::new(n_units, n_active).map_err(IntoPyErr::into_py_err)
}
