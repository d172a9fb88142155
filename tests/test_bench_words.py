"""The arithmetic of the comparison of words: which turns, which answers count as the same."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from benches.encode.texts import missing_files, turns
from benches.words.answers import check_same, overlap
from benches.words.turns import asked, made_turns

needs_data = pytest.mark.skipif(bool(missing_files()), reason="HMEM_DATA does not point at the data folder")
INFINITE = -np.inf


def answer(*scores):
    return np.zeros((1, len(scores)), np.int64), np.array([scores], np.float32)


def test_scores_may_differ_by_rounding_alone_and_none_is_zero():
    check_same(answer(3.0, 2.0, INFINITE), answer(3.000001, 2.0, 0.0))
    for wrong in (answer(3.0, 2.0, 1.0), answer(3.0, 2.001, INFINITE), answer(3.0, INFINITE, INFINITE)):
        with pytest.raises(AssertionError, match="query 0"):
            check_same(wrong, answer(3.0, 2.0, 0.0))


def test_overlap_is_a_mean_share_and_forgets_what_is_missing():
    rows = np.array([[1, 2, 3], [4, -1, -1]])
    assert overlap(rows, rows) == 1
    assert overlap(np.array([[3, 1, 9], [5, 6, 7]]), rows) == pytest.approx((2 / 3 + 0) / 2)


@needs_data
def test_turns_are_the_same_each_time_and_those_of_a_smaller_count_come_first():
    made = made_turns(300)
    assert made == made_turns(300)
    assert made[:100] == made_turns(100)
    assert made != made_turns(300, seed=1)


@needs_data
def test_made_turns_are_as_long_as_real_ones_and_have_their_words_as_often():
    real, made = turns(), made_turns(3000)

    def length(texts):
        return np.mean([len(text.split()) for text in texts])

    def share(texts):
        counts = Counter(word for text in texts for word in set(text.lower().split()))
        return np.array([count / len(texts) for _, count in counts.most_common(200)])

    assert length(made) == pytest.approx(length(real), rel=0.1)
    assert share(made) == pytest.approx(share(real), rel=0.6)


@needs_data
def test_questions_have_five_to_fifteen_words():
    lengths = [len(question.split()) for question in asked()]
    assert (min(lengths), max(lengths)) == (5, 15)
    assert len(lengths) > 500
