import copy
import pickle
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hmem_fast import errors
from hmem_fast.core import DenseIndex
from hmem_fast.types import Neighbours
from strategies import float64_scan, float64_scores, float_rows

METRICS = ["cosine", "dot"]


def filled(rows, metric="cosine"):
    index = DenseIndex(rows.shape[1], metric=metric)
    index.add(rows)
    return index


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


EXACTNESS_SETS = {
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


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", EXACTNESS_SETS)
def test_ids_and_order_are_those_of_a_float64_scan(name, metric):
    rows = EXACTNESS_SETS[name]
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


@given(data=st.data(), metric=st.sampled_from(METRICS), d=st.integers(1, 40), k=st.integers(1, 30))
def test_any_rows(data, metric, d, k):
    rows = data.draw(float_rows(st.integers(1, 25), d, zeros=metric == "dot"))
    queries = data.draw(float_rows(st.integers(0, 4), d, zeros=metric == "dot"))
    found = filled(rows, metric).search(queries, k)
    np.testing.assert_array_equal(found.ids, float64_scan(rows, queries, k, metric))


def test_result_types():
    found = filled(random_rows(0)).search(random_rows(1, n=3), 5)
    assert type(found) is Neighbours
    for array in found:
        assert type(array) is np.ndarray
        assert array.flags.c_contiguous
        assert array.flags.writeable
    assert (found.ids.dtype, found.ids.shape) == (np.int64, (3, 5))
    assert (found.scores.dtype, found.scores.shape) == (np.float32, (3, 5))


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


@pytest.mark.parametrize("threads", [1, 2, 3, 2**62])
def test_threads_and_batches_do_not_change_the_answer(threads):
    rows, queries = random_rows(0), random_rows(1, n=50)
    index = filled(rows)
    together = index.search(queries, 10, threads=threads)
    alone = [index.search(query[None], 10) for query in queries]
    np.testing.assert_array_equal(together.ids, np.concatenate([found.ids for found in alone]))
    np.testing.assert_array_equal(together.scores, np.concatenate([found.scores for found in alone]))


def test_exact_false_may_answer_exactly():
    index, queries = filled(random_rows(0)), random_rows(1, n=5)
    np.testing.assert_array_equal(index.search(queries, 5, exact=False).ids, index.search(queries, 5).ids)


# ids, removing, replacing


def test_default_ids_are_never_used_again():
    index = DenseIndex(2)
    assert index.add(np.ones((2, 2), np.float32)).tolist() == [0, 1]
    index.remove([1])
    assert index.add(np.ones((1, 2), np.float32)).tolist() == [2]
    assert index.add(np.ones((1, 2), np.float32), ids=[10]).tolist() == [10]
    assert index.add(np.ones((1, 2), np.float32)).tolist() == [11]
    assert index.ids.tolist() == [0, 2, 10, 11]
    assert (len(index), 2 in index, 1 in index, "2" in index) == (4, True, False, False)


def test_replace_puts_the_row_last():
    index = DenseIndex(2)
    index.add([[1.0, 0.0], [1.0, 0.0]], ids=[5, 6])
    with pytest.raises(errors.DuplicateIdError, match="5"):
        index.add([[0.0, 1.0]], ids=[5])
    index.add([[1.0, 0.0]], ids=[5], replace=True)
    assert index.search([[1.0, 0.0]], 2).ids.tolist() == [[6, 5]]


@pytest.mark.parametrize(
    ("ids", "error"),
    [
        ([0, 0], errors.DuplicateIdError),
        ([-1, 1], errors.InvalidValueError),
        ([1], errors.ShapeError),
        ([[1, 2]], errors.ShapeError),
        ([1.0, 2.0], errors.DTypeError),
        ([True, False], errors.DTypeError),
        (["a", "b"], errors.DTypeError),
        (np.array([1, 2**63], np.uint64), errors.InvalidValueError),
    ],
)
def test_bad_ids_change_nothing(ids, error):
    index = DenseIndex(2)
    with pytest.raises(error, match="ids"):
        index.add(np.ones((2, 2), np.float32), ids=ids)
    assert (len(index), index.add(np.ones((1, 2), np.float32)).tolist()) == (0, [0])


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int32, np.uint64, ">i8"])
def test_integer_ids_of_any_width(dtype):
    index = DenseIndex(2)
    assert index.add(np.ones((2, 2), np.float32), ids=np.array([9, 4], dtype)).tolist() == [9, 4]
    index.remove(np.array([9, 0, 9, 0], dtype)[:1])
    assert index.ids.tolist() == [4]


