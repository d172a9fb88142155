"""What an index promises, whichever computes it: the compiled core, or PyTorch on a device (marked torch)."""

import copy
import pickle
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from hmem_fast import errors
from hmem_fast.types import Index, Neighbours
from indexes import KINDS
from strategies import METRICS, ROW_SETS, float_rows, random_rows


@pytest.fixture(scope="module", params=KINDS)
def new_index(request):
    """Makes an empty index: `new_index(dim, metric)`."""
    return request.param.ready()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", ROW_SETS)
def test_answers_are_those_of_a_float64_scan(new_index, name, metric):
    rows = ROW_SETS[name]
    noise = random_rows(11, n=10, d=rows.shape[1]) * np.abs(rows[:10]).mean()
    queries = np.concatenate([rows[:10], -rows[-5:], rows[:10] + noise, np.abs(noise)])
    found = new_index.filled(rows, metric).search(queries, 20)
    new_index.check_answer(found, np.arange(len(rows)), rows, queries, metric)


@given(data=st.data(), metric=st.sampled_from(METRICS), d=st.integers(1, 40), k=st.integers(1, 30))
def test_answers_about_any_rows(new_index, data, metric, d, k):
    rows = data.draw(float_rows(st.integers(1, 25), d, zeros=metric == "dot"))
    queries = data.draw(float_rows(st.integers(0, 4), d, zeros=metric == "dot"))
    found = new_index.filled(rows, metric).search(queries, k)
    new_index.check_answer(found, np.arange(len(rows)), rows, queries, metric)


def test_result_types(new_index):
    found = new_index.filled(random_rows(0)).search(random_rows(1, n=3), 5)
    assert type(found) is Neighbours
    for array in found:
        assert type(array) is np.ndarray
        assert array.flags.c_contiguous
        assert array.flags.writeable
    assert (found.ids.dtype, found.ids.shape) == (np.int64, (3, 5))
    assert (found.scores.dtype, found.scores.shape) == (np.float32, (3, 5))


def test_exact_false_may_answer_exactly(new_index):
    index, queries = new_index.filled(random_rows(0)), random_rows(1, n=5)
    np.testing.assert_array_equal(index.search(queries, 5, exact=False).ids, index.search(queries, 5).ids)


# ids, removing, replacing


def test_default_ids_are_never_used_again(new_index):
    index = new_index(2)
    assert index.add(np.ones((2, 2), np.float32)).tolist() == [0, 1]
    index.remove([1])
    assert index.add(np.ones((1, 2), np.float32)).tolist() == [2]
    assert index.add(np.ones((1, 2), np.float32), ids=[10]).tolist() == [10]
    assert index.add(np.ones((1, 2), np.float32)).tolist() == [11]
    assert index.ids.tolist() == [0, 2, 10, 11]
    assert (len(index), 2 in index, 1 in index, "2" in index) == (4, True, False, False)


def test_the_ids_that_are_given_back_are_the_callers(new_index):
    index = new_index(2)
    for ids in (index.add(np.ones((2, 2), np.float32)), index.add(np.ones((1, 2), np.float32), ids=[9]), index.ids):
        ids[:] = 77
    assert index.ids.tolist() == [0, 1, 9]


def test_replace_puts_the_row_last(new_index):
    index = new_index(2)
    index.add([[1.0, 0.0], [1.0, 0.0]], ids=[5, 6])
    with pytest.raises(errors.DuplicateIdError, match="5"):
        index.add([[0.0, 1.0]], ids=[5])
    index.add([[0.0, 1.0]], ids=[5], replace=True)
    assert index.ids.tolist() == [6, 5]
    assert index.search([[0.0, 1.0]], 2).ids.tolist() == [[5, 6]]


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
def test_bad_ids_change_nothing(new_index, ids, error):
    index = new_index(2)
    with pytest.raises(error, match="ids"):
        index.add(np.ones((2, 2), np.float32), ids=ids)
    assert (len(index), index.add(np.ones((1, 2), np.float32)).tolist()) == (0, [0])


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int32, np.uint64, ">i8"])
def test_integer_ids_of_any_width(new_index, dtype):
    index = new_index(2)
    assert index.add(np.ones((2, 2), np.float32), ids=np.array([9, 4], dtype)).tolist() == [9, 4]
    index.remove(np.array([9, 0, 9, 0], dtype)[:1])
    assert index.ids.tolist() == [4]


def test_removing_an_unknown_id_removes_nothing(new_index):
    index = new_index.filled(random_rows(0, n=5))
    with pytest.raises(errors.UnknownIdError, match="77"):
        index.remove([1, 77])
    with pytest.raises(errors.DuplicateIdError):
        index.remove([1, 1])
    index.remove([])
    assert len(index) == 5


