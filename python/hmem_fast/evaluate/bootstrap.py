"""How far a mean over questions may be off."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hmem_fast.errors import InvalidValueError

__all__ = ["mean_interval"]

_RESAMPLES = 10_000


def mean_interval(values: Sequence[float], *, seed: int) -> list[float]:
    """95 % interval of the mean, by the percentile bootstrap: [low, high].

    Questions are drawn with replacement, 10,000 times. The same number of values and the same seed draw the same
    questions, so values of two methods are paired by giving their differences.

    Examples
    --------
    >>> mean_interval([0.5, 0.5, 0.5], seed=0)
    [0.5, 0.5]
    """
    if not values:
        raise InvalidValueError("values: wanted at least one, got none")
    drawn = np.random.default_rng(seed).integers(len(values), size=(_RESAMPLES, len(values)))
    means = np.asarray(values, dtype=np.float64)[drawn].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return [float(low), float(high)]
