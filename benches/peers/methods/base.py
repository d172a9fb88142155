"""What a method is, and an index that several methods search with different settings."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["Method", "SharedIndex"]


class SharedIndex:
    """An index that is built once, by the first method that needs it.

    Parameters
    ----------
    make : callable
        From rows to the index.
    """

    def __init__(self, make: Callable[[np.ndarray], Any]) -> None:
        self._make = make
        self._index: Any = None
        self.build_s = 0.0

    def of(self, rows: np.ndarray) -> Any:
        """Give the index of these rows."""
        if self._index is None:
            start = time.perf_counter()
            self._index = self._make(rows)
            self.build_s = time.perf_counter() - start
        return self._index


class Method(ABC):
    """One way to find the rows of largest inner product.

    Attributes
    ----------
    name : str
        How it is called in tables and by ``--only``.
    largest : int or None
        Most rows it is run on unless it is asked for by name.
    why_largest : str
        What forbids more.
    must_be_exact : bool
        Whether another answer than the float64 scan's fails the benchmark.
    build_s : float
        Seconds that building its index took; methods that share an index have the same.
    """

    largest: int | None = None
    why_largest = ""
    must_be_exact = False

    def __init__(self, name: str, shared: SharedIndex) -> None:
        self.name = name
        self._shared = shared
        self._index: Any = None

    def build(self, rows: np.ndarray) -> None:
        """Take the rows, once.

        Raises
        ------
        ImportError
            If its library is not installed, or lacks this index.
        """
        self._index = self._shared.of(rows)

    @property
    def build_s(self) -> float:
        """Seconds that building took."""
        return self._shared.build_s

    @abstractmethod
    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        """Give the ids of the best k rows of each query, best first; -1 where fewer were found."""

    @abstractmethod
    def nbytes(self) -> int:
        """Bytes that a search needs: rows, codes, links."""
