"""DenseIndex, exact and fast."""

from __future__ import annotations

import numpy as np

from benches.peers.methods.base import Method, SharedIndex
from hmem_fast.core import DenseIndex

__all__ = ["Own", "own_methods"]


class Own(Method):
    """DenseIndex.search; the metric is the inner product of rows as they are, as with all others."""

    def __init__(self, name: str, shared: SharedIndex, *, exact: bool, threads: int) -> None:
        super().__init__(name, shared)
        self.must_be_exact = exact
        self._threads = threads

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        ids: np.ndarray = self._index.search(queries, k, exact=self.must_be_exact, threads=self._threads).ids
        return ids

    def nbytes(self) -> int:
        return int(self._index.nbytes)


def own_methods(threads: int) -> list[Method]:
    """Both searches over one index."""
    shared = SharedIndex(_make)
    return [
        Own("hmem exact", shared, exact=True, threads=threads),
        Own("hmem fast", shared, exact=False, threads=threads),
    ]


def _make(rows: np.ndarray) -> DenseIndex:
    index = DenseIndex(rows.shape[1], metric="dot")
    index.add(rows)
    return index
