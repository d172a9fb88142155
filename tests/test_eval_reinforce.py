"""Links from use, measured: what is learnt from one half of the questions helps the other where it can."""

from __future__ import annotations

import json
import lzma

import pytest

from command_line import ENVELOPE, hmem
from hmem_fast.encode import HashingEncoder
from hmem_fast.evaluate.locomo_file import load_locomo
from hmem_fast.evaluate.reinforce import Streamed, run_reinforce
from hmem_fast.memory import LinkedPipeline, Memory

SUBJECTS = ("parrot", "marathon", "oven", "garden", "violin")


@pytest.fixture
def data(tmp_path):
    """Turns in pairs that share no word; each question names the first of a pair, and wants both."""
    n = len(SUBJECTS)
    turns = [
        *(
            {"dia_id": f"D1:{i}", "speaker": "Ann", "text": f"I talked about the {subject} today."}
            for i, subject in enumerate(SUBJECTS, 1)
        ),
        *(
            {"dia_id": f"D1:{n + i}", "speaker": "Ben", "text": f"Number {i} it was, nothing else."}
            for i in range(1, n + 1)
        ),
    ]
    asked = ("Who has a {}?", "Tell of the {}.", "Any news of a {}?", "How goes the {}?", "Why the {}?", "And the {}?")
    questions = [
        {"question": ask.format(subject), "evidence": [f"D1:{i}", f"D1:{n + i}"], "category": 1}
        for ask in asked
        for i, subject in enumerate(SUBJECTS, 1)
    ]
    content = [{"sample_id": "c", "conversation": {"session_1": turns}, "qa": questions}]
    path = tmp_path / "locomo.json.xz"
    path.write_bytes(lzma.compress(json.dumps(content).encode()))
    return path


def rows_of(data, seed=0):
    scored = run_reinforce(load_locomo(data), HashingEncoder(64), seed=seed)
    return {row["name"]: row for row in (streamed.row(seed=seed, off=scored[0]) for streamed in scored)}


def test_pairs_that_were_useful_together_are_found_together(data):
    rows = rows_of(data)
    assert list(rows) == ["off", "on", "on-shuffled"]
    assert {row["questions"] for row in rows.values()} == {15}
    assert rows["off"]["links"] == 0
    assert rows["on"]["links"] == 2 * len(SUBJECTS)
    assert rows["on"]["gain"]["5"] > 0.05
    assert rows["on"]["gain_ci"]["5"][0] >= 0
    assert rows["on"]["recall"]["5"] > rows["on-shuffled"]["recall"]["5"]
    assert "gain" not in rows["off"]


def test_the_same_seed_gives_the_same_figures(data):
    assert rows_of(data, seed=3) == rows_of(data, seed=3)


def test_gains_are_differences_of_the_same_questions():
    off, on = Streamed("off", 0, [(2,), (None,)]), Streamed("on", 4, [(1,), (3,)])
    row = on.row(seed=0, off=off)
    assert row["gain"] == {"1": 0.5, "5": 0.5, "10": 0.5, "20": 0.5}
    assert row["recall"]["1"] == 0.5
    assert row["mrr"] == pytest.approx((1 + 1 / 3) / 2)


def test_links_alone_lead_on_and_without_any_nothing_changes():
    with Memory.open(":memory:", encoder="hashing") as memory:
        ids = memory.store_many({"text": text} for text in ("the red lamp", "under the stairs", "no tea left", "a mat"))
        plain = [hit.id for hit in memory.recall("red lamp", k=4)]
        assert [hit.id for hit in memory.recall("red lamp", k=4, pipeline=LinkedPipeline())] == plain
        memory.reinforce([ids[0], ids[2]])
        linked = LinkedPipeline(base_weight=0.5)
        assert [hit.id for hit in memory.recall("red lamp", k=2, pipeline=linked)] == [ids[0], ids[2]]
        memory.unlink(ids[0], ids[2])
        memory.unlink(ids[2], ids[0])
        memory.link(ids[3], ids[0])
        assert [hit.id for hit in memory.recall("red lamp", k=2, pipeline=linked)] == [ids[0], ids[3]]
        memory.forget(ids[3])
        assert [hit.id for hit in memory.recall("red lamp", k=3, pipeline=linked)] == [i for i in plain if i != ids[3]]


def test_the_command_writes_its_rows(data, tmp_path):
    out = tmp_path / "out.json"
    done = hmem("eval", "reinforce", "--data", data, "--encoder", "hashing", "--json", out)
    assert done.returncode == 0, done.err
    result = json.loads(out.read_text(encoding="utf-8"))
    assert set(result) >= ENVELOPE
    assert [row["name"] for row in result["rows"]] == ["off", "on", "on-shuffled"]
    assert hmem("eval", "reinforce", "--data", tmp_path / "none.json").returncode == 2
