"""Inputs that several tests draw from, and the definitions that answers are compared with."""

from __future__ import annotations

import collections
import math

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

METRICS = ["cosine", "dot"]

FLOATS = st.floats(-100.0, 100.0, width=32).map(lambda x: x if abs(x) > 1e-20 else 0.0)


def float_rows(n: st.SearchStrategy[int] | int, d: int, *, zeros: bool = False) -> st.SearchStrategy[np.ndarray]:
    """Rows of `d` float32 numbers; by default none is all zeros."""
    counts = st.just(n) if isinstance(n, int) else n
    rows = counts.flatmap(lambda n: hnp.arrays(np.float32, (n, d), elements=FLOATS))
    return rows if zeros else rows.map(_without_zero_rows)


def _without_zero_rows(rows: np.ndarray) -> np.ndarray:
    rows = rows.copy()
    rows[~rows.any(axis=1), 0] = 1.0
    return rows


def random_rows(seed, n=700, d=48):
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def clustered():
    rng = np.random.default_rng(5)
    centres = rng.standard_normal((20, 48))
    return (centres[rng.integers(20, size=700)] + 0.01 * rng.standard_normal((700, 48))).astype(np.float32)


def one_large_dimension():
    rows = random_rows(1)
    rows[:, 3] += 1000
    return rows


#: Kinds of rows that are hard to rank.
ROW_SETS = {
    "random": random_rows(0),
    "one large dimension": one_large_dimension(),
    "near-identical rows": np.float32(1.0) + 1e-6 * random_rows(2),
    "denormal scale": (random_rows(3).astype(np.float64) * 1e-40).astype(np.float32),
    "zero mean": random_rows(4) - random_rows(4).mean(axis=0),
    "clustered": clustered(),
    "unequal norms": random_rows(6) * np.logspace(-30, 30, 700, dtype=np.float32)[:, None],
    "one row": random_rows(7, n=1),
    "k is n": random_rows(8, n=20),
    "duplicates": np.repeat(random_rows(9, n=100), 7, axis=0),
    "one-hot": np.tile(np.eye(48, dtype=np.float32), (10, 1)),
    "all scores equal and negative": -np.ones((300, 48), dtype=np.float32),
}


def dot64(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Inner products as the core defines them (kernels/dot): 8 float64 lanes, then halving sums. The same bits."""
    products = a.astype(np.float64) * b.astype(np.float64)
    tail = -products.shape[-1] % 8
    products = np.concatenate([products, np.zeros((*products.shape[:-1], tail))], axis=-1)
    lanes = np.zeros((*products.shape[:-1], 8))
    for start in range(0, products.shape[-1], 8):
        lanes = lanes + products[..., start : start + 8]
    for half in (4, 2, 1):
        lanes = lanes[..., :half] + lanes[..., half : 2 * half]
    return lanes[..., 0]


def normal_form(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scale each row by a power of two so that its largest magnitude is in [1, 2); gives the rows and the exponents."""
    largest = np.abs(rows.astype(np.float64)).max(axis=1, initial=0.0)
    exponents = np.where(largest > 0, np.frexp(largest)[1] - 1, 0)
    return np.ldexp(rows.astype(np.float64), -exponents[:, None]).astype(np.float32), exponents


def float64_scores(rows: np.ndarray, query: np.ndarray, metric: str) -> np.ndarray:
    """Score every row in float64."""
    rows, row_exponents = normal_form(rows)
    (query,), (query_exponent,) = normal_form(query[None])
    products = dot64(rows, query)
    if metric == "dot":
        return np.ldexp(products, row_exponents + query_exponent)
    return products / (np.sqrt(dot64(rows, rows)) * np.sqrt(dot64(query, query)))


def float64_scan(rows: np.ndarray, queries: np.ndarray, k: int, metric: str) -> np.ndarray:
    """The row numbers of the best `k` for each query, equal scores in row order."""
    order = [np.argsort(-float64_scores(rows, query, metric), kind="stable") for query in queries]
    return np.array(order, dtype=np.int64).reshape(len(queries), len(rows))[:, :k]


def bm25(documents: list[list[str]], query: list[str], k1: float, b: float) -> dict[int, float]:
    """Score each document that shares a word with the query, as BM25 stands in the books: {position: score}."""
    documents = [collections.Counter(document) for document in documents]
    lengths = [document.total() for document in documents]
    scores = {}
    for term, times in collections.Counter(query).items():
        df = sum(term in document for document in documents)
        idf = math.log(1 + (len(documents) - df + 0.5) / (df + 0.5))
        for position, document in enumerate(documents):
            if tf := document[term]:
                long = lengths[position] / (sum(lengths) / len(lengths))
                scores.setdefault(position, 0)
                scores[position] += times * idf * tf * (k1 + 1) / (tf + k1 * (1 - b + b * long))
    return scores


#: Two short conversations.
TALK = [
    {"text": "Hi Ben! How was the trip?", "speaker": "Ann", "session": "1"},
    {"text": "Great, we slept in a hut near the glacier.", "speaker": "Ben", "session": "1"},
    {"text": "I stayed home and repaired my bicycle. What did you eat?", "speaker": "Ann", "session": "1"},
    {"text": "Mostly soup and bread.", "speaker": "Ben", "session": "1"},
    {"text": "My sister keeps bees on the roof of her house.", "speaker": "Ben", "session": "2"},
    {"text": "I started at Acme as a data engineer.", "speaker": "Ann", "session": "2"},
]
