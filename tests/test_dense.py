"""What the compiled core promises beyond `test_index.py`: ids and order of a float64 scan, to the bit."""

import numpy as np
import pytest

from hmem_fast.core import DenseIndex
from strategies import METRICS, ROW_SETS, float64_scan, float64_scores, random_rows


def filled(rows, metric="cosine"):
    index = DenseIndex(rows.shape[1], metric=metric)
    index.add(rows)
    return index


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", ROW_SETS)
def test_ids_and_order_are_those_of_a_float64_scan(name, metric):
    rows = ROW_SETS[name]
    noise = random_rows(11, n=10, d=rows.shape[1]) * np.abs(rows[:10]).mean()
    queries = np.concatenate([rows[:10], -rows[-5:], rows[:10] + noise, np.abs(noise)])
    found = filled(rows, metric).search(queries, k=20)
    np.testing.assert_array_equal(found.ids, float64_scan(rows, queries, 20, metric))
    for query, ids, scores in zip(queries, found.ids, found.scores, strict=True):
        limits = np.finfo(np.float32)
        wanted = np.clip(float64_scores(rows, query, metric)[ids], limits.min, limits.max)
        np.testing.assert_array_equal(scores, wanted.astype(np.float32))


@pytest.mark.parametrize("metric", METRICS)
def test_agrees_with_a_plain_numpy_scan(metric):
    # Independent of the definition in strategies.py: long double, straight from the formula.
    rows, queries = random_rows(0), random_rows(1, n=30)
    wide, wide_queries = rows.astype(np.longdouble), queries.astype(np.longdouble)
    scores = wide_queries @ wide.T
    if metric == "cosine":
        scores /= np.linalg.norm(wide_queries, axis=1)[:, None] * np.linalg.norm(wide, axis=1)
    found = filled(rows, metric).search(queries, k=20)
    np.testing.assert_array_equal(found.ids, np.argsort(-scores, axis=1, kind="stable")[:, :20])
    np.testing.assert_allclose(found.scores, np.take_along_axis(scores, found.ids, 1).astype(float), rtol=1e-6)


@pytest.mark.parametrize("threads", [1, 2, 3, 2**62])
def test_threads_and_batches_do_not_change_the_answer(threads):
    rows, queries = random_rows(0), random_rows(1, n=50)
    index = filled(rows)
    together = index.search(queries, 10, threads=threads)
    alone = [index.search(query[None], 10) for query in queries]
    np.testing.assert_array_equal(together.ids, np.concatenate([found.ids for found in alone]))
    np.testing.assert_array_equal(together.scores, np.concatenate([found.scores for found in alone]))


def test_equal_scores_come_in_the_order_of_their_rows():
    index = DenseIndex(2)
    index.add([[1.0, 0.0], [1.0, 0.0]], ids=[5, 6])
    assert index.search([[1.0, 0.0]], 2).ids.tolist() == [[5, 6]]
    index.add([[1.0, 0.0]], ids=[5], replace=True)
    assert index.search([[1.0, 0.0]], 2).ids.tolist() == [[6, 5]]