def test_removing_an_unknown_id_removes_nothing():
    index = filled(random_rows(0, n=5))
    with pytest.raises(errors.UnknownIdError, match="77"):
        index.remove([1, 77])
    with pytest.raises(errors.DuplicateIdError):
        index.remove([1, 1])
    index.remove([])
    assert len(index) == 5


def test_vectors():
    rows = random_rows(0, n=5) * 10
    np.testing.assert_array_equal(filled(rows, "dot").vectors([3, 0, 3]), rows[[3, 0, 3]])
    units = filled(rows).vectors([3, 0])
    np.testing.assert_allclose(units, rows[[3, 0]] / np.linalg.norm(rows[[3, 0]], axis=1, keepdims=True), rtol=1e-6)
    assert filled(rows).vectors([]).shape == (0, 48)
    with pytest.raises(errors.UnknownIdError):
        filled(rows).vectors([9])


def test_vectors_of_extreme_rows_come_back_as_they_were():
    rows = np.array([[1e-45, 3e-40], [3e38, -1.0], [0.0, 0.0], [-0.0, 1e-38]], np.float32)
    np.testing.assert_array_equal(filled(rows, "dot").vectors([0, 1, 2, 3]), rows)


# filters


@pytest.mark.parametrize("metric", METRICS)
def test_filters(metric):
    rows, queries = random_rows(0), random_rows(1, n=8)
    index = filled(rows, metric)
    index.remove(np.arange(0, 700, 3))
    rng = np.random.default_rng(0)
    for share in (0.005, 0.1, 0.9):
        mask = rng.random(len(index)) < share
        ids = index.ids[mask]
        by_mask = index.search(queries, 10, allowed=mask)
        by_ids = index.search(queries, 10, allowed=np.append(ids, [0, 10**12, -5]))
        np.testing.assert_array_equal(by_mask.ids, by_ids.ids)
        best = float64_scan(rows[ids], queries, 10, metric)
        wanted = np.full((8, 10), -1)
        wanted[:, : best.shape[1]] = ids[best]
        np.testing.assert_array_equal(by_mask.ids, wanted)
        np.testing.assert_array_equal(np.isneginf(by_mask.scores), wanted == -1)


@pytest.mark.parametrize("allowed", [[], np.zeros(5, bool), np.array([], np.int64), [99]])
def test_a_filter_may_leave_nothing(allowed):
    found = filled(random_rows(0, n=5)).search(random_rows(1, n=2), 3, allowed=allowed)
    assert (found.ids == -1).all()
    assert np.isneginf(found.scores).all()


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


@pytest.mark.parametrize(
    ("allowed", "error"),
    [
        (np.ones(4, bool), errors.ShapeError),
        (np.ones((1, 5), bool), errors.ShapeError),
        ([[1, 2]], errors.ShapeError),
        ([1.0], errors.DTypeError),
        ("all", errors.DTypeError),
    ],
)
def test_bad_filters(allowed, error):
    with pytest.raises(error, match="allowed"):
        filled(random_rows(0, n=5)).search(random_rows(1, n=2), 3, allowed=allowed)


# bad input


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite_names_the_row_and_adds_nothing(value):
    rows = random_rows(0, n=5)
    index = filled(rows)
    bad = rows.copy()
    bad[3, 7] = value
    with pytest.raises(errors.InvalidValueError, match="rows: row 3"):
        index.add(bad)
    with pytest.raises(ValueError, match="queries: row 3"):
        index.search(bad, 2)
    assert len(index) == 5


