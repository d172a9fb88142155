"""Build each index, hold the answers against each other, and take the time of each query in alternating rounds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from benches.encode.rounds import Taken, alternate, median_ratio, timed_calls
from benches.words.answers import check_same, overlap
from benches.words.methods import BASELINE, BM25S, TANTIVY, Method, Query, build
from benches.words.turns import asked, made_turns
from hmem_fast.core import analyze

__all__ = ["K", "measure"]

K = 10
_A_ROUND = 100
_BATCH = 200

Row = dict[str, Any]


def measure(count: int, rounds: int) -> Iterator[Row]:
    """Give a row for each method, one query a call and all at once, over `count` turns."""
    texts = made_turns(count)
    words = [analyze(text) for text in texts]
    queries = [Query(text, analyze(text)) for text in asked()]
    methods, seconds = {}, {}
    for name in (BASELINE, BM25S, TANTIVY):
        start = time.perf_counter()
        methods[name] = build(name, texts, words)
        seconds[name] = time.perf_counter() - start
    known = {word for row in words for word in row}
    queries = [query for query in queries if any(word in known for word in query.words)]
    answers = {name: _answers(method, queries) for name, method in methods.items()}
    check_same(answers[BASELINE], answers[BM25S])

    turns = {name: _turn(method, queries) for name, method in methods.items()}
    taken = alternate(turns, rounds)
    batch = queries[:_BATCH]
    batches = {name: method for name, method in methods.items() if method.batches}
    at_once = alternate({name: _batch(method, batch) for name, method in batches.items()}, rounds)
    for name, method in methods.items():
        about = {
            "implementation": method.name,
            "memories": count,
            "k": K,
            "build_s": seconds[name],
            "bytes_per_row": method.nbytes / count,
            "overlap": overlap(answers[name][0], answers[BASELINE][0]),
        }
        yield {"op": "one", **about, **_times(taken[name], taken[BASELINE], 1)}
        if name in at_once:
            yield {"op": f"batch of {len(batch)}", **about, **_times(at_once[name], at_once[BASELINE], len(batch))}


def _answers(method: Method, queries: Sequence[Query]) -> tuple[np.ndarray, np.ndarray]:
    """Ask each alone; -1 and -inf where there are fewer than K."""
    rows = np.full((len(queries), K), -1, np.int64)
    scores = np.full((len(queries), K), -np.inf, np.float32)
    for place, query in enumerate(queries):
        (found,), (scored,) = method.found(method.search([query], K))
        rows[place, : len(found)], scores[place, : len(scored)] = found, scored
    return rows, scores


def _turn(method: Method, queries: Sequence[Query]) -> Callable[[int], Taken]:
    """Make a turn that asks the next hundred, a call each; one more comes first and is not counted."""

    def turn(number: int) -> Taken:
        some = [queries[(number * _A_ROUND + place) % len(queries)] for place in range(_A_ROUND)]
        method.search([some[-1]], K)
        return timed_calls([partial(method.search, [query], K) for query in some])

    return turn


def _batch(method: Method, queries: Sequence[Query]) -> Callable[[int], Taken]:
    return lambda _: timed_calls([partial(method.search, queries, K)])


def _times(taken: Sequence[Taken], baseline: Sequence[Taken], queries: int) -> Row:
    clock = np.concatenate([turn.clock for turn in taken]) * 1e6 / queries
    cpu = np.concatenate([turn.cpu for turn in taken]) * 1e6 / queries
    return {
        "p50_us": float(np.median(clock)),
        "p99_us": float(np.percentile(clock, 99)),
        "cpu_p50_us": float(np.median(cpu)),
        "ratio": median_ratio([turn.clock for turn in taken], [turn.clock for turn in baseline]),
        "cpu_ratio": median_ratio([turn.cpu for turn in taken], [turn.cpu for turn in baseline]),
    }
