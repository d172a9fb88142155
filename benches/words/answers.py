"""Answers of two methods, held against each other."""

from __future__ import annotations

import numpy as np

__all__ = ["check_same", "overlap"]

_NEAR = 2e-6
"""Relative; bm25s adds up float32."""


def check_same(
    found: tuple[np.ndarray, np.ndarray], wanted: tuple[np.ndarray, np.ndarray], near: float = _NEAR
) -> None:
    """Hold the best scores of each query to those of the other method; where fewer rows have a score, they have 0.

    Raises
    ------
    AssertionError
        If one differs by more than float32's rounding.
    """
    scores, others = (np.where(np.isfinite(found), found, 0) for found in (found[1], wanted[1]))
    apart = np.abs(scores - others) > near * np.maximum(np.abs(scores), np.abs(others))
    assert not apart.any(), f"query {int(np.argwhere(apart)[0, 0])}: wanted {others[apart][0]}, got {scores[apart][0]}"


def overlap(rows: np.ndarray, others: np.ndarray) -> float:
    """Mean share of each query's rows that the other has too; -1 stands for none."""
    shares = [
        len(set(a) & set(b)) / max(len(set(b)), 1)
        for a, b in ((set(a) - {-1}, set(b) - {-1}) for a, b in zip(rows.tolist(), others.tolist(), strict=True))
    ]
    return float(np.mean(shares))