@pytest.mark.parametrize(
    ("queries", "got"),
    [
        (np.ones(48, np.float32), r"\(48,\)"),
        (np.ones((2, 47), np.float32), r"\(2, 47\)"),
        (np.ones((1, 2, 48), np.float32), r"\(1, 2, 48\)"),
        (np.float32(1.0), r"\(\)"),
        ([[1.0], [1.0, 2.0]], "inhomogeneous"),
        ([], r"\(0,\)"),
    ],
)
def test_wrong_shape_shows_both(queries, got):
    wanted = "queries: " if got == "inhomogeneous" else r"queries: wanted shape \(m, 48\), got "
    with pytest.raises(errors.ShapeError, match=wanted + ".*" * (got == "inhomogeneous") + got):
        filled(random_rows(0, n=5)).search(queries, 2)
    if got != "inhomogeneous":
        with pytest.raises(errors.ShapeError, match=r"rows: wanted shape \(n, 48\), got " + got):
            DenseIndex(48).add(queries)


@pytest.mark.parametrize(
    "rows",
    [
        np.ones((2, 3), np.int64),
        np.ones((2, 3), bool),
        np.ones((2, 3), complex),
        np.ones((2, 3), object),
        np.ones((2, 3), np.longdouble),
        [[1, 2, 3]],
        [["a", "b", "c"]],
        None,
    ],
)
def test_wrong_type(rows):
    index = DenseIndex(3)
    with pytest.raises(errors.DTypeError, match="rows: wanted float32"):
        index.add(rows)
    with pytest.raises(TypeError):
        index.search(rows, 1)


def layouts(rows):
    yield "float64", rows.astype(np.float64)
    yield "big-endian", rows.astype(">f4")
    yield "big-endian float64", rows.astype(">f8")
    yield "Fortran order", np.asfortranarray(rows)
    yield "list", rows.tolist()
    wide = np.full((2 * len(rows), 2 * rows.shape[1]), np.nan, np.float32)
    wide[::2, 1::2] = rows
    yield "strided", wide[::2, 1::2]
    yield "reversed", np.ascontiguousarray(rows[::-1, ::-1])[::-1, ::-1]
    unaligned = np.zeros(rows.nbytes + 1, np.uint8)[1:].view(np.float32).reshape(rows.shape)
    unaligned[...] = rows
    yield "unaligned", unaligned
    read_only = rows.copy()
    read_only.flags.writeable = False
    yield "read-only", read_only
    yield "memoryview", memoryview(rows)


@pytest.mark.parametrize("n", [7, 6000], ids=["copied", "borrowed"])
def test_layouts_are_copied_and_never_read_raw(n):
    rows = random_rows(0, n=n)
    before = rows.copy()
    for name, layout in layouts(rows):
        index = DenseIndex(48, "dot")
        index.add(layout)
        np.testing.assert_array_equal(index.vectors(np.arange(n)), rows, err_msg=name)
        np.testing.assert_array_equal(index.search(layout[:3], 3).ids, filled(rows, "dot").search(rows[:3], 3).ids)
    np.testing.assert_array_equal(rows, before)


def test_float16_is_cast():
    rows = random_rows(0, n=5).astype(np.float16)
    np.testing.assert_array_equal(filled(rows, "dot").vectors(np.arange(5)), rows.astype(np.float32))


def test_float64_beyond_float32_is_refused():
    rows = np.ones((4, 3))
    rows[2, 1] = 1e39
    with pytest.raises(errors.InvalidValueError, match=r"rows: row 2 holds 1e39"):
        DenseIndex(3).add(rows)


