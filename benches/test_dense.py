"""What a call of `DenseIndex.search` costs beside the scan: the way through Python, and a filter.

Every answer is checked.
"""

from __future__ import annotations

import numpy as np
import pytest

from hmem_fast.core import DenseIndex

DIM = 384


@pytest.mark.parametrize("n", [0, 1, 20])
def test_overhead_of_a_call(benchmark, n):
    """With no row there is nothing but the call; with few, little more."""
    rng = np.random.default_rng(0)
    rows, query = rng.standard_normal((n, DIM), np.float32), rng.standard_normal((1, DIM), np.float32)
    index = DenseIndex(DIM)
    index.add(rows)
    found = benchmark(index.search, query, 20)
    scores = rows @ query[0] / np.linalg.norm(rows, axis=1)
    assert found.ids.tolist() == [np.argsort(-scores).tolist()]


ALLOWED = {
    "10 ids": lambda rng, n: rng.choice(n, 10, replace=False),
    "1 % ids, sorted": lambda rng, n: np.sort(rng.choice(n, n // 100, replace=False)),
    "all ids, sorted": lambda _, n: np.arange(n),
    "all ids, shuffled": lambda rng, n: rng.permutation(n),
    "mask": lambda rng, n: rng.random(n) < 0.5,
}


@pytest.mark.parametrize("allowed", ALLOWED)
@pytest.mark.parametrize("rows_a_call", [1_000, 1_000_000])
@pytest.mark.parametrize("n", [20_000, 100_000, 1_000_000])
def test_a_filter(benchmark, n, rows_a_call, allowed):
    """A search without queries does nothing but make the filter ready."""
    rows = np.arange(n, dtype=np.float32)[:, None]
    index = DenseIndex(1, "dot")
    for start in range(0, n, rows_a_call):
        index.add(rows[start : start + rows_a_call])
    allowed = ALLOWED[allowed](np.random.default_rng(0), n)
    benchmark(index.search, rows[:0], 10, allowed=allowed)
    ids = np.flatnonzero(allowed) if allowed.dtype == bool else np.sort(allowed)
    assert index.search([[1.0]], 10, allowed=allowed).ids.tolist() == [ids[::-1][:10].tolist()]
