import numpy as np
import pytest

from hmem_fast.core import Separator
from hmem_fast.errors import HmemError, InvalidValueError, ShapeError
from hmem_fast.whitening import Whitening


def skewed(n, d=32, seed=0):
    """Rows with a common mean, a few strong directions and many weak ones."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).standard_normal((d, d)) * np.geomspace(3, 0.05, d)
    return (rng.standard_normal((n, d)) @ mixing.T + 2).astype(np.float32)


def test_whitened_rows_have_no_mean_and_the_same_variance_everywhere():
    rows = skewed(5000)
    fitted = Whitening.fit(rows, ridge=1e-6)
    assert fitted.mean.dtype == fitted.transform.dtype == np.float32
    np.testing.assert_allclose(fitted.transform, fitted.transform.T, rtol=1e-3, atol=1e-5)
    white = (rows - fitted.mean).astype(np.float64) @ fitted.transform
    np.testing.assert_allclose(white.mean(axis=0), 0, atol=1e-2)
    np.testing.assert_allclose(np.cov(white.T), np.eye(32), atol=0.02)


def test_the_ridge_is_the_one_that_is_documented():
    rows = skewed(300).astype(np.float64)
    covariance = np.cov(rows.T, bias=True)
    fitted = Whitening.fit(rows, ridge=0.1)
    inverse = np.linalg.inv(covariance + 0.1 * np.trace(covariance) / 32 * np.eye(32))
    np.testing.assert_allclose(fitted.transform @ fitted.transform, inverse, rtol=1e-3, atol=1e-4)


def test_codes_of_unrelated_rows_are_told_apart():
    rows = skewed(2000)
    fitted = Whitening.fit(rows)
    shared = {}
    for name, options in {"raw": {}, "white": {"mean": fitted.mean, "transform": fitted.transform}}.items():
        codes = Separator(32, n_units=4096, n_active=20, **options).separate(rows[:400])
        shared[name] = np.mean([len(np.intersect1d(a, b)) for a, b in zip(codes[::2], codes[1::2], strict=True)])
    # 20 of 4,096 units share 0.1 on average if they are drawn at random.
    assert shared["white"] < 0.5
    assert shared["raw"] > 3 * shared["white"]


def test_fewer_rows_than_directions_will_do():
    fitted = Whitening.fit(skewed(5))
    assert np.isfinite(fitted.transform).all()


@pytest.mark.parametrize(
    ("rows", "ridge", "error", "name"),
    [
        (np.ones(3), 0.1, ShapeError, "rows"),
        (np.ones((0, 3)), 0.1, ShapeError, "rows"),
        (np.ones((4, 3)), 0.1, InvalidValueError, "rows"),
        (np.array([[1.0, np.nan], [0.0, 1.0]]), 0.1, InvalidValueError, "rows"),
        (np.eye(3), 0.0, InvalidValueError, "ridge"),
        (np.eye(3), np.nan, InvalidValueError, "ridge"),
    ],
)
def test_what_cannot_be_whitened_is_refused(rows, ridge, error, name):
    with pytest.raises(error, match=f"^{name}") as raised:
        Whitening.fit(rows, ridge)
    assert isinstance(raised.value, HmemError)
