"""A flat Hebbian memory: winner-take-all codes, and one linear association between them. The baseline of completion.

A vector is projected at random to many units, of which the most excited are its code. Learning adds the outer product
of two codes to a matrix ``W``; recall is ``W @ code``. The matrix is not stored: its product with a code is a sum
over what was learnt, each weighted by how many units it shares with the code, so that a product costs what the shared
units cost.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hmem_fast.types import FloatArray

__all__ = ["N_ACTIVE", "N_UNITS", "Codes", "codes_of"]

N_UNITS = 16384
N_ACTIVE = 50

#: Rows that are projected at a time.
_AT_ONCE = 512

CodeArray = NDArray[np.int32]


def codes_of(rows: FloatArray, *, seed: int) -> CodeArray:
    """Code each row: the units of a random projection that it excites most.

    Shapes
    ------
    rows    (n, d)         float32
    result  (n, N_ACTIVE)  int32, ascending; the same units for the same row and seed
    """
    projection = np.random.default_rng(seed).standard_normal((rows.shape[1], N_UNITS), np.float32)
    codes = np.empty((len(rows), N_ACTIVE), np.int32)
    for start in range(0, len(rows), _AT_ONCE):
        excited = rows[start : start + _AT_ONCE] @ projection
        codes[start : start + _AT_ONCE] = np.argpartition(excited, -N_ACTIVE, axis=1)[:, -N_ACTIVE:]
    codes.sort(axis=1)
    return codes


class Codes:
    """Stored codes, each associated with itself.

    Parameters
    ----------
    codes : (n, N_ACTIVE) int32
        As `codes_of` gives them.
    """

    def __init__(self, codes: CodeArray) -> None:
        self._codes = codes
        flat = codes.ravel()
        order = np.argsort(flat, kind="stable")
        self._rows = order // codes.shape[1]
        self._starts = np.searchsorted(flat[order], np.arange(N_UNITS + 1))

    def overlaps(self, code: NDArray[np.integer]) -> NDArray[np.int64]:
        """Count the units that each stored code shares with this one."""
        postings = [self._rows[self._starts[unit] : self._starts[unit + 1]] for unit in code]
        return np.bincount(np.concatenate(postings), minlength=len(self._codes))

    def recall(self, code: NDArray[np.integer]) -> NDArray[np.int64]:
        """Give the most excited units of ``W @ code`` with ``W = sum of outer(stored, stored)``."""
        shared = self.overlaps(code)
        rows = np.flatnonzero(shared)
        weights = np.repeat(shared[rows], self._codes.shape[1])
        excited = np.bincount(self._codes[rows].ravel(), weights=weights, minlength=N_UNITS)
        return np.argsort(-excited, kind="stable")[: self._codes.shape[1]]

    def complete(self, code: NDArray[np.integer]) -> int:
        """Give the stored code that is closest to what the memory recalls; the first of several."""
        return int(self.overlaps(self.recall(code)).argmax())
