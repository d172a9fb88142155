import math
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hmem_fast.core import SparseIndex, TextIndex, analyze
from hmem_fast.errors import DTypeError, DuplicateIdError, InvalidValueError, ShapeError, UnknownIdError
from strategies import bm25

WORDS = ["apple", "pear", "plum", "fig", "nut", "quince", "lime"]
weights = st.floats(-8, 8, width=16)
sparse_rows = st.dictionaries(st.integers(0, 12) | st.just(2**32 - 1), weights, max_size=5)
texts = st.lists(st.sampled_from([*WORDS, "the"]), max_size=8).map(" ".join)


def split(rows):
    """Rows {unit: weight} as the two arguments of an index."""
    return [list(row) for row in rows], [list(row.values()) for row in rows]


class Edited:
    """An index and the list of (id, row) that it should hold."""

    def __init__(self, index, arguments):
        self.index, self.arguments, self.rows = index, arguments, []

    def add(self, rows, ids, *, replace):
        given_ids = self.index.add(*self.arguments(rows), ids=ids, replace=replace).tolist()
        self.rows = [pair for pair in self.rows if pair[0] not in given_ids]
        self.rows += zip(given_ids, rows, strict=True)

    def remove(self, picks):
        ids = sorted({self.rows[pick % len(self.rows)][0] for pick in picks}) if self.rows else []
        self.index.remove(ids)
        self.rows = [pair for pair in self.rows if pair[0] not in ids]

    def rebuilt(self, index):
        if self.rows:
            index.add(*self.arguments([row for _, row in self.rows]), ids=[i for i, _ in self.rows])
        return index


def edits(rows):
    some = st.lists(rows, max_size=4)
    return st.lists(
        st.one_of(
            st.tuples(st.just("add"), some),
            st.tuples(st.just("put"), some, st.permutations(range(12))),
            st.tuples(st.just("remove"), st.lists(st.integers(0, 50), max_size=4)),
        ),
        max_size=12,
    )


def apply(edited, edits):
    for edit in edits:
        match edit:
            case ("add", rows):
                edited.add(rows, None, replace=False)
            case ("put", rows, ids):
                edited.add(rows, ids[: len(rows)], replace=True)
            case ("remove", picks):
                edited.remove(picks)
    assert edited.index.ids.tolist() == [i for i, _ in edited.rows]
    assert len(edited.index) == len(edited.rows)
    assert all(i in edited.index for i, _ in edited.rows)


def assert_same(a, b):
    assert a.ids.tolist() == b.ids.tolist()
    assert a.scores.tobytes() == b.scores.tobytes()


def ranked(scores, rows, k, allowed=None):
    """The best of {position: float64 score}: ids and scores, padded."""
    hits = [(-score, position) for position, score in scores.items()]
    hits = [rows[position] for _, position in sorted(hits)], [-score for score, _ in sorted(hits)]
    if allowed is not None:
        kept = [i in allowed for i in hits[0]]
        hits = [[x for x, keep in zip(part, kept, strict=True) if keep] for part in hits]
    columns = min(k, len(rows))
    pad = max(columns - len(hits[0]), 0)
    return hits[0][:columns] + [-1] * pad, np.float32(hits[1][:columns] + [-math.inf] * pad)


# SparseIndex


@given(
    edits(sparse_rows), st.lists(sparse_rows, max_size=3), st.integers(1, 9), st.none() | st.sets(st.integers(0, 20))
)
def test_sparse_equals_a_plain_sum_and_a_rebuilt_index(edits, queries, k, allowed):
    edited = Edited(SparseIndex(), split)
    apply(edited, edits)
    ids = None if allowed is None else sorted(allowed)
    hits = edited.index.search(*split(queries), k, allowed=ids, threads=2)
    assert_same(hits, edited.rebuilt(SparseIndex()).search(*split(queries), k, allowed=ids))
    names = [i for i, _ in edited.rows]
    assert hits.ids.shape == hits.scores.shape == (len(queries), min(k, len(names)))
    assert (hits.ids.dtype, hits.scores.dtype) == (np.int64, np.float32)
    for query, found, scores in zip(queries, *hits, strict=True):
        sums = {}
        for position, (_, row) in enumerate(edited.rows):
            shared = [weight * row[unit] for unit, weight in query.items() if unit in row]
            if shared:
                sums[position] = sum(shared) + 0.0
        wanted_ids, wanted_scores = ranked(sums, names, k, allowed)
        assert found.tolist() == wanted_ids
        assert scores.tolist() == wanted_scores.tolist()