def test_zero_rows():
    rows = np.array([[1.0, 0.0], [0.0, 0.0], [-1.0, 0.0]], np.float32)
    with pytest.raises(errors.InvalidValueError, match="rows: row 1 is all zeros"):
        DenseIndex(2).add(rows)
    with pytest.raises(errors.InvalidValueError, match="queries: row 1 is all zeros"):
        filled(rows[:1]).search(rows, 1)
    found = filled(rows, "dot").search(rows[:2], 3)
    assert found.ids.tolist() == [[0, 1, 2], [0, 1, 2]]
    assert found.scores.tolist() == [[1.0, 0.0, -1.0], [0.0, 0.0, 0.0]]


@pytest.mark.parametrize("name", ["k", "threads"])
@pytest.mark.parametrize("value", [0, -1, -(2**70)])
def test_counts_below_one(name, value):
    with pytest.raises(errors.InvalidValueError, match=f"{name}: wanted"):
        filled(random_rows(0)).search(random_rows(1, n=2), **{"k": 1, name: value})


@pytest.mark.parametrize("k", [1.0, "3", None, True])
def test_k_must_be_an_integer(k):
    with pytest.raises(errors.DTypeError, match="k: wanted an integer"):
        filled(random_rows(0)).search(random_rows(1, n=2), k)


@pytest.mark.parametrize("k", [5, 6, 2**31, 2**62, 2**63, 2**64, 2**200, np.int64(7)])
def test_k_above_n_gives_n_columns(k):
    found = filled(random_rows(0, n=5)).search(random_rows(1, n=2), k)
    assert found.ids.shape == found.scores.shape == (2, 5)
    assert sorted(found.ids[0]) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("n", "m"), [(0, 3), (0, 0), (4, 0)])
def test_empty_index_or_batch(n, m):
    index = DenseIndex(6)
    assert index.add(np.empty((0, 6), np.float32)).dtype == np.int64
    index.add(np.ones((n, 6), np.float32))
    found = index.search(np.ones((m, 6), np.float32), 2)
    assert (found.ids.dtype, found.ids.shape) == (np.int64, (m, min(2, n)))
    assert (found.scores.dtype, found.scores.shape) == (np.float32, (m, min(2, n)))
    assert index.search(np.ones((m, 6), np.float32), 2, allowed=np.zeros(n, bool)).ids.shape == (m, min(2, n))


@pytest.mark.parametrize("dim", [0, -1, 2**21, 2**70])
def test_bad_width(dim):
    with pytest.raises(errors.InvalidValueError, match="dim: wanted"):
        DenseIndex(dim)


def test_unknown_metric():
    with pytest.raises(errors.InvalidValueError, match="metric: wanted"):
        DenseIndex(3, metric="euclid")


# the object


def test_attributes():
    index = filled(random_rows(0, n=5), "dot")
    assert (index.dim, index.metric) == (48, "dot")
    assert repr(index) == "DenseIndex(dim=48, metric='dot', n=5)"
    assert index.nbytes >= 5 * 48 * 4
    with pytest.raises(AttributeError):
        index.dim = 3


@pytest.mark.parametrize("metric", METRICS)
def test_state_round_trips(metric):
    rows = EXACTNESS_SETS["unequal norms"]
    index = filled(rows, metric)
    index.remove(np.arange(100, 600))
    index.remove([699])
    for twin in (DenseIndex.from_state(index.state()), copy.copy(index), copy.deepcopy(index)):
        assert repr(twin) == repr(index)
        for mine, theirs in zip(index.search(rows[:20], 9), twin.search(rows[:20], 9), strict=True):
            np.testing.assert_array_equal(mine, theirs)
        assert twin.add(rows[:1]).tolist() == [700]
    assert 700 not in index


@pytest.mark.parametrize(
    ("entry", "value", "error"),
    [
        ("ids", [0, 0, 1], errors.DuplicateIdError),
        ("ids", [0, 1], errors.ShapeError),
        ("exponents", [0, 0], errors.ShapeError),
        ("exponents", [0, 0, 200], errors.InvalidValueError),
        ("exponents", [0, 0, 2**63 - 1], errors.InvalidValueError),
        ("rows", np.full((3, 48), np.nan, np.float32), errors.InvalidValueError),
        ("metric", "euclid", errors.InvalidValueError),
    ],
)
def test_damaged_state_is_refused(entry, value, error):
    state = filled(random_rows(0, n=3)).state() | {entry: value}
    with pytest.raises(error):
        DenseIndex.from_state(state)


