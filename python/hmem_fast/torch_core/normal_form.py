"""Rows scaled by powers of two, as the compiled core keeps them.

A row is kept as ``stored * 2**exponent`` with the largest magnitude of ``stored`` in [1, 2). So float32 can neither
overflow nor lose rows of denormal numbers, on any device, and the state of an index fits the core's `DenseIndex`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hmem_fast.errors import InvalidValueError, ShapeError
from hmem_fast.types import FloatArray, IdArray, ScoreArray

__all__ = ["NormalRows", "normal_form", "power_of_two"]

#: Numbers that are widened to float64 at once.
_AT_ONCE = 1 << 20
#: The exponents of float32 numbers.
_LOWEST, _HIGHEST = -149, 127


class NormalRows(NamedTuple):
    """Rows in normal form.

    Shapes
    ------
    stored     (n, d)  float32, writable, C order
    exponents  (n,)    int64; 0 for a row of zeros
    norms      (n,)    float64, the length of each stored row
    """

    stored: FloatArray
    exponents: IdArray
    norms: ScoreArray

    def scaled(self, exponents: IdArray) -> NormalRows:
        """Multiply each row by a further power of two.

        Raises
        ------
        ShapeError, InvalidValueError
            If there is not one exponent a row, or a row leaves float32.
        """
        n = len(self.exponents)
        if len(exponents) != n:
            raise ShapeError(f"exponents: wanted {n} entries (one for each of rows), got {len(exponents)}")
        lost = (exponents < _LOWEST - self.exponents) | (exponents > _HIGHEST - self.exponents)
        if lost.any():
            got = exponents[lost.argmax()]
            raise InvalidValueError(f"exponents: wanted the exponents of float32 numbers (-149 to 127), got {got}")
        return self._replace(exponents=self.exponents + exponents)

    def units(self) -> FloatArray:
        """Give the rows scaled to unit length."""
        return self._times(1.0 / self.norms)

    def originals(self) -> FloatArray:
        """Give the rows as they came."""
        return self._times(power_of_two(self.exponents))

    def _times(self, factors: ScoreArray) -> FloatArray:
        rows = np.empty_like(self.stored)
        with np.errstate(under="ignore"):
            for cut in _cuts(rows):
                rows[cut] = self.stored[cut] * factors[cut, None]
        return rows


def normal_form(rows: FloatArray, name: str, *, zeros: bool) -> NormalRows:
    """Bring finite rows into normal form.

    Raises
    ------
    InvalidValueError
        If a row is all zeros and `zeros` does not allow it; the message names `name` and the row.
    """
    stored = np.empty(rows.shape, dtype=np.float32)
    exponents = np.empty(len(rows), dtype=np.int64)
    norms = np.empty(len(rows))
    for cut in _cuts(rows):
        wide = rows[cut].astype(np.float64)
        largest = np.abs(wide).max(axis=1, initial=0.0)
        if not zeros and not largest.all():
            row = cut.start + int((largest == 0.0).argmax())
            raise InvalidValueError(f'{name}: row {row} is all zeros; its cosine is undefined (metric "dot" allows it)')
        exponents[cut] = np.where(largest > 0.0, np.frexp(largest)[1] - 1, 0)
        with np.errstate(under="ignore"):  # elements 2**126 times smaller than their row's largest
            stored[cut] = wide * power_of_two(-exponents[cut, None])
        norms[cut] = np.linalg.norm(stored[cut].astype(np.float64), axis=1)
    return NormalRows(stored, exponents, norms)


def power_of_two(exponents: IdArray) -> ScoreArray:
    """``2**exponents`` in float64, exact from -1022 to 1023."""
    powers: ScoreArray = np.ldexp(1.0, exponents.astype(np.intc))
    return powers


def _cuts(rows: FloatArray) -> list[slice]:
    step = max(1, _AT_ONCE // max(1, rows.shape[1]))
    return [slice(start, start + step) for start in range(0, len(rows), step)]