def test_sparse_takes_arrays_lists_and_no_weights():
    units = np.array([[1, 2], [2, 3]])
    a, b, c = SparseIndex(), SparseIndex(), SparseIndex()
    a.add(units, np.ones((2, 2), np.float32))
    b.add(units.astype(">u2")[:, ::-1])
    c.add([[1, 2], np.array([2, 3], np.uint8)], [np.ones(2, np.float16), [1.0, 1.0]])
    for index in (a, b, c):
        hits = index.search(units.astype(np.uint32), None, 2)
        assert hits.ids.tolist() == [[0, 1], [1, 0]]
        assert hits.scores.tolist() == [[2, 1], [2, 1]]
    assert a.nbytes == c.nbytes > 0


def test_sparse_ties_come_in_insertion_order_and_a_mask_filters_by_it():
    index = SparseIndex()
    index.add([[7]] * 5, ids=[40, 10, 30, 20, 50])
    assert index.search([[7]], None, 3).ids.tolist() == [[40, 10, 30]]
    mask = np.array([False, False, True, True, True])
    assert index.search([[7]], None, 9, allowed=mask).ids.tolist() == [[30, 20, 50, -1, -1]]
    assert index.search([[7]], None, 9, allowed=[]).ids.tolist() == [[-1] * 5]
    with pytest.raises(ShapeError, match="allowed"):
        index.search([[7]], None, 9, allowed=mask[1:])


def test_a_shared_unit_is_a_hit_whatever_its_score():
    index = SparseIndex()
    index.add([[1], [1], [2]], [[0.0], [-3.0], [5.0]])
    hits = index.search([[1]], None, 3)
    assert hits.ids.tolist() == [[0, 1, -1]]
    assert hits.scores.tolist() == [[0, -3, -math.inf]]


SPARSE_REFUSED = [
    ([[1, 1]], None, InvalidValueError, "unit 1 twice in row 0"),
    ([[0], [3, 5, 3]], None, InvalidValueError, "unit 3 twice in row 1"),
    ([[-1]], None, InvalidValueError, "units"),
    ([[2**32]], None, InvalidValueError, "units"),
    ([[1.0]], None, DTypeError, "units: wanted integers"),
    ([[True]], None, DTypeError, "units: wanted integers"),
    ([["a"]], None, DTypeError, "units"),
    ([["a"]], None, DTypeError, "units"),
    ("ab", None, DTypeError, "units"),
    (3, None, DTypeError, "units"),
    (None, None, DTypeError, "units"),
    (np.array([1, 2]), None, ShapeError, "units: wanted shape"),
    (np.zeros((1, 1, 1), int), None, ShapeError, "units: wanted shape"),
    ([1, 2], None, ShapeError, "units"),
    (np.array([[1, 2], [3, 4]], object), None, DTypeError, "units"),
    ([[1, 2]], [[1.0]], ShapeError, "weights: wanted 2 entries in row 0"),
    ([[1, 2]], [[1.0, 2.0], []], ShapeError, "weights: wanted 1 rows"),
    ([[1], [1, 2]], [[1.0], [1.0, math.nan]], InvalidValueError, "weights: row 1 holds NaN at column 1"),
    ([[1]], [[-math.inf]], InvalidValueError, "weights: row 0 holds an infinity"),
    ([[1]], [[1e39]], InvalidValueError, "weights.*float32"),
    ([[1]], [[1]], DTypeError, "weights"),
    ([[1]], [[1j]], DTypeError, "weights"),
]


@pytest.mark.parametrize(("units", "weights", "error", "message"), SPARSE_REFUSED)
def test_bad_sparse_rows_are_refused_and_change_nothing(units, weights, error, message):
    index = SparseIndex()
    index.add([[1]], [[1.0]])
    with pytest.raises(error, match=message):
        index.add(units, weights)
    with pytest.raises(error, match=message):
        index.search(units, weights, 1)
    assert len(index) == 1


# TextIndex


@given(edits(texts), st.lists(texts, max_size=3), st.integers(1, 9), st.none() | st.sets(st.integers(0, 20)))
def test_text_equals_the_formula_and_a_rebuilt_index(edits, queries, k, allowed):
    edited = Edited(TextIndex(), lambda rows: [rows])
    apply(edited, edits)
    ids = None if allowed is None else sorted(allowed)
    hits = edited.index.search(queries, k, allowed=ids, threads=2)
    assert_same(hits, edited.rebuilt(TextIndex()).search(queries, k, allowed=ids))
    names = [i for i, _ in edited.rows]
    assert hits.ids.shape == hits.scores.shape == (len(queries), min(k, len(names)))
    documents = [analyze(text) for _, text in edited.rows]
    for query, found, scores in zip(queries, *hits, strict=True):
        wanted = bm25(documents, analyze(query), 1.2, 0.75)
        _, wanted_scores = ranked(wanted, names, k, allowed)
        assert scores == pytest.approx(wanted_scores, rel=1e-6)
        # The formula's last bit may order equal texts otherwise, so each hit is checked by its own score.
        for i, score in zip(found.tolist(), scores.tolist(), strict=True):
            assert i == -1 or score == pytest.approx(wanted[names.index(i)], rel=1e-6)