def test_state_without_an_entry_is_refused():
    state = filled(random_rows(0, n=3)).state()
    del state["ids"]
    with pytest.raises(KeyError, match="ids"):
        DenseIndex.from_state(state)


class AgainstADict(RuleBasedStateMachine):
    """Adds, replaces, removes and searches, beside a dict that keeps insertion order."""

    def __init__(self):
        super().__init__()
        self.index = DenseIndex(3)
        self.rows = {}
        self.next_id = 0

    @rule(rows=float_rows(st.integers(0, 6), 3))
    def add(self, rows):
        ids = self.index.add(rows)
        assert ids.tolist() == list(range(self.next_id, self.next_id + len(rows)))
        self.rows.update(zip(ids.tolist(), rows, strict=True))
        self.next_id += len(rows)

    @rule(ids=st.lists(st.integers(0, 30), max_size=4, unique=True), data=st.data(), replace=st.booleans())
    def add_named(self, ids, data, replace):
        rows = data.draw(float_rows(len(ids), 3))
        if not replace and any(i in self.rows for i in ids):
            with pytest.raises(errors.DuplicateIdError):
                self.index.add(rows, ids=ids)
            return
        self.index.add(rows, ids=ids, replace=replace)
        for i, row in zip(ids, rows, strict=True):
            self.rows.pop(i, None)
            self.rows[i] = row
        self.next_id = max([self.next_id, *(i + 1 for i in ids)])

    @rule(data=st.data())
    def remove(self, data):
        ids = data.draw(st.lists(st.sampled_from(sorted(self.rows) or [10**9]), unique=True, max_size=5))
        if any(i not in self.rows for i in ids):
            with pytest.raises(errors.UnknownIdError):
                self.index.remove(ids)
            return
        self.index.remove(ids)
        for i in ids:
            del self.rows[i]

    @rule(
        queries=float_rows(st.integers(1, 3), 3), k=st.integers(1, 12), allowed=st.none() | st.sets(st.integers(0, 40))
    )
    def search(self, queries, k, allowed):
        ids = np.array([i for i in self.rows if allowed is None or i in allowed], dtype=np.int64)
        columns = min(k, len(self.rows))
        wanted = np.full((len(queries), columns), -1)
        if len(ids):
            best = float64_scan(np.array([self.rows[int(i)] for i in ids]), queries, k, "cosine")
            wanted[:, : best.shape[1]] = ids[best]
        found = self.index.search(queries, k, allowed=None if allowed is None else sorted(allowed))
        np.testing.assert_array_equal(found.ids, wanted)

    @invariant()
    def holds_the_same(self):
        assert self.index.ids.tolist() == list(self.rows)
        assert len(self.index) == len(self.rows)


TestAgainstADict = AgainstADict.TestCase
TestAgainstADict.settings = settings(max_examples=100, stateful_step_count=40)


def test_searches_beside_a_writer_see_whole_writes():
    # Each write adds 10 equal rows or removes them, so every search must find a multiple of 10 of each.
    index = DenseIndex(8, "dot")
    stop = threading.Event()
    failures = []

    def search():
        while not stop.is_set():
            found = index.search(np.ones((1, 8), np.float32), 10**6)
            _, counts = np.unique(found.scores, return_counts=True)
            if (found.ids < 0).any() or (counts % 10).any() or (np.diff(found.scores) > 0).any():
                failures.append(found)

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    written = []
    for step in range(300):
        written.append(index.add(np.full((10, 8), step + 1.0, np.float32)))
        if step % 3 == 0:
            index.remove(written.pop(len(written) // 2))
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(index) == 2000
