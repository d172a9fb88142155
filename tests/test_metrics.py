"""Metrics against cases worked by hand."""

import pytest

from hmem_fast.errors import InvalidValueError
from hmem_fast.evaluate.metrics import (
    distinct,
    hit_at,
    mean,
    percentiles,
    ranks_of,
    recall_all_at,
    recall_at,
    reciprocal_rank,
)

# Two evidence turns at 2 and 7, a third one not found.
SOME = (2, 7, None)
ALL = (1, 3)
NONE = (None,)


@pytest.mark.parametrize(
    ("ranks", "k", "recall", "hit", "everything"),
    [
        (SOME, 1, 0.0, 0.0, 0.0),
        (SOME, 2, 1 / 3, 1.0, 0.0),  # the k-th place counts
        (SOME, 6, 1 / 3, 1.0, 0.0),
        (SOME, 7, 2 / 3, 1.0, 0.0),
        (SOME, 1000, 2 / 3, 1.0, 0.0),  # what is not in the ranking is not found at any k
        (ALL, 1, 0.5, 1.0, 0.0),
        (ALL, 2, 0.5, 1.0, 0.0),
        (ALL, 3, 1.0, 1.0, 1.0),
        (NONE, 20, 0.0, 0.0, 0.0),
    ],
)
def test_what_is_found_at_k(ranks, k, recall, hit, everything):
    assert recall_at(ranks, k) == pytest.approx(recall)
    assert hit_at(ranks, k) == hit
    assert recall_all_at(ranks, k) == everything


@pytest.mark.parametrize(("ranks", "expected"), [(SOME, 1 / 2), (ALL, 1.0), (NONE, 0.0), ((8, 4), 1 / 4)])
def test_reciprocal_rank_is_that_of_the_best_evidence(ranks, expected):
    assert reciprocal_rank(ranks) == pytest.approx(expected)


def test_ranks_count_from_one_and_missing_items_have_none():
    assert ranks_of(["c", "x", "a"], ["a", "b", "c"]) == (3, None, 1)


def test_a_ranking_with_a_repeated_item_is_refused():
    with pytest.raises(InvalidValueError, match=r"'a' at 1 and 3"):
        ranks_of(["a"], ["a", "b", "a"])


@pytest.mark.parametrize("metric", [lambda: recall_at((), 1), lambda: reciprocal_rank(()), lambda: ranks_of([], ["a"])])
def test_no_evidence_is_refused_and_not_scored(metric):
    with pytest.raises(InvalidValueError, match="at least one evidence"):
        metric()


@pytest.mark.parametrize("metric", [recall_at, hit_at, recall_all_at])
def test_k_below_one_is_refused(metric):
    with pytest.raises(InvalidValueError, match="k: wanted at least 1, got 0"):
        metric(ALL, 0)


def test_sessions_are_ranked_by_their_best_turn():
    assert distinct(["s2", "s1", "s2", "s3", "s1"]) == ["s2", "s1", "s3"]


def test_mean_and_percentiles():
    assert mean([1.0, 0.0, 0.5]) == 0.5
    # 0, 1 … 100: the p-th percentile is p
    assert percentiles([float(value) for value in range(101)]) == {"p50": 50.0, "p99": 99.0}
    assert percentiles([3.0]) == {"p50": 3.0, "p99": 3.0}


@pytest.mark.parametrize("summary", [mean, percentiles])
def test_a_summary_of_nothing_is_refused(summary):
    with pytest.raises(InvalidValueError, match="at least one"):
        summary([])