@pytest.mark.parametrize(("k1", "b"), [(0, 0), (0.0, 1.0), (2.5, 0.3), (1.2, 1)])
def test_text_parameters(k1, b):
    documents = ["apple apple pear", "apple", "pear pear plum fig nut", "fig"]
    index = TextIndex(k1=k1, b=b)
    index.add(documents)
    hits = index.search(["apple pear pear"], 4)
    wanted = bm25([analyze(d) for d in documents], analyze("apple pear pear"), k1, b)
    found = dict(zip(hits.ids[0].tolist(), hits.scores[0].tolist(), strict=True))
    assert found.pop(-1) == -math.inf
    assert found == pytest.approx(wanted, rel=1e-6)


def test_text_statistics_ignore_filters():
    index = TextIndex()
    index.add(["apple pear", "apple", "plum", "fig nut apple"])
    everything = index.search(["apple fig"], 4)
    filtered = index.search(["apple fig"], 4, allowed=[0, 3, 99])
    score = dict(zip(everything.ids[0].tolist(), everything.scores[0].tolist(), strict=True))
    assert filtered.ids[0].tolist() == [3, 0, -1, -1]
    assert filtered.scores[0].tolist() == [score[3], score[0], -math.inf, -math.inf]


def test_text_without_words_is_kept_and_never_found():
    index = TextIndex()
    index.add(["", "the", "\U0001f600", "apple"])
    assert len(index) == 4
    assert index.search(["", "the", "apple"], 4).ids.tolist() == [[-1] * 4, [-1] * 4, [3, -1, -1, -1]]


def test_text_grams_find_a_word_with_a_typing_error():
    index = TextIndex("char4")
    index.add(["a remarkable elephant", "the quick brown fox", "lorem ipsum"])
    assert index.search(["remarkbale elefant"], 1).ids.tolist() == [[0]]


def test_text_nul_is_kept_and_any_iterable_taken():
    index = TextIndex()
    assert index.add(np.array(["apple\x00pear", "plum"])).tolist() == [0, 1]
    assert index.add(text for text in ("fig",)).tolist() == [2]
    assert index.search(("pear", "fig"), 1).ids.tolist() == [[0], [2]]
    assert index.analyze("Apples\x00the pear") == ["appl", "pear"]


TEXT_REFUSED = [
    (["fine", "ab\udc80c"], InvalidValueError, r"texts\[1\]: a lone surrogate at position 2"),
    (["\ud83d"], InvalidValueError, r"texts\[0\]: a lone surrogate at position 0"),
    (["fine", 3], DTypeError, r"texts\[1\]: wanted a string, got int"),
    ([None], DTypeError, r"texts\[0\]: wanted a string, got NoneType"),
    ([b"x"], DTypeError, r"texts\[0\]: wanted a string, got bytes"),
    ("a text", DTypeError, "texts: wanted strings in a sequence, got str"),
    (b"a text", DTypeError, "texts"),
    (None, DTypeError, "texts"),
    (7, DTypeError, "texts"),
    (np.zeros((2, 2), np.float32), DTypeError, "texts"),
]


@pytest.mark.parametrize(("texts", "error", "message"), TEXT_REFUSED)
def test_bad_texts_are_refused_and_change_nothing(texts, error, message):
    index = TextIndex()
    index.add(["apple"])
    with pytest.raises(error, match=message):
        index.add(texts)
    with pytest.raises(error, match=message):
        index.search(texts, 1)
    assert len(index) == 1


@pytest.mark.parametrize(
    ("options", "error", "name"),
    [
        ({"k1": -0.1}, InvalidValueError, "k1"),
        ({"k1": math.nan}, InvalidValueError, "k1"),
        ({"k1": math.inf}, InvalidValueError, "k1"),
        ({"b": 1.01}, InvalidValueError, "b"),
        ({"b": math.nan}, InvalidValueError, "b"),
        ({"k1": 10**400}, InvalidValueError, "k1"),
        ({"k1": "1"}, DTypeError, "k1"),
        ({"k1": np.ones(2)}, DTypeError, "k1"),
        ({"b": True}, DTypeError, "b"),
        ({"analyzer": None, "stop_words": 3}, DTypeError, "stop_words"),
    ],
)
def test_bad_text_options(options, error, name):
    with pytest.raises(error, match=f"^{name}"):
        TextIndex(**options)


