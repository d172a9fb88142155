"""What a ranking is worth, given which items are evidence. Pure functions of ranks.

A rank is the 1-based place of an evidence item in the ranking, or None where the ranking does not hold it. A question
has one rank for each of its evidence items; their order does not matter.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from hmem_fast.errors import InvalidValueError

__all__ = [
    "Ranks",
    "confidence_interval",
    "distinct",
    "hit_at",
    "mean",
    "percentiles",
    "ranks_of",
    "recall_all_at",
    "recall_at",
    "reciprocal_rank",
]

Ranks = Sequence[int | None]
_Item = TypeVar("_Item", bound=Hashable)


def ranks_of(evidence: Iterable[Hashable], ranking: Iterable[Hashable]) -> tuple[int | None, ...]:
    """Give the rank of each evidence item.

    Raises
    ------
    InvalidValueError
        If there is no evidence, or the ranking holds an item twice.
    """
    places: dict[Hashable, int] = {}
    for place, item in enumerate(ranking, 1):
        if item in places:
            raise InvalidValueError(f"ranking: wanted each item once, got {item!r} at {places[item]} and {place}")
        places[item] = place
    ranks = tuple(places.get(item) for item in evidence)
    _check(ranks)
    return ranks


def recall_at(ranks: Ranks, k: int) -> float:
    """Fraction of the evidence among the first `k`.

    Examples
    --------
    >>> recall_at([1, 4, None], k=4)
    0.6666666666666666
    """
    _check(ranks)
    return sum(_within(ranks, k)) / len(ranks)


def hit_at(ranks: Ranks, k: int) -> float:
    """1 if any evidence item is among the first `k`, else 0."""
    _check(ranks)
    return float(any(_within(ranks, k)))


def recall_all_at(ranks: Ranks, k: int) -> float:
    """1 if all evidence items are among the first `k`, else 0."""
    _check(ranks)
    return float(all(_within(ranks, k)))


def reciprocal_rank(ranks: Ranks) -> float:
    """1 over the best rank; 0 if no evidence item was ranked.

    Examples
    --------
    >>> reciprocal_rank([None, 4, 8])
    0.25
    """
    _check(ranks)
    return max((1.0 / rank for rank in ranks if rank is not None), default=0.0)


def distinct(items: Iterable[_Item]) -> list[_Item]:
    """Each item once, where it stands first: turns become sessions, each as good as its best turn."""
    return list(dict.fromkeys(items))


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean.

    Raises
    ------
    InvalidValueError
        If there are no values: such a mean is left out of a result, not invented.
    """
    if not values:
        raise InvalidValueError("values: wanted at least one, got none")
    return float(np.mean(values, dtype=np.float64))


def confidence_interval(values: ArrayLike, *, seed: int, rounds: int = 2000) -> list[float]:
    """Interval of 95 % around the mean, by the bootstrap: percentiles of the means of samples drawn with replacement.

    Give differences of pairs for a paired interval.

    References
    ----------
    B. Efron, R. Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.

    Examples
    --------
    >>> confidence_interval([0.5] * 10, seed=0)
    [0.5, 0.5]
    """
    array = np.asarray(values, dtype=np.float64)
    if not array.size:
        raise InvalidValueError("values: wanted at least one, got none")
    rng = np.random.default_rng(seed)
    means = [array[rng.integers(len(array), size=len(array))].mean() for _ in range(rounds)]
    low, high = np.percentile(means, [2.5, 97.5])
    return [float(low), float(high)]


def percentiles(values: Sequence[float]) -> Mapping[str, float]:
    """Median and 99th percentile, as ``{"p50", "p99"}``."""
    if not values:
        raise InvalidValueError("values: wanted at least one, got none")
    p50, p99 = np.percentile(np.asarray(values, dtype=np.float64), [50, 99])
    return {"p50": float(p50), "p99": float(p99)}


def _within(ranks: Ranks, k: int) -> list[bool]:
    if k < 1:
        raise InvalidValueError(f"k: wanted at least 1, got {k}")
    return [rank is not None and rank <= k for rank in ranks]


def _check(ranks: Ranks) -> None:
    if not ranks:
        raise InvalidValueError("ranks: wanted at least one evidence item, got none")
