"""How long separating, learning and recalling take, beside dense numpy in alternating rounds."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from benches.encode.rounds import alternate, median_ratio, timed_calls
from hmem_fast.core import Associator, Separator, index_codes

__all__ = ["UNITS", "measure"]

UNITS, ACTIVE, DIM = 16_384, 50, 384
_SEED = 11

Row = dict[str, Any]
Call = Callable[[], object]


def measure(sizes: Sequence[int], rounds: int) -> Iterator[Row]:
    """Give a row for each operation and implementation."""
    rng = np.random.default_rng(_SEED)
    rows = rng.standard_normal((1_000, DIM), dtype=np.float32)
    yield from _separating(rows, rounds)
    yield from _drawing(rounds)
    matrix = np.zeros((UNITS, UNITS), dtype=np.float32)
    yield from _learning(matrix, rounds)
    for size in sizes:
        matrix[:] = 0
        yield from _recalling(size, matrix, rounds)


def _separating(rows: np.ndarray, rounds: int) -> list[Row]:
    separator = Separator(DIM)
    random = np.random.default_rng(_SEED)
    matrix = random.standard_normal((DIM, DIM), dtype=np.float32)
    whitening = Separator(DIM, mean=rows.mean(axis=0), transform=matrix)
    weights = random.standard_normal((UNITS, DIM), dtype=np.float32)

    def dense(row: np.ndarray) -> np.ndarray:
        return np.argpartition(weights @ row, UNITS - ACTIVE)[UNITS - ACTIVE :]

    assert len(set(dense(rows[0]))) == ACTIVE
    codes = separator.separate(rows)
    assert all((separator.separate(rows[at : at + 1]) == codes[at]).all() for at in range(9))
    at = _counter(len(rows))
    turns = {
        "Separator, 1,000 rows a call": ([lambda: separator.separate(rows)], len(rows)),
        "Separator, a row a call": (_many(200, lambda: separator.separate(rows[(i := at()) : i + 1])), 1),
        "Separator, mean and transform, 1,000 rows a call": ([lambda: whitening.separate(rows)], len(rows)),
        "numpy, dense float32": (_many(10, lambda: dense(rows[at()])), 1),
    }
    return _rows("separate", turns, "numpy, dense float32", rounds)


def _drawing(rounds: int) -> list[Row]:
    ids = np.arange(1_000)
    random = np.random.default_rng(_SEED)
    turns = {
        "index_codes, 1,000 ids a call": ([lambda: index_codes(ids)], len(ids)),
        "numpy, choice without replacement": (
            _many(50, lambda: np.sort(random.choice(UNITS, ACTIVE, replace=False, shuffle=False))),
            1,
        ),
    }
    return _rows("index code", turns, "numpy, choice without replacement", rounds)


def _learning(matrix: np.ndarray, rounds: int) -> list[Row]:
    codes = index_codes(np.arange(20_001))
    cues, targets = codes[:-1], codes[1:]

    def ours() -> None:
        associator = Associator()
        associator.learn(cues, targets)
        assert len(associator) == len(cues)

    def ours_by_one() -> None:
        associator = Associator()
        for at in range(500):
            associator.learn(cues[at : at + 1], targets[at : at + 1])
        assert len(associator) == 500

    cue, target = (np.zeros(UNITS, np.float32) for _ in range(2))
    cue[cues[0]], target[targets[0]] = 1, 1
    scratch = np.empty_like(matrix)

    def outer() -> None:
        np.outer(target, cue, out=scratch)
        np.add(matrix, scratch, out=matrix)

    def active_rows() -> None:
        matrix[targets[0]] += cue

    turns = {
        "Associator, 20,000 a call": ([ours], len(cues)),
        "Associator, one a call": ([ours_by_one], 500),
        "numpy, W += outer(target, cue)": ([outer], 1),
        "numpy, W[target] += cue": (_many(20, active_rows), 1),
    }
    return _rows("learn", turns, "numpy, W += outer(target, cue)", max(3, rounds // 3))


def _recalling(size: int, matrix: np.ndarray, rounds: int) -> list[Row]:
    """Recalls of codes that are linked in one long chain."""
    codes = index_codes(np.arange(size + 1))
    associator, linear = Associator(), Associator(power=1, theta=1)
    associator.learn(codes[:-1], codes[1:])
    linear.learn(codes[:-1], codes[1:])
    # Cue by cue in rows of its own, so that a recall adds up rows that lie whole in memory.
    for cue, target in itertools.pairwise(codes):
        matrix[np.ix_(cue, target)] += 1

    def dense(cue: np.ndarray) -> np.ndarray:
        strengths = matrix[cue].sum(axis=0)
        return np.sort(np.argsort(-strengths, kind="stable")[:ACTIVE])

    def dense_quick(cue: np.ndarray) -> np.ndarray:
        return np.argpartition(matrix[cue].sum(axis=0), UNITS - ACTIVE)[UNITS - ACTIVE :]

    asked = np.random.default_rng(_SEED).permutation(size - 6)
    for place in asked[:100]:
        cue = codes[place : place + 1]
        assert (associator.recall(cue)[0] == codes[place + 1]).all()
        assert (associator.recall(cue, hops=6)[0] == codes[place + 6]).all()
        assert (linear.recall(cue)[0] == dense(cue[0])).all(), "the dense matrix, unit for unit"
    next_one = _counter(len(asked))

    def cue() -> np.ndarray:
        place = asked[next_one()]
        return codes[place : place + 1]

    turns = {
        "Associator, a cue a call": (_many(200, lambda: associator.recall(cue())), 1),
        "Associator, six hops a call": (_many(100, lambda: associator.recall(cue(), hops=6)), 1),
        "Associator, 256 cues a call": ([lambda: associator.recall(codes[:256])], 256),
        "Associator, theta=1 power=1": (_many(50, lambda: linear.recall(cue())), 1),
        "numpy, W[cue].sum(axis=0)": (_many(20, lambda: dense_quick(cue()[0])), 1),
    }
    rows = _rows("recall", turns, "numpy, W[cue].sum(axis=0)", rounds)
    held = {"memories": size, "bytes_per_association": round(associator.nbytes / size, 1)}
    dense_held = {"memories": size, "bytes_per_association": round(matrix.nbytes / size, 1)}
    return [row | (dense_held if row["implementation"].startswith("numpy") else held) for row in rows]


def _counter(n: int) -> Callable[[], int]:
    at = [-1]

    def following() -> int:
        at[0] = (at[0] + 1) % n
        return at[0]

    return following


def _many(n: int, call: Call) -> list[Call]:
    return [call] * n


def _rows(op: str, turns: Mapping[str, tuple[Sequence[Call], int]], baseline: str, rounds: int) -> list[Row]:
    """Alternate; a call that does several things counts by one of them."""
    for calls, _ in turns.values():
        calls[0]()
    taken = alternate({name: partial(_timed, calls) for name, (calls, _) in turns.items()}, rounds)
    per_item = {
        name: ([turn.clock / count for turn in taken[name]], [turn.cpu / count for turn in taken[name]])
        for name, (_, count) in turns.items()
    }
    return [
        {
            "op": op,
            "implementation": name,
            "p50_us": float(np.median(np.concatenate(clock))) * 1e6,
            "cpu_p50_us": float(np.median(np.concatenate(cpu))) * 1e6,
            "ratio": median_ratio(per_item[baseline][1], cpu),
        }
        for name, (clock, cpu) in per_item.items()
    ]


def _timed(calls: Sequence[Call], _round: int) -> Any:
    return timed_calls(calls)