# Both


@pytest.fixture(params=["sparse", "text"])
def filled(request):
    """An index of three rows of its kind, how to add further ones, and how to search."""
    if request.param == "sparse":
        index = SparseIndex()
        add = lambda n, **named: index.add([[1]] * n, **named)  # noqa: E731 - two of one shape, side by side
        search = lambda k, **named: index.search([[1]], None, k, **named)  # noqa: E731 - likewise
    else:
        index = TextIndex()
        add = lambda n, **named: index.add(["apple"] * n, **named)  # noqa: E731 - likewise
        search = lambda k, **named: index.search(["apple"], k, **named)  # noqa: E731 - likewise
    add(3)
    return index, add, search


def test_bad_ids(filled):
    index, add, search = filled
    for error, bad in [
        (DuplicateIdError, lambda: add(1, ids=[2])),
        (DuplicateIdError, lambda: add(2, ids=[7, 7])),
        (DuplicateIdError, lambda: add(2, ids=[2, 2], replace=True)),
        (InvalidValueError, lambda: add(1, ids=[-1])),
        (InvalidValueError, lambda: add(1, ids=np.array([2**63], np.uint64))),
        (ShapeError, lambda: add(1, ids=[7, 8])),
        (ShapeError, lambda: add(1, ids=7)),
        (DTypeError, lambda: add(1, ids=[7.0])),
        (UnknownIdError, lambda: index.remove([0, 3])),
        (DuplicateIdError, lambda: index.remove([0, 0])),
        (DTypeError, lambda: index.remove(["0"])),
        (InvalidValueError, lambda: search(0)),
        (InvalidValueError, lambda: search(-5)),
        (DTypeError, lambda: search(1.0)),
        (InvalidValueError, lambda: search(1, threads=0)),
        (DTypeError, lambda: search(1, allowed=[0.5])),
    ]:
        with pytest.raises(error):
            bad()
        assert index.ids.tolist() == [0, 1, 2]


def test_k_above_n_gives_n_columns(filled):
    _, _, search = filled
    for k in (3, 4, 2**62, 2**100):
        assert search(k).ids.tolist() == [[0, 1, 2]]


def test_an_empty_index_and_empty_batches(filled):
    index, add, _ = filled
    assert add(0).tolist() == []
    index.remove([])
    index.remove([2, 0, 1])
    assert (len(index), index.ids.tolist()) == (0, [])
    assert index.ids.dtype == np.int64
    for k in (1, 5):
        hits = filled[2](k)
        assert hits.ids.shape == hits.scores.shape == (1, 0)
        assert (hits.ids.dtype, hits.scores.dtype) == (np.int64, np.float32)
    assert add(1).tolist() == [3], "ids are never given twice"


def test_no_queries():
    a, b = SparseIndex(), TextIndex()
    a.add([[1]])
    b.add(["apple"])
    for hits in (a.search([], None, 3), b.search([], 3), a.search(np.zeros((0, 4), int), None, 3)):
        assert hits.ids.shape == hits.scores.shape == (0, 1)


def test_replacing(filled):
    index, add, search = filled
    assert add(2, ids=[1, 9], replace=True).tolist() == [1, 9]
    assert index.ids.tolist() == [0, 2, 1, 9]
    assert search(9).ids.tolist() == [[0, 2, 1, 9]]
    assert 9 in index
    assert 3 not in index
    assert "9" not in index
    assert None not in index
    assert "4" in repr(index)


@pytest.mark.parametrize("kind", [SparseIndex, TextIndex])
def test_searches_beside_edits_see_whole_edits(kind):
    """Each edit adds ten rows that match or removes the ten oldest: a search must see a multiple of ten."""
    index = kind()
    row, query = ([[1]], ([[1]], None)) if kind is SparseIndex else (["apple"], (["apple"],))
    done = threading.Event()
    wrong = []

    def search():
        while not done.is_set():
            hits = index.search(*query, 10_000)
            found = int((hits.ids >= 0).sum())
            if found % 10 or hits.ids[0].tolist() != sorted(hits.ids[0].tolist()):
                wrong.append(found)

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for i in range(150):
        index.add(row * 10)
        if i % 3 == 2:
            index.remove(index.ids[:10])
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(index) == 1000


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_threads_change_nothing(seed):
    rng = np.random.default_rng(seed)
    units = np.argsort(rng.random((300, 40)), axis=1)[:, :6]
    values = rng.standard_normal((300, 6), np.float32)
    index = SparseIndex()
    index.add(units, values)
    one = index.search(units, values, 7)
    for threads in (2, 3, 1000, 2**64):
        assert_same(one, index.search(units, values, 7, threads=threads))
