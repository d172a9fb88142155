"""What the compiled core promises beyond `test_index.py`: ids and order of a float64 scan, to the bit."""

import pickle

import numpy as np
import pytest

from hmem_fast.core import DenseIndex
from hmem_fast.types import Neighbours
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


def test_a_result_is_a_named_tuple():
    found = filled(random_rows(0)).search(random_rows(1, n=3), 5)
    ids, scores = found
    assert (ids, scores) == (found.ids, found.scores) == (found[0], found[1])
    assert found == Neighbours(ids, scores)
    assert repr(found) == f"Neighbours(ids={ids!r}, scores={scores!r})"
    assert found._replace(ids=None).scores is scores
    twin = pickle.loads(pickle.dumps(found))
    assert type(twin) is Neighbours
    np.testing.assert_array_equal(twin.ids, ids)
    np.testing.assert_array_equal(twin.scores, scores)


# filters


class Ids(np.ndarray):
    """A subclass of an array."""


@pytest.mark.parametrize(
    "allowed",
    [
        np.array([9, 4, 2, 4]),
        np.array([2, 4, 9], np.int8),
        np.array([2, 4, 9], ">i8"),
        np.array([9, 0, 4, 0, 2, 0])[::2],
        np.array([2, 4, 9])[::-1],
        np.array([2, 4, 9]).view(Ids),
        [2, 4, 9],
        np.isin(np.arange(10), [2, 4, 9]),
        np.repeat(np.isin(np.arange(10), [2, 4, 9]), 2)[::2],
        np.isin(np.arange(10), [2, 4, 9]).view(Ids),
        np.isin(np.arange(10), [2, 4, 9]).tolist(),
        # numpy takes every byte but 0 for true, and memory that came from elsewhere may hold them
        np.array([0, 0, 2, 0, 255, 0, 0, 0, 0, 128], np.uint8).view(bool),
    ],
    ids=str,
)
@pytest.mark.parametrize("writeable", [True, False])
def test_filters_in_any_form(allowed, writeable):
    if isinstance(allowed, np.ndarray):
        allowed.flags.writeable = writeable
    rows = np.arange(10, dtype=np.float32)[:, None]
    assert filled(rows, "dot").search([[1.0]], 4, allowed=allowed).ids.tolist() == [[9, 4, 2, -1]]


@pytest.mark.parametrize("rows_a_call", [300_000, 100_000, 1000])
def test_large_filters(rows_a_call):
    n = 300_000
    rows = np.arange(n, dtype=np.float32)[:, None]
    rng = np.random.default_rng(0)
    ids = rng.permutation(n) if rows_a_call == 100_000 else np.arange(n)
    index = DenseIndex(1, "dot")
    for start in range(0, n, rows_a_call):
        index.add(rows[ids[start : start + rows_a_call]], ids=ids[start : start + rows_a_call])
    index.remove(rng.choice(n, 20_000, replace=False))
    for share in (1e-4, 0.01, 0.7):
        mask = rng.random(len(index)) < share
        allowed = rng.permutation(np.concatenate([index.ids[mask], np.arange(n, n + 1000)]))
        wanted = np.sort(index.ids[mask])[::-1][:10].tolist()
        for form in (mask, allowed, np.sort(allowed)):
            assert index.search([[1.0]], 10, allowed=form).ids.tolist() == [wanted]
