"""The arithmetic of the encoders' comparison: which texts, which ratios, what is right, what stands in the table."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from benches.encode import report
from benches.encode.fidelity import cosines, overlap
from benches.encode.implementations import BASELINE, Implementation, close_to_float32
from benches.encode.recall import PARTS, TimedPipeline, shares
from benches.encode.rounds import all_at_once, alternate, each_alone, median_ratio
from benches.encode.speed import by_length_rows, check
from benches.encode.start import BASE, beyond
from benches.encode.table import as_markdown, as_text
from benches.encode.texts import of_length, sample
from hmem_fast import Memory
from hmem_fast.memory import DefaultPipeline

ROOT = Path(__file__).resolve().parents[1]

TEXTS = ["one two three", "four five", "six", "seven eight nine ten", "eleven"]


def count_words(text):
    return len(text.split()) + 2  # as if with two special tokens


def test_stretches_have_the_length_and_follow_each_other():
    assert of_length(TEXTS, 5, 3, count_words) == ["one two three", "four five six", "seven eight nine"]


def test_a_stretch_that_cannot_have_the_length_is_passed_over():
    def count(text):
        return sum(2 if word == "two" else 1 for word in text.split())

    assert of_length(TEXTS, 2, 2, count) == ["four five", "six seven"]


def test_too_few_stretches_are_refused():
    with pytest.raises(ValueError, match="wanted 4 stretches of 5 tokens, there are 3"):
        of_length(TEXTS, 5, 4, count_words)


def test_a_sample_is_the_same_each_time_and_repeats_nothing():
    texts = [str(number) for number in range(50)]
    drawn = sample(texts, 20)
    assert drawn == sample(texts, 20)
    assert len(set(drawn)) == 20
    assert sample(texts, 90) == texts


def test_each_has_one_turn_a_round():
    calls = []

    def turn_of(name):
        def turn(number):
            calls.append((number, name))
            return number

        return turn

    measured = alternate({name: turn_of(name) for name in "abc"}, 6)
    assert measured == {name: [0, 1, 2, 3, 4, 5] for name in "abc"}
    rounds = [{name for number, name in calls if number == wanted} for wanted in range(6)]
    assert rounds == [{"a", "b", "c"}] * 6
    assert {calls[3 * number][1] for number in range(3)} == {"a", "b", "c"}, "one was always first"


def test_turns_go_through_all_texts():
    asked = []
    turn = each_alone(lambda texts: asked.append(list(texts)), TEXTS, 2)
    assert [len(turn(number).clock) for number in range(3)] == [2, 2, 2]
    assert [text for texts in asked for text in texts] == [
        *("four five", "one two three", "four five"),
        *("seven eight nine ten", "six", "seven eight nine ten"),
        *("one two three", "eleven", "one two three"),
    ]
    asked.clear()
    turn = all_at_once(lambda texts: asked.append(list(texts)), TEXTS, 3)
    for number in range(2):
        assert len(turn(number).cpu) == 1
    assert asked == [TEXTS[:3], [*TEXTS[3:], TEXTS[0]]]


def test_ratios_are_taken_within_a_round():
    of = [np.array([2.0, 2.0, 9.0]), np.array([40.0]), np.array([3.0])]
    to = [np.array([1.0, 1.0, 1.0]), np.array([10.0]), np.array([1.0])]
    assert median_ratio(of, to) == 3.0


FLOAT32 = np.array([[1, 0], [0.6, 0.8]], dtype=np.float32)


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        (FLOAT32, None),
        (FLOAT32[:1], "shape"),
        (2 * FLOAT32, "unit length"),
        (FLOAT32[::-1].copy(), "cosines"),
        (np.full((2, 2), np.nan, dtype=np.float32), "unit length"),
    ],
)
def test_a_timed_answer_must_be_close_to_float32(found, wrong):
    one = close_to_float32("one", lambda _: found, 0.99)
    if wrong is None:
        check(one, ["a", "b"], one.encode(["a", "b"]), FLOAT32)
    else:
        with pytest.raises(AssertionError, match=f"one: wanted .*{wrong}"):
            check(one, ["a", "b"], one.encode(["a", "b"]), FLOAT32)


def test_a_comparison_has_a_row_for_each_and_the_baseline_is_1():
    def encode(texts):
        return np.tile(FLOAT32[:1], (len(texts), 1))

    rows = by_length_rows(
        [close_to_float32(BASELINE, encode, 0.99), close_to_float32("other", encode, 0.99)],
        TEXTS,
        encode(TEXTS),
        length=12,
        rounds=4,
    )
    assert [(row["implementation"], row["tokens"]) for row in rows] == [(BASELINE, 12), ("other", 12)]
    assert rows[0]["ratio"] == rows[0]["cpu_ratio"] == 1.0
    assert rows[1]["ratio"] > 0


def test_a_comparison_finds_a_wrong_answer():
    bad = Implementation("bad", lambda texts: np.ones((len(texts), 2)), lambda *_: "wanted something else", "all")
    with pytest.raises(AssertionError, match="bad: wanted something else"):
        by_length_rows([bad], TEXTS, np.ones((5, 2)), length=12, rounds=1)


def test_many_texts_are_encoded_as_one_at_a_time_where_nothing_else_is_named():
    one = close_to_float32("one", len, 0.99)
    assert one.for_many() == (("one", len),)
    other = close_to_float32("one", len, 0.99, (("one, batch 2", sum),))
    assert other.for_many() == (("one, batch 2", sum),)


def test_cosines_and_overlap():
    assert cosines(FLOAT32, 3 * FLOAT32).tolist() == pytest.approx([1, 1])
    keys = np.eye(4)
    query = np.array([[4.0, 3, 2, 1]])
    assert overlap(query, keys, query, keys, k=2) == 1.0
    assert overlap(np.array([[4.0, 1, 2, 3]]), keys, query, keys, k=2) == 0.5


def test_what_a_bare_process_takes_is_taken_off_round_by_round():
    def run(seconds):
        return dict.fromkeys(("seconds", "cpu", "peak", "rss", "pss", "anonymous"), seconds)

    rows = beyond({BASE: [run(1.0), run(2.0), run(9.0)], "other": [run(1.5), run(2.1), run(9.3)], "slow": [run(5.0)]})
    assert [row["implementation"] for row in rows] == [BASE, "other, beyond that", "slow, beyond that"]
    assert [round(row["ms"]) for row in rows] == [2000, 300, 4000]


def test_the_timed_pipeline_answers_as_the_default_does_and_sees_where_time_goes():
    with Memory.open(":memory:", encoder="hashing:64") as memory:
        memory.store_many({"text": text, "speaker": "Ann"} for text in TEXTS)
        for query in ("what did Ann say of seven and nine?", "four"):
            pipeline = TimedPipeline()
            timed = memory.recall(query, k=3, pipeline=pipeline, explain=True)
            plain = memory.recall(query, k=3, pipeline=DefaultPipeline())
            assert [(hit.id, hit.score) for hit in timed] == [(hit.id, hit.score) for hit in plain]
            assert pipeline.seconds["encode"] > 0
            assert pipeline.seconds["search"] > 0


def test_shares_of_a_recall():
    found = shares(0.010, 0.001, {"encode": 0.004, "search": 0.002}, {"encode": 4.0, "rank": 3.0, "read": 2.0})
    assert tuple(found) == PARTS
    assert found == pytest.approx(
        {"tokenize": 0.001, "model": 0.003, "search": 0.002, "ranking": 0.001, "read": 0.002, "whole call": 0.010}
    )


def speed_part(*ratios):
    rows = [
        {
            "op": "encode one",
            "tokens": length,
            "implementation": name,
            "p50_ms": 2.0,
            "ratio": ratio,
            "cpu_ratio": ratio,
        }
        for length in (12, 64)
        for name, ratio in zip((BASELINE, "other"), ratios, strict=True)
    ]
    many = {"op": "encode many", "texts": 1000, "threads": 1, "implementation": "other"}
    rows.append({**many, "texts_per_s": 1234.0, "ratio": 2.0, "cpu_ratio": 2.0})
    return {"part": "speed", "began": "05:00", "load": [1.0, 2.0], "rows": rows}


def test_tables():
    part = speed_part(1.0, 2.75)
    text, page = as_text(part), as_markdown(part)
    assert "speed, 05:00 UTC, load 1.0 to 2.0" in text
    assert "2.00 2.75 (2.75)" in text
    assert "| other | 2.00 2.75 (2.75) | 2.00 2.75 (2.75) |" in page
    assert "| other | 1,234 | 2.00 | 2.00 |" in page


def test_a_record_says_how_several_runs_differ(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "_RECORDS", tmp_path)
    parts = [speed_part(1.0, ratio) for ratio in (2.5, 2.75, 3.5)]
    settings = {
        "parts": [{key: part[key] for key in ("part", "began", "load")} for part in parts],
        "libraries": {"numpy": "2"},
        "onnx_int8": {"per_channel": True},
        "rounds": 24,
        "isa": "scalar",
        "model_sha256": "0" * 64,
    }
    result = {
        "settings": settings,
        "machine": {"cpu": "some", "features": ["avx2"], "threads": 1},
        "rows": [{"run": number, **row} for number, part in enumerate(parts) for row in part["rows"]],
        "command": ["python"],
        "version": "0",
        "seconds": 1.0,
    }
    page = report.write_record(result, date(2026, 1, 2)).read_text(encoding="utf-8")
    assert "| other | 2.75 (2.50 to 3.50) | 2.75 (2.50 to 3.50) |" in page
    assert page.count("## speed") == 3


def test_missing_data_is_said(tmp_path):
    asked = [sys.executable, "-m", "benches.encode", "--parts", "recall"]
    environment = {**os.environ, "HMEM_DATA": str(tmp_path)}
    done = subprocess.run(asked, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    assert done.returncode == 2
    assert "HMEM_DATA" in done.stderr
    assert str(tmp_path) in done.stderr