def test_vectors(new_index):
    rows = random_rows(0, n=5) * 10
    np.testing.assert_array_equal(new_index.filled(rows, "dot").vectors([3, 0, 3]), rows[[3, 0, 3]])
    units = new_index.filled(rows).vectors([3, 0])
    np.testing.assert_allclose(units, rows[[3, 0]] / np.linalg.norm(rows[[3, 0]], axis=1, keepdims=True), rtol=1e-6)
    assert new_index.filled(rows).vectors([]).shape == (0, 48)
    with pytest.raises(errors.UnknownIdError):
        new_index.filled(rows).vectors([9])


def test_vectors_of_extreme_rows_come_back_as_they_were(new_index):
    rows = np.array([[1e-45, 3e-40], [3e38, -1.0], [0.0, 0.0], [-0.0, 1e-38]], np.float32)
    np.testing.assert_array_equal(new_index.filled(rows, "dot").vectors([0, 1, 2, 3]), rows)


# filters


@pytest.mark.parametrize("metric", METRICS)
def test_filters(new_index, metric):
    rows, queries = random_rows(0), random_rows(1, n=8)
    index = new_index.filled(rows, metric)
    index.remove(np.arange(0, 700, 3))
    rng = np.random.default_rng(0)
    for share in (0.005, 0.1, 0.9):
        mask = rng.random(len(index)) < share
        ids = index.ids[mask]
        by_mask = index.search(queries, 10, allowed=mask)
        by_ids = index.search(queries, 10, allowed=np.append(ids, [0, 10**12, -5]))
        np.testing.assert_array_equal(by_mask.ids, by_ids.ids)
        new_index.check_answer(by_mask, ids, rows[ids], queries, metric)


@pytest.mark.parametrize("allowed", [[], np.zeros(5, bool), np.array([], np.int64), [99]])
def test_a_filter_may_leave_nothing(new_index, allowed):
    found = new_index.filled(random_rows(0, n=5)).search(random_rows(1, n=2), 3, allowed=allowed)
    assert (found.ids == -1).all()
    assert np.isneginf(found.scores).all()


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
def test_bad_filters(new_index, allowed, error):
    with pytest.raises(error, match="allowed"):
        new_index.filled(random_rows(0, n=5)).search(random_rows(1, n=2), 3, allowed=allowed)


# bad input


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite_names_the_row_and_adds_nothing(new_index, value):
    rows = random_rows(0, n=5)
    index = new_index.filled(rows)
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
def test_wrong_shape_shows_both(new_index, queries, got):
    wanted = "queries: " if got == "inhomogeneous" else r"queries: wanted shape \(m, 48\), got "
    with pytest.raises(errors.ShapeError, match=wanted + ".*" * (got == "inhomogeneous") + got):
        new_index.filled(random_rows(0, n=5)).search(queries, 2)
    if got != "inhomogeneous":
        with pytest.raises(errors.ShapeError, match=r"rows: wanted shape \(n, 48\), got " + got):
            new_index(48).add(queries)


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
def test_wrong_type(new_index, rows):
    index = new_index(3)
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
def test_layouts_are_copied_and_never_read_raw(new_index, n):
    rows = random_rows(0, n=n)
    before = rows.copy()
    for name, layout in layouts(rows):
        index = new_index(48, "dot")
        index.add(layout)
        np.testing.assert_array_equal(index.vectors(np.arange(n)), rows, err_msg=name)
        np.testing.assert_array_equal(
            index.search(layout[:3], 3).ids, new_index.filled(rows, "dot").search(rows[:3], 3).ids
        )
    np.testing.assert_array_equal(rows, before)


def test_float16_is_cast(new_index):
    rows = random_rows(0, n=5).astype(np.float16)
    np.testing.assert_array_equal(new_index.filled(rows, "dot").vectors(np.arange(5)), rows.astype(np.float32))


def test_float64_beyond_float32_is_refused(new_index):
    rows = np.ones((4, 3))
    rows[2, 1] = 1e39
    with pytest.raises(errors.InvalidValueError, match=r"rows: row 2 holds 1e39"):
        new_index(3).add(rows)


def test_zero_rows(new_index):
    rows = np.array([[1.0, 0.0], [0.0, 0.0], [-1.0, 0.0]], np.float32)
    with pytest.raises(errors.InvalidValueError, match="rows: row 1 is all zeros"):
        new_index(2).add(rows)
    with pytest.raises(errors.InvalidValueError, match="queries: row 1 is all zeros"):
        new_index.filled(rows[:1]).search(rows, 1)
    found = new_index.filled(rows, "dot").search(rows[:2], 3)
    assert found.ids[0].tolist() == sorted(found.ids[1]) == [0, 1, 2]
    assert found.scores.tolist() == [[1.0, 0.0, -1.0], [0.0, 0.0, 0.0]]


