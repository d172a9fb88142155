"""The arithmetic of the comparison with other libraries: what is right, who comes first, what stands in the table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from benches.peers import compare as comparing
from benches.peers.compare import Plan, compare
from benches.peers.data_sets import DataSet, clustered, mix
from benches.peers.methods import BASELINE, all_methods
from benches.peers.rounds import Times, orders, timed_calls
from benches.peers.table import aligned, as_markdown, as_text
from benches.peers.truth import Truth, first_wrong, recall, true_scores, truth_of
from hmem_fast.evaluate.texts import sentences

ROOT = Path(__file__).resolve().parents[1]

# Rows 1, 2 and 3 are equal: for k = 2, any of them is the second best of the first query.
ROWS = np.array([[1, 0], [0.5, 0], [0.5, 0], [0.5, 0], [0.25, 1]], dtype=np.float32)
QUERIES = np.array([[1, 0], [0, 1]], dtype=np.float32)


@pytest.fixture
def truth(cache):
    return truth_of(DataSet("ties", ROWS, QUERIES), 2, 2)


def judged(truth, ids):
    ids = np.array(ids)
    scores = true_scores(ROWS, QUERIES, ids)
    return recall(truth, ids, scores), first_wrong(truth, ids, scores)


def test_truth_is_the_float64_scan_with_equal_scores_by_id(truth):
    assert truth.ids.tolist() == [[0, 1, 2], [4, 0, 1]]
    assert truth.scores.tolist() == [[1, 0.5, 0.5], [1, 0, 0]]
    assert truth.gap == 0


def test_truth_comes_from_the_cache_the_second_time(truth, monkeypatch):
    monkeypatch.setattr("benches.peers.truth._scan", None)
    again = truth_of(DataSet("ties", ROWS, QUERIES), 2, 2)
    assert again.ids.tolist() == truth.ids.tolist()


def test_truth_of_other_rows_does_not_come_from_the_cache(truth):
    assert truth_of(DataSet("ties", ROWS[::-1].copy(), QUERIES), 2, 2).ids[0].tolist() == [4, 1, 2]


def test_truth_of_more_rows_than_one_block(cache, monkeypatch):
    monkeypatch.setattr("benches.peers.truth._BLOCK", 64)
    data = mix(1_000)
    scores = data.queries[:9].astype(np.float64) @ data.rows.astype(np.float64).T
    assert truth_of(data, 9, 5).ids.tolist() == np.argsort(-scores, axis=1)[:, :6].tolist()


@pytest.mark.parametrize("second", [1, 2, 3])
def test_any_of_equal_rows_is_right(truth, second):
    assert judged(truth, [[0, second], [4, 3]]) == (1.0, None)


def test_a_wrong_row_costs_its_share(truth):
    found, difference = judged(truth, [[0, 4], [4, 0]])
    assert found == 0.75
    assert difference.startswith("query 0, rank 2: row 4 (0.25)")


def test_a_row_that_stands_twice_counts_once(truth):
    found, difference = judged(truth, [[0, 0], [4, 0]])
    assert found == 0.75
    assert "twice" in difference


def test_more_ties_than_k_are_no_more_than_all(cache):
    rows = np.ones((9, 2), dtype=np.float32)
    queries = np.ones((1, 2), dtype=np.float32)
    truth = truth_of(DataSet("equal", rows, queries), 1, 2)
    ids = np.array([[8, 3, 5]])
    assert recall(truth, ids, true_scores(rows, queries, ids)) == 1.0


def test_the_right_rows_in_the_wrong_order_are_recalled_but_not_exact(truth):
    found, difference = judged(truth, [[1, 0], [4, 0]])
    assert found == 1.0
    assert difference.startswith("query 0, rank 1")


def test_a_place_without_a_row_is_wrong(truth):
    found, difference = judged(truth, [[0, -1], [4, 0]])
    assert found == 0.75
    assert "rank 2" in difference


def test_an_answer_of_another_shape_is_wrong(truth):
    assert "shape" in judged(truth, [[0], [4]])[1]


def test_a_difference_of_a_float32_rounding_is_not_forgiven():
    scores = np.array([[0.5, 0.4, 0.3]])
    truth = Truth(np.array([[0, 1, 2]]), scores)
    ids = np.array([[0, 7]])
    assert recall(truth, ids, np.array([[0.5, 0.4 - 1e-9]])) == 0.5
    assert recall(truth, ids, np.array([[0.5, 0.4 - 1e-15]])) == 1.0


def test_true_scores_are_rounded_once():
    row = np.array([[1e8, 1, -1e8]], dtype=np.float32)
    assert true_scores(row, np.array([[1e8, 1, 1e8]], dtype=np.float32), np.array([[0]])) == 1.0


def test_every_method_stands_once_at_each_place():
    rounds = list(orders(7, 7))
    assert all(sorted(order) == list(range(7)) for order in rounds)
    assert all(sorted(place) == list(range(7)) for place in zip(*rounds, strict=True))


def test_orders_change_from_turn_to_turn_and_repeat_from_run_to_run():
    rounds = list(orders(5, 20))
    assert rounds == list(orders(5, 20))
    assert len({tuple(order) for order in rounds}) > 5
    assert max(Counter(order[0] for order in rounds).values()) == 4


def test_calls_are_answered_in_order_and_one_more_is_not_counted():
    calls = []

    def search(queries, k):
        calls.append(queries.tolist())
        return np.repeat(queries[:, :1], k, axis=1).astype(np.int64)

    times, cpu, ids = timed_calls(search, [np.array([[1, 0], [2, 0]]), np.array([[3, 0]])], k=2)
    assert ids.tolist() == [[1, 1], [2, 2], [3, 3]]
    assert times.shape == cpu.shape == (2,)
    assert len(calls) == 3


def test_median_and_noise_of_rounds():
    times = Times([np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0])], [np.array([1.0]), np.array([2.0])])
    assert times.p50_us == 3.5
    assert times.round_p50_us == [2.0, 5.0]
    assert times.cpu_p50_us == 1.5
    assert times.noise == pytest.approx(3 / 3.5)


@pytest.mark.parametrize("make", [clustered, mix])
def test_synthetic_sets_are_unit_rows_and_the_same_each_time(make):
    data = make(300)
    for array in (data.rows, data.queries):
        assert array.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(array, axis=1), 1, atol=1e-6)
    assert np.array_equal(make(300).rows, data.rows)
    assert np.array_equal(make(300).queries, data.queries)
    assert not (data.queries[:, np.newaxis] == data.rows[np.newaxis]).all(axis=2).any()


def test_a_smaller_mixture_is_the_beginning_of_a_larger():
    assert np.array_equal(mix(60_000).rows[:700], mix(700).rows)


def test_sentences():
    assert sentences("Hi there!  How are you?\nFine. Pi is 3.14.") == [
        "Hi there!",
        "How are you?",
        "Fine.",
        "Pi is 3.14.",
    ]


def test_names_of_methods_are_distinct_and_hold_the_baseline():
    names = [method.name for method in all_methods(1)]
    assert len(set(names)) == len(names)
    assert BASELINE in names


PLAN = Plan(k=20, rounds=2, queries=3, batch=8, threads=1, only=("hmem exact", "hmem fast", "numpy"))


@pytest.fixture
def small_floors(monkeypatch):
    monkeypatch.setattr("benches.peers.floors._SIZES", {"read l2": 1 << 19, "read l3": 1 << 20, "read dram": 1 << 21})


def test_a_comparison(cache, small_floors):
    result = compare(mix(400), PLAN)
    assert result.wrong == []
    assert result.missing == []
    exact = [row for row in result.rows if row["implementation"] == "hmem exact"]
    assert [(row["op"], row["recall"]) for row in exact] == [("search", 1.0), ("search-batch", 1.0)]
    assert all("ratio" not in row for row in exact), "the baseline did not run"
    json.dumps(result.rows, allow_nan=False)
    for text in (as_text(result.rows, result.missing), as_markdown(result.rows, result.missing)):
        assert "mix, 400 rows of 384" in text
        assert "floor: sgemm" in text


def test_a_comparison_finds_a_wrong_answer_of_an_exact_method(cache, small_floors, monkeypatch):
    def with_a_mistake(threads):
        method = next(method for method in all_methods(threads) if method.name == "hmem exact")
        right = method.search
        method.search = lambda queries, k: right(queries, k)[:, ::-1]
        return [method]

    monkeypatch.setattr(comparing, "all_methods", with_a_mistake)
    wrong = compare(mix(400), PLAN).wrong
    assert len(wrong) == PLAN.rounds * 2
    assert wrong[0].startswith("hmem exact, search, mix 400: query 0, rank 1")


def test_a_library_that_is_missing_is_a_missing_row(cache, small_floors, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "hnswlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "hnswlib", None)
    plan = Plan(k=20, rounds=1, queries=3, batch=8, threads=1, only=("numpy", "hnswlib ef32"))
    result = compare(mix(400), plan)
    assert [row["implementation"] for row in result.missing] == ["hnswlib ef32"]
    assert "hnswlib" in result.missing[0]["reason"]
    assert f"missing from mix 400: hnswlib ef32: {result.missing[0]['reason']}" in as_text(result.rows, result.missing)


def test_a_comparison_wants_enough_queries(cache):
    with pytest.raises(ValueError, match="queries, batch: wanted at most 5"):
        compare(DataSet("few", ROWS, np.ones((5, 2), dtype=np.float32)), PLAN)


@pytest.mark.parametrize(
    ("name", "queries", "blas"),
    [
        ("faiss flat", 20, False),
        ("faiss flat blas20q", 19, False),
        ("faiss flat blas20q", 20, True),
        ("faiss flat threshold 20", 1, True),
    ],
)
def test_faiss_uses_blas_when_the_name_says_so(name, queries, blas):
    faiss = pytest.importorskip("faiss")
    data = mix(500)
    method = next(method for method in all_methods(1) if method.name == name)
    method.build(data.rows)
    seen = []

    class Index:
        def search(self, asked, k):
            seen.append(faiss.cvar.distance_compute_blas_threshold)
            return found.search(asked, k)

    found, method._index = method._index, Index()
    default = faiss.cvar.distance_compute_blas_threshold
    method.search(data.queries[:queries], 20)
    assert faiss.cvar.distance_compute_blas_threshold == default

    def scores(threshold):
        faiss.cvar.distance_compute_blas_threshold = threshold
        try:
            return found.search(data.queries[:queries], 20)[0]
        finally:
            faiss.cvar.distance_compute_blas_threshold = default

    with_blas, without = scores(0), scores(2**31 - 1)
    assert not np.array_equal(with_blas, without), "the two loops must be told apart by the bits of their sums"
    assert np.array_equal(scores(seen[0]), with_blas if blas else without)


def test_columns_are_aligned():
    assert aligned([("a", "b"), ("long", "12"), ("c", "")]) == "a      b\nlong  12\nc"


def test_real_texts_are_refused_where_there_are_none(tmp_path):
    asked = [sys.executable, "-m", "benches.peers", "--sets", "real"]
    environment = {**os.environ, "HMEM_DATA": str(tmp_path)}
    done = subprocess.run(asked, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    assert done.returncode == 2
    assert "HMEM_DATA" in done.stderr
    assert str(tmp_path) in done.stderr


def test_an_unknown_name_is_refused_with_the_known_ones():
    asked = [sys.executable, "-m", "benches.peers", "--only", "nosuch"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 2
    assert "hmem exact" in done.stderr
    assert "nosuch" in done.stderr
