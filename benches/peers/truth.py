"""What is right: a float64 scan over all rows, and how an answer compares with it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from benches.peers.cache import digest, hash_of, kept
from benches.peers.data_sets import DataSet

__all__ = ["Truth", "first_wrong", "recall", "true_scores", "truth_of"]

ROUNDING = 1e-13
"""Scores nearer than this are ties.

A float64 sum of 384 products of unit rows may be wrong by 384 · 2⁻⁵³ ≈ 4.3e-14, so two float64 scans that add in
another order may order rows differently whose scores are nearer than twice that. Float32 sums are wrong by some 1e-8:
no error of theirs is forgiven.
"""

_BLOCK = 20_000
_SPARE = 32
"""Candidates kept beyond the wanted, for what dgemm's rounding may put in another order."""


@dataclass(frozen=True)
class Truth:
    """The true nearest rows of each query.

    Shapes
    ------
    ids     (m, k + 1)  best first
    scores  (m, k + 1)  float64, correctly rounded
    """

    ids: np.ndarray
    scores: np.ndarray

    @property
    def k(self) -> int:
        """How many rows are asked for; one more is kept to see the gap behind them."""
        return int(self.ids.shape[1]) - 1

    @property
    def gap(self) -> float:
        """Median over queries of what lies between the score at rank k and the next."""
        return float(np.median(self.scores[:, -2] - self.scores[:, -1]))

    def first(self, queries: int) -> Truth:
        """Give the truth about the first queries alone."""
        return Truth(self.ids[:queries], self.scores[:queries])


def truth_of(data: DataSet, queries: int, k: int) -> Truth:
    """Scan in float64, or take the scan of an earlier run from the cache."""
    asked = data.queries[:queries]
    content = digest(hash_of(data.rows), hash_of(asked), k)
    ids = kept(f"truth-{data.name}-{len(data.rows)}-{content}", lambda: _scan(data.rows, asked, k + 1))
    return Truth(ids, true_scores(data.rows, asked, ids))


def true_scores(rows: np.ndarray, queries: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Score of each returned row, correctly rounded to float64.

    A product of two float32 is exact in float64, and fsum rounds once: equal rows have equal scores. An id that is no
    row (-1, where a library found too few) scores -inf.
    """
    scores = np.full(ids.shape, -np.inf)
    for query, of_query, found in zip(queries.astype(np.float64), scores, ids, strict=True):
        for place, row in enumerate(found.tolist()):
            if 0 <= row < len(rows):
                of_query[place] = math.fsum((rows[row].astype(np.float64) * query).tolist())
    return scores


def recall(truth: Truth, ids: np.ndarray, scores: np.ndarray) -> float:
    """Fraction of the k nearest that were returned; `scores` are the true scores of `ids`.

    A returned row is right if its true score reaches the true k-th (see `ROUNDING`), so among equal rows any will do.
    A row that is returned twice counts once.
    """
    least = truth.scores[:, truth.k - 1] - ROUNDING
    right = [
        len(set(found[reached].tolist())) for found, reached in zip(ids, scores >= least[:, np.newaxis], strict=True)
    ]
    return float(np.mean(np.minimum(right, truth.k)) / truth.k)


def first_wrong(truth: Truth, ids: np.ndarray, scores: np.ndarray) -> str | None:
    """Say where an answer is not the scan's, order included, or None; `scores` are the true scores of `ids`.

    Rows whose true scores differ by no more than `ROUNDING` may stand in any order.
    """
    if ids.shape != (len(truth.ids), truth.k):
        return f"wanted ids of shape {(len(truth.ids), truth.k)}, got {ids.shape}"
    for query, found in enumerate(ids.tolist()):
        if len(set(found)) < len(found):
            return f"query {query}: a row stands twice in {found}"
        for rank, row in enumerate(found):
            wanted, got = truth.scores[query, rank], scores[query, rank]
            if not abs(got - wanted) <= ROUNDING:
                right = truth.ids[query, rank]
                return f"query {query}, rank {rank + 1}: row {row} ({got:.17g}), the scan has {right} ({wanted:.17g})"
    return None


def _scan(rows: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
    wide = queries.astype(np.float64)
    ids = np.empty((len(queries), 0), dtype=np.int64)
    scores = np.empty((len(queries), 0))
    for start in range(0, len(rows), _BLOCK):
        block = wide @ rows[start : start + _BLOCK].astype(np.float64).T
        here = np.broadcast_to(np.arange(start, start + block.shape[1]), block.shape)
        ids, scores = np.hstack([ids, here]), np.hstack([scores, block])
        if scores.shape[1] > k + _SPARE:
            best = np.argpartition(-scores, k + _SPARE - 1, axis=1)[:, : k + _SPARE]
            ids, scores = np.take_along_axis(ids, best, 1), np.take_along_axis(scores, best, 1)
    scores = true_scores(rows, queries, ids)
    order = np.lexsort((ids, -scores), axis=1)[:, :k]
    return np.take_along_axis(ids, order, 1)
