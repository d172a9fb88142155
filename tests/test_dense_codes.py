"""Searches through codes: rows that are many and wide enough to have them, of every kind that is hard to rank.

`exact=True` gives ids, order and scores of a float64 scan; `exact=False` may miss one in a thousand at worst.
"""

from __future__ import annotations

import json
import lzma
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hmem_fast.core import DenseIndex
from hmem_fast.encode import resolve
from strategies import METRICS, float64_scores, random_rows

N, D = 600, 96


def clusters(n, d, spread):
    rng = np.random.default_rng(5)
    centres = rng.standard_normal((20, d)) + 0.3
    return (centres[rng.integers(20, size=n)] + spread * rng.standard_normal((n, d))).astype(np.float32)


def with_a_zero_row(rows):
    rows = rows.copy()
    rows[7] = 0
    return rows


def opposite_pairs_and_a_tiny_row(n, d):
    """Their mean is shorter than 1e-40, and its square no float32."""
    rows = np.repeat(random_rows(12, n=n // 2, d=d), 2, axis=0)
    rows[1::2] *= -1
    rows[:, 0] = 0
    return np.concatenate([rows, np.eye(1, d, dtype=np.float32) * np.float32(1e-40)])


def scaled(rows, scale):
    return (rows * np.asarray(scale, np.float64)).astype(np.float32)


def lifted(rows, by):
    rows = rows.copy()
    rows[:, 3] += by
    return rows


def random(seed, n=N, d=D):
    return random_rows(seed, n=n, d=d)


#: The kinds of `strategies.ROW_SETS`, as many and as wide as codes need, and more.
CODED_SETS = {
    "random": random(0),
    "one large dimension": lifted(random(1), 1000),
    "near-identical rows": np.float32(1.0) + np.float32(1e-6) * random(2),
    "denormal scale": scaled(random(3), 1e-40),
    "denormal scale around a mean": scaled(random(3) + 3, 1e-40),
    "zero mean": random(4) - random(4).mean(axis=0),
    "opposite pairs and a tiny row": opposite_pairs_and_a_tiny_row(N, D),
    "clustered": clusters(N, D, 0.01),
    "topics": clusters(N, D, 1.0),
    "unequal norms": scaled(random(6), np.logspace(-30, 30, N)[:, None]),
    "most unequal norms": scaled(random(6), np.logspace(-44, 37, N)[:, None]) + np.eye(N, D, dtype=np.float32),
    "256 rows": random(7, n=256),
    "k is n": random(8, n=300)[:, :64],
    "duplicates": np.repeat(random(9, n=N // 6), 6, axis=0),
    "one-hot": np.tile(np.eye(D, dtype=np.float32), (6, 1)),
    "all scores equal and negative": -np.ones((N, D), np.float32),
    "identical": np.repeat(random(10, n=1), N, axis=0),
    "heavy tails": random(11) ** 9,
    "few values": np.round(random(12)),
    "widths: 65": random(13, n=257, d=65),
    "widths: 127": random(14, n=300, d=127),
    "widths: 129": random(15, n=300, d=129),
    "widths: 1000": random(16, n=256, d=1000),
}

#: Rows that only "dot" takes.
ZERO_SETS = {
    "a zero row": with_a_zero_row(random(17)),
    "a zero row among denormal ones": with_a_zero_row(scaled(random(3), 1e-42)),
    "a zero row among tiny ones": with_a_zero_row(scaled(random(3) + 1000, 1e-36)),
    "zeros": np.zeros((N, D), np.float32),
}

CASES = [(name, metric) for name in CODED_SETS for metric in METRICS] + [(name, "dot") for name in ZERO_SETS]
ALL_SETS = CODED_SETS | ZERO_SETS


def filled(rows, metric, step=None):
    index = DenseIndex(rows.shape[1], metric=metric)
    for start in range(0, len(rows), step or len(rows)):
        index.add(rows[start : start + (step or len(rows))])
    return index


def cues(rows, metric):
    """Rows, their opposites, rows with noise, the mean, what is left of a row without it, and what is not like them."""
    rng = np.random.default_rng(99)
    wide = rows.astype(np.float64)
    some = wide[rng.choice(len(rows), 6, replace=False)]
    noise = rng.standard_normal((6, rows.shape[1]))
    mean = wide.mean(axis=0)
    found = [some, -some[:3], some + noise * np.abs(some).mean(), noise, 1e-42 * noise[:1], 1e37 * noise[:1]]
    found += [mean[None], some[:3] - mean, np.abs(noise[:2]), np.eye(1, rows.shape[1])]
    queries = np.concatenate(found).astype(np.float32)
    return queries if metric == "dot" else queries[queries.any(axis=1)]


def all_scores(rows, queries, metric):
    return np.array([float64_scores(rows, query, metric) for query in queries])


def check(found, scores, k, ids=None):
    """Hold ids, order and scores against float64 scores of all rows, which have these `ids`."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    columns = best.shape[1]
    np.testing.assert_array_equal(found.ids[:, :columns], best if ids is None else ids[best])
    assert (found.ids[:, columns:] == -1).all()
    limits = np.finfo(np.float32)
    wanted = np.clip(np.take_along_axis(scores, best, 1), limits.min, limits.max)
    np.testing.assert_array_equal(found.scores[:, :columns], wanted.astype(np.float32))


@pytest.mark.parametrize(("name", "metric"), CASES)
def test_ids_order_and_scores_are_those_of_a_float64_scan(name, metric):
    rows = ALL_SETS[name]
    queries, index = cues(rows, metric), filled(rows, metric)
    scores = all_scores(rows, queries, metric)
    for k in (1, 20, len(rows), len(rows) + 5):
        check(index.search(queries, k), scores, k)


@pytest.mark.parametrize(("name", "metric"), CASES)
def test_several_segments_filters_and_removals(name, metric):
    rows = ALL_SETS[name]
    queries, index = cues(rows, metric)[::2], filled(rows, metric, step=len(rows) // 2)
    gone = np.arange(3, len(rows), 5)
    index.remove(gone)
    left = np.setdiff1d(np.arange(len(rows)), gone)
    scores = all_scores(rows, queries, metric)
    check(index.search(queries, 20), scores[:, left], 20, left)
    for allowed in (left[::31], left[70:]):
        check(index.search(queries, 20, allowed=allowed), scores[:, allowed], 20, allowed)


@given(seed=st.integers(0, 2**32), metric=st.sampled_from(METRICS), scale=st.integers(-40, 36), k=st.integers(1, 700))
def test_any_history_of_an_index(seed, metric, scale, k):
    rng = np.random.default_rng(seed)
    d = int(rng.choice([64, 72, 128]))
    data = scaled(np.round(rng.standard_normal((900, d)) * 4) + rng.integers(3), 10.0**scale)
    data[~data.any(axis=1), 0] = 10.0**scale
    index, held = DenseIndex(d, metric=metric), np.zeros(0, np.int64)
    for start, end in ((0, 300), (300, 310), (310, 640), (640, 900)):
        index.add(data[start:end], ids=np.arange(start, end))
        held = np.concatenate([held, np.arange(start, end)])
        gone = rng.choice(held, int(rng.integers(len(held) // 2)), replace=False)
        index.remove(gone)
        held = np.setdiff1d(held, gone)
    queries = np.concatenate([data[:3], scaled(rng.standard_normal((3, d)), 10.0 ** min(-scale, 36))])
    queries = queries[queries.any(axis=1)]
    check(index.search(queries, k), all_scores(data[held], queries, metric), k, held)


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("name", ["random", "topics", "duplicates", "one-hot", "unequal norms"])
def test_threads_and_batches_do_not_change_the_answer(name, exact):
    rows = CODED_SETS[name]
    queries, index = np.concatenate([rows[:9], random(20, n=31)]), filled(rows, "dot", step=400)
    alone = [index.search(query[None], 10, exact=exact) for query in queries]
    for threads in (1, 2, 5):
        together = index.search(queries, 10, exact=exact, threads=threads)
        np.testing.assert_array_equal(together.ids, np.concatenate([found.ids for found in alone]))
        np.testing.assert_array_equal(together.scores, np.concatenate([found.scores for found in alone]))


# nearly exact answers


def recall(rows, queries, metric, k=20):
    index = filled(rows, metric)
    exact, nearly = index.search(queries, k), index.search(queries, k, exact=False)
    # Equal scores may be had from any of the rows that have them.
    return float((nearly.scores >= exact.scores[:, -1:]).mean())


@pytest.mark.parametrize(("name", "metric"), CASES)
def test_nearly_exact_answers_miss_next_to_nothing(name, metric):
    rows = ALL_SETS[name]
    assert recall(rows, cues(rows, metric), metric) >= 0.999


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("spread", [0.1, 0.5, 1.0])
def test_recall_on_many_rows(metric, spread):
    rows = clusters(8100, 384, spread)
    assert recall(rows[100:], rows[:100], metric) >= 0.999


def test_copies_of_a_row_are_not_ruled_out_together():
    """Signs are equally wrong about equal rows: where they are, an answer would be empty."""
    rng = np.random.default_rng(6)
    topics = rng.standard_normal((100, 384), dtype=np.float32)
    cues = np.float32(0.6) * topics[rng.integers(100, size=4000)] + rng.standard_normal((4000, 384), dtype=np.float32)
    index = filled(np.tile(topics, (80, 1)), "dot")
    exact, nearly = index.search(cues, 20), index.search(cues, 20, exact=False)
    assert (nearly.ids >= 0).all()
    assert (nearly.scores >= exact.scores[:, -1:]).mean() >= 0.9999


@pytest.mark.parametrize("name", ["one-hot", "identical", "all scores equal and negative"])
@pytest.mark.parametrize("metric", METRICS)
def test_where_signs_tell_nothing_the_answer_is_exact(name, metric):
    rows = np.tile(CODED_SETS[name], (6, 1))
    queries, index = cues(rows, metric), filled(rows, metric)
    check(index.search(queries, 20, exact=False), all_scores(rows, queries, metric), 20)


@pytest.mark.parametrize("width", [65_535, 65_536])
def test_the_widest_rows_with_codes_and_the_narrowest_without(width):
    """Small integers: float32 products are exact."""
    rows = np.resize(np.arange(7, dtype=np.float32) - 3, (256, width)) + np.arange(256, dtype=np.float32)[:, None] // 5
    index = filled(rows, "dot")
    for exact in (True, False):
        check(index.search(rows[9:10], 5, exact=exact), (rows @ rows[9]).astype(np.float64)[None], 5)


# real embeddings


@pytest.fixture(scope="module")
def embeddings(minilm):
    """MiniLM's embeddings of 900 short texts from clinc150, and of 50 more."""
    folder = Path(os.environ.get("HMEM_DATA", Path(__file__).parents[2] / "shared" / "data"))
    file = folder / "clinc150" / "data_full.json.xz"
    if not file.is_file():
        pytest.skip(f"clinc150 is not at {file}: set HMEM_DATA")
    with lzma.open(file, "rt", encoding="utf-8") as opened:
        texts = [text for text, _ in json.load(opened)["val"]]
    data = resolve(str(minilm)).encode(texts[:: len(texts) // 950][:950])
    return data[:900], data[900:]


@pytest.mark.parametrize("metric", METRICS)
def test_real_embeddings(embeddings, metric):
    rows, queries = embeddings
    check(filled(rows, metric, step=300).search(queries, 20), all_scores(rows, queries, metric), 20)
    assert recall(rows, queries, metric) == 1


@pytest.mark.parametrize("at_once", [True, False])
def test_threads_share_the_rows_of_one_query(at_once):
    # More than a thread must have to itself, in one call, which is cut, and in several.
    rows = random_rows(20, n=200_000, d=64)
    rows[150_000:] = rows[:50_000]
    index = filled(rows, "cosine", step=len(rows) if at_once else 60_000)
    for query in random_rows(21, n=3, d=64):
        scores = all_scores(rows, query[None], "cosine")
        for threads in (1, 2, 3):
            check(index.search(query[None], 20, threads=threads), scores, 20)
