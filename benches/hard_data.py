"""Is an exact search ever slower than a plain scan? CPU time of both on rows that are hard to rule out.

    python benches/hard_data.py                     # 20,000 rows of 384 numbers
    python benches/hard_data.py --kinds sphere one-hot --rounds 30
    python benches/hard_data.py --against PATH      # beside another build: the folder that holds its hmem_fast

The plain scan is numpy: all products, and argpartition for the best 20. Calls alternate, one query each, on one thread;
figures are medians of the thread's CPU time. Some answers of each kind are checked. A ratio above 1 says that the
index was slower.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import time
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np  # noqa: E402 - it reads the number of threads when it is imported

from hmem_fast.core import DenseIndex, isa  # noqa: E402 - as above

K = 20


def normal(rng, n, d):
    return rng.standard_normal((n, d), dtype=np.float32)


def around(rng, n, d, spread, topics=200):
    """Rows of topics, which are the same for every call."""
    centres = normal(np.random.default_rng(1), topics, d)
    return centres[rng.integers(topics, size=n)] + np.float32(spread) * normal(rng, n, d)


def lifted(rows, by):
    rows[:, 3] += by
    return rows


#: Rows and queries are drawn alike, unless `OTHER_QUERIES` says otherwise.
KINDS = {
    "topics": lambda rng, n, d: around(rng, n, d, 0.5),
    "tight clusters": lambda rng, n, d: around(rng, n, d, 0.01),
    "sphere": normal,
    "heavy tails": lambda rng, n, d: normal(rng, n, d) ** 9,
    "one large dimension": lambda rng, n, d: lifted(normal(rng, n, d), 1000),
    "spread 1e-3": lambda rng, n, d: np.float32(1) + np.float32(1e-3) * normal(rng, n, d),
    "spread 1e-6": lambda rng, n, d: np.float32(1) + np.float32(1e-6) * normal(rng, n, d),
    "identical": lambda _, n, d: np.repeat(normal(np.random.default_rng(2), 1, d), n, axis=0),
    "duplicates": lambda rng, n, d: np.repeat(normal(rng, -(-n // 7), d), 7, axis=0)[:n],
    "one-hot": lambda rng, n, d: np.eye(d, dtype=np.float32)[rng.integers(d, size=n)],
    "few values": lambda rng, n, d: np.round(normal(rng, n, d)),
    "unequal norms": lambda rng, n, d: normal(rng, n, d) * np.exp(normal(rng, n, 1)),
    "norms 1e-15 to 1e15": lambda rng, n, d: normal(rng, n, d) * np.logspace(-15, 15, n, dtype=np.float32)[:, None],
}

OTHER_QUERIES = {"identical": normal, "one-hot": lambda rng, n, d: np.abs(normal(rng, n, d)), "few values": normal}


def plain_scan(rows, query):
    scores = rows @ query
    best = np.argpartition(scores, -K)[-K:]
    return best[np.argsort(-scores[best])]


def cpu_us(call):
    start = time.thread_time_ns()
    call()
    return (time.thread_time_ns() - start) / 1000


def index_from(folder):
    """`DenseIndex` of another build: its compiled core, under a name of its own."""
    file = next((Path(folder) / "hmem_fast").glob("_core*.so"))
    spec = importlib.util.spec_from_file_location("_core", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.DenseIndex


def check(name, metric, rows, query, found):
    """Scores are those of a float64 scan; of equal ones, which row it is does not matter here."""
    wide, wide_query = rows.astype(np.float64), query.astype(np.float64)
    scores = wide @ wide_query
    if metric == "cosine":
        scores /= np.linalg.norm(wide, axis=1) * np.linalg.norm(wide_query)
    wanted = -np.sort(-scores)[:K]
    scale = np.abs(scores).max()
    np.testing.assert_allclose(found.scores[0] / scale, wanted / scale, atol=1e-6, err_msg=name)


def measured(name, metric, n, d, rounds, against):
    rng = np.random.default_rng(0)
    rows = np.ascontiguousarray(KINDS[name](rng, n, d), np.float32)
    queries = np.ascontiguousarray(OTHER_QUERIES.get(name, KINDS[name])(rng, rounds, d), np.float32)
    indexes = [new(d, metric=metric) for new in (DenseIndex, *against)]
    for index in indexes:
        index.add(rows)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True) if metric == "cosine" else rows
    calls = [lambda query, index=index: index.search(query[None], K) for index in indexes]
    calls.append(lambda query: indexes[0].search(query[None], K, exact=False))
    calls.append(lambda query: plain_scan(unit, query))
    for query in queries[:3]:
        check(name, metric, rows, query, calls[0](query))
        [call(query) for call in calls]
    taken = np.array([[cpu_us(lambda call=call, query=query: call(query)) for call in calls] for query in queries])
    return np.median(taken, axis=0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--metrics", nargs="+", choices=["cosine", "dot"], default=["cosine", "dot"])
    parser.add_argument("--memories", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--against", type=Path)
    options = parser.parse_args()
    against = [index_from(options.against)] if options.against else []
    print(f"{options.memories} rows of {options.width}, best {K}, {isa()}, microseconds of one thread's CPU time")
    columns = ["kind", "metric", "exact", *["other" for _ in against], "nearly", "numpy", "exact/numpy"]
    print(*[*columns, *["exact/other" for _ in against]], sep="\t")
    for name in options.kinds:
        for metric in options.metrics:
            times = measured(name, metric, options.memories, options.width, options.rounds, against)
            ratios = [times[0] / times[-1], *[times[0] / times[1] for _ in against]]
            print(name, metric, *(f"{t:.0f}" for t in times), *(f"{ratio:.2f}" for ratio in ratios), sep="\t")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
