"""What one core of this machine can do at best: bytes read and products summed in a second.

The fastest of all rounds counts, unlike with the methods: a floor is what could be reached, and noise only adds.
"""

from __future__ import annotations

import time

import numpy as np

__all__ = ["FLOORS", "Floors"]

FLOORS = {
    "read l2": "numpy.dot of 512 KiB of float32 with itself: each byte is read once from the second cache",
    "read l3": "the same with 8 MiB, from the third cache where that is large enough",
    "read dram": "the same with 1 GiB, from memory",
    "sgemm": "numpy.matmul of two 1536 x 1536 float32 matrices: the ceiling of fused multiply-add that BLAS reaches",
}
"""What is measured."""

_SIZES = {"read l2": 512 << 10, "read l3": 8 << 20, "read dram": 1 << 30}
_EDGE = 1536
_AT_LEAST_BYTES = 256 << 20


class Floors:
    """Measures once a round, beside the methods, so that noise hits it alike."""

    def __init__(self) -> None:
        self._large = np.ones(_SIZES["read dram"] // 4, dtype=np.float32)
        self._square = np.random.default_rng(0).standard_normal((_EDGE, _EDGE), dtype=np.float32)
        self._seconds: dict[str, list[float]] = {name: [] for name in FLOORS}
        self._rows: list[float] = []

    def measure(self, rows: np.ndarray) -> None:
        """Take one measurement of each, and of reading `rows` once."""
        for name, size in _SIZES.items():
            self._seconds[name].append(_read(self._large[: size // 4]))
        start = time.perf_counter()
        self._square @ self._square
        self._seconds["sgemm"].append(time.perf_counter() - start)
        self._rows.append(_read(rows.reshape(-1)))

    def gb_per_s(self, name: str) -> float:
        """Bytes read in a second, in units of 10⁹."""
        return _SIZES[name] / min(self._seconds[name]) / 1e9

    @property
    def gflop_per_s(self) -> float:
        """Multiplications and additions in a second, in units of 10⁹."""
        return 2 * _EDGE**3 / min(self._seconds["sgemm"]) / 1e9

    @property
    def read_rows_us(self) -> float:
        """Reading the float32 rows once, wherever they lie: what a scan over them needs for one query."""
        return min(self._rows) * 1e6

    def sgemm_us(self, rows: np.ndarray) -> float:
        """Products of one query with all rows at sgemm's rate: what a float32 scan needs for each query of a batch."""
        return 2 * rows.size / self.gflop_per_s / 1e3


def _read(array: np.ndarray) -> float:
    """Seconds for one pass over the array, from as many passes as make a time that the clock can tell."""
    passes = max(1, _AT_LEAST_BYTES // array.nbytes)
    array.dot(array)
    start = time.perf_counter()
    for _ in range(passes):
        array.dot(array)
    return (time.perf_counter() - start) / passes