@pytest.mark.parametrize("name", ["k", "threads"])
@pytest.mark.parametrize("value", [0, -1, -(2**70)])
def test_counts_below_one(new_index, name, value):
    with pytest.raises(errors.InvalidValueError, match=f"{name}: wanted"):
        new_index.filled(random_rows(0)).search(random_rows(1, n=2), **{"k": 1, name: value})


@pytest.mark.parametrize("k", [1.0, "3", None, True])
def test_k_must_be_an_integer(new_index, k):
    with pytest.raises(errors.DTypeError, match="k: wanted an integer"):
        new_index.filled(random_rows(0)).search(random_rows(1, n=2), k)


@pytest.mark.parametrize("k", [5, 6, 2**31, 2**62, 2**63, 2**64, 2**200, np.int64(7)])
def test_k_above_n_gives_n_columns(new_index, k):
    found = new_index.filled(random_rows(0, n=5)).search(random_rows(1, n=2), k)
    assert found.ids.shape == found.scores.shape == (2, 5)
    assert sorted(found.ids[0]) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("n", "m"), [(0, 3), (0, 0), (4, 0)])
def test_empty_index_or_batch(new_index, n, m):
    index = new_index(6)
    assert index.add(np.empty((0, 6), np.float32)).dtype == np.int64
    index.add(np.ones((n, 6), np.float32))
    found = index.search(np.ones((m, 6), np.float32), 2)
    assert (found.ids.dtype, found.ids.shape) == (np.int64, (m, min(2, n)))
    assert (found.scores.dtype, found.scores.shape) == (np.float32, (m, min(2, n)))
    assert index.search(np.ones((m, 6), np.float32), 2, allowed=np.zeros(n, bool)).ids.shape == (m, min(2, n))


@pytest.mark.parametrize("dim", [0, -1, 2**21, 2**70])
def test_bad_width(new_index, dim):
    with pytest.raises(errors.InvalidValueError, match="dim: wanted"):
        new_index(dim)


def test_unknown_metric(new_index):
    with pytest.raises(errors.InvalidValueError, match="metric: wanted"):
        new_index(3, metric="euclid")


# the object


def test_attributes(new_index):
    index = new_index.filled(random_rows(0, n=5), "dot")
    assert (index.dim, index.metric) == (48, "dot")
    assert repr(index).startswith(f"{type(index).__name__}(dim=48, metric='dot', ")
    assert repr(index).endswith("n=5)")
    assert isinstance(index, Index)
    assert index.nbytes >= 5 * 48 * 4
    with pytest.raises(AttributeError):
        index.dim = 3


@pytest.mark.parametrize("metric", METRICS)
def test_state_round_trips(new_index, metric):
    rows = ROW_SETS["unequal norms"]
    index = new_index.filled(rows, metric)
    index.remove(np.arange(100, 600))
    index.remove([699])
    twins = [new_index.from_state(index.state()), copy.copy(index), copy.deepcopy(index)]
    for twin in [*twins, pickle.loads(pickle.dumps(index))]:
        assert repr(twin) == repr(index)
        np.testing.assert_array_equal(twin.ids, index.ids)
        np.testing.assert_array_equal(twin.vectors(index.ids), index.vectors(index.ids))
        new_index.check_answer(twin.search(rows[:20], 9), index.ids, rows[index.ids], rows[:20], metric)
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
def test_damaged_state_is_refused(new_index, entry, value, error):
    state = new_index.filled(random_rows(0, n=3)).state() | {entry: value}
    with pytest.raises(error):
        new_index.from_state(state)


def test_state_without_an_entry_is_refused(new_index):
    state = new_index.filled(random_rows(0, n=3)).state()
    del state["ids"]
    with pytest.raises(KeyError, match="ids"):
        new_index.from_state(state)


class AgainstADict(RuleBasedStateMachine):
    """Adds, replaces, removes and searches, beside a dict that keeps insertion order."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.index = kind(3)
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
        rows = np.array([self.rows[int(i)] for i in ids], dtype=np.float32).reshape(-1, 3)
        found = self.index.search(queries, k, allowed=None if allowed is None else sorted(allowed))
        assert found.ids.shape == found.scores.shape == (len(queries), min(k, len(self.rows)))
        self.kind.check_answer(found, ids, rows, queries)

    @invariant()
    def holds_the_same(self):
        assert self.index.ids.tolist() == list(self.rows)
        assert len(self.index) == len(self.rows)


def test_edits_and_searches_are_those_of_a_dict(new_index):
    sizes = settings(max_examples=100, stateful_step_count=40)
    run_state_machine_as_test(lambda: AgainstADict(new_index), settings=sizes)


def test_searches_beside_a_writer_see_whole_writes(new_index):
    # Each write adds 10 equal rows or removes them, so every search must find a multiple of 10 of each.
    index = new_index(8, "dot")
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
