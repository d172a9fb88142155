"""Centring and whitening, fitted to stored vectors, so that a `Separator` tells codes of real embeddings apart.

Embeddings of real texts have a common mean and vary far more in some directions than in others. So the same few units
respond to nearly all of them, and unrelated texts share active units. Subtracting the mean and giving all directions
the same variance undoes that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hmem_fast.errors import InvalidValueError, ShapeError
from hmem_fast.types import FloatArray

__all__ = ["Whitening"]


@dataclass(frozen=True, eq=False)
class Whitening:
    """A mean and a transform, for `hmem_fast.Separator`.

    ``(rows - mean) @ transform`` has nearly the same variance in all directions.

    Attributes
    ----------
    mean : (d,) float32
        The mean of the rows.
    transform : (d, d) float32
        Symmetric: the root of the inverse of their covariance, after `ridge` was added to it.

    References
    ----------
    A. Kessy, A. Lewin, K. Strimmer, "Optimal whitening and decorrelation", 2018 (ZCA whitening).

    Examples
    --------
    >>> from hmem_fast import Separator
    >>> rows = np.random.default_rng(0).standard_normal((500, 8)).astype(np.float32) + 3
    >>> fitted = Whitening.fit(rows)
    >>> separator = Separator(8, n_units=1000, mean=fitted.mean, transform=fitted.transform)
    >>> separator.separate(rows[:2]).shape
    (2, 50)
    """

    mean: FloatArray
    transform: FloatArray

    @classmethod
    def fit(cls, rows: ArrayLike, ridge: float = 0.01) -> Whitening:
        """Fit to rows: with the covariance ``C``, ``transform = (C + ridge * trace(C) / d * I) ** -0.5``.

        Parameters
        ----------
        rows : (n, d) float32
            Vectors of the kind that will be separated; some thousands are enough.
        ridge : float
            Variance that is added in all directions, as a part of the mean variance; above 0. It limits how far a
            direction is drawn out in which the rows hardly vary; with fewer rows than directions, there are such.

        Raises
        ------
        ShapeError
            If `rows` is no matrix, or has no rows.
        InvalidValueError
            For NaN, infinities, rows that are all the same, and a `ridge` that is not above 0 and finite.
        """
        wide = np.asarray(rows, dtype=np.float64)
        if wide.ndim != 2 or wide.size == 0:
            raise ShapeError(f"rows: wanted shape (n, d) with at least one row, got {wide.shape}")
        if not np.isfinite(wide).all():
            raise InvalidValueError("rows: wanted finite numbers, got NaN or an infinity")
        if not 0 < ridge < np.inf:
            raise InvalidValueError(f"ridge: wanted a finite number above 0, got {ridge}")
        mean = wide.mean(axis=0)
        centred = wide - mean
        covariance = centred.T @ centred / len(centred)
        added = ridge * np.trace(covariance) / len(covariance)
        if not added > 0:
            raise InvalidValueError("rows: wanted rows that differ, got the same row again and again")
        variances, directions = np.linalg.eigh(covariance)
        transform = directions * (np.maximum(variances, 0) + added) ** -0.5 @ directions.T
        return cls(mean.astype(np.float32), transform.astype(np.float32))

    def __repr__(self) -> str:
        return f"Whitening(d={len(self.mean)})"
