"""Recall that spreads: what a question leads to, and what a score promises."""

from __future__ import annotations

import numpy as np
import pytest

from hmem_fast.encode import HashingEncoder
from hmem_fast.errors import DTypeError, InvalidValueError
from hmem_fast.memory import DefaultPipeline, Memory, SpreadPipeline, WordsPipeline

ENCODER = HashingEncoder(64)
FILLER = ["bees hum", "soup is hot", "rain fell", "roof tiles", "old bicycles", "grey wool", "salt", "nine ships"]

BRIDGE = [
    "the film Red Harbour was directed by Mira Voss",
    "born in a village near Tallinn, Mira Voss studied law first",
]


def filled(texts=(), n=60):
    memory = Memory.open(":memory:", encoder=ENCODER)
    memory.store_many(
        {
            "text": f"{FILLER[i % len(FILLER)]} and {FILLER[i // 8 % len(FILLER)]}, entry {i}",
            "speaker": ("Ann", None)[i % 2],
        }
        for i in range(n)
    )
    return memory, memory.store_many({"text": text, "metadata": {"kind": "bridge"}} for text in texts)


def rank_of(recall, memory_id):
    return [hit.id for hit in recall].index(memory_id)


QUESTION = "In which village was the one born who directed the film Red Harbour?"


def test_it_finds_what_the_best_memory_leads_to():
    memory, (first, second) = filled([BRIDGE[0], BRIDGE[1].replace("born in a village near", "from")])
    with memory:
        question = "Who directed the film Red Harbour, and where from?"
        plainly, spread = (memory.recall(question, k=40, spread=spread) for spread in (False, True))
        assert rank_of(spread, first) == 0
        assert rank_of(spread, second) == 1
        assert rank_of(plainly, second) > 1


def test_nothing_spreads_unless_it_is_asked_for():
    memory, _ = filled(BRIDGE)
    with memory:
        default, without = (memory.recall(QUESTION, k=9, spread=spread) for spread in (None, False))
        assert [(hit.id, hit.score) for hit in default] == [(hit.id, hit.score) for hit in without]
        asked, named = (
            memory.recall(QUESTION, k=9, spread=True),
            memory.recall(QUESTION, k=9, pipeline=SpreadPipeline()),
        )
        assert [(hit.id, hit.score) for hit in asked] == [(hit.id, hit.score) for hit in named]
        assert scores(asked) != scores(default)


def scores(recall):
    return {hit.id: hit.score for hit in recall}


@pytest.mark.parametrize("base", [DefaultPipeline(), WordsPipeline()], ids=["default", "words"])
def test_scores_depend_neither_on_the_filter_nor_on_k(base):
    memory, ids = filled(BRIDGE, n=300)
    with memory:
        pipeline = SpreadPipeline(base, candidates=30, reached=20)
        every = scores(memory.recall(QUESTION, k=len(memory), pipeline=pipeline))
        few = scores(memory.recall(QUESTION, k=3, pipeline=pipeline))
        assert few.items() <= every.items()
        for where in ({"kind": "bridge"}, {"speaker": "Ann"}):
            filtered = memory.recall(QUESTION, k=10, where=where, pipeline=pipeline)
            assert scores(filtered).items() <= every.items()
        assert {hit.id for hit in memory.recall(QUESTION, where={"kind": "bridge"}, pipeline=pipeline)} == set(ids)


def test_the_score_of_the_base_is_the_true_one_for_what_was_only_reached():
    memory, (_, second) = filled(BRIDGE)
    with memory:
        base = DefaultPipeline()
        whole = SpreadPipeline(base, base_weight=1.0, candidates=3, reached=50)
        wide = memory.recall(QUESTION, k=30, pipeline=whole)
        plain = scores(memory.recall(QUESTION, k=len(memory), pipeline=base))
        assert second in scores(wide)
        # All weight on the base: the score is a line of the base's score, and so is the order.
        found = np.array([[plain[hit.id], hit.score] for hit in wide])
        slope = (found[0, 1] - found[-1, 1]) / (found[0, 0] - found[-1, 0])
        np.testing.assert_allclose(found[:, 1] - found[0, 1], slope * (found[:, 0] - found[0, 0]), atol=1e-9)


def test_it_says_what_each_part_adds():
    memory, (first, second) = filled(BRIDGE)
    with memory:
        recall = memory.recall(QUESTION, k=5, spread=True, explain=True)
        why = recall.explanation
        assert why.pipeline == "spread"
        assert why.weights == {"base": 0.3, "spread": 0.7}
        for hit, reason in zip(recall, why.hits, strict=True):
            assert sum(reason.parts.values()) == pytest.approx(hit.score)
            assert reason.parts.keys() == {"base", "spread"}
        by_id = {reason.id: reason for reason in why.hits}
        assert by_id[first].words
        assert by_id[second].parts["spread"] > 0


def test_a_memory_of_nothing_and_of_one():
    with Memory.open(":memory:", encoder=ENCODER) as memory:
        assert len(memory.recall("bees", spread=True)) == 0
        only = memory.store("Bees of Ann Lee")
        assert [(hit.id, hit.score) for hit in memory.recall("bees", spread=True)] == [(only, 0.0)]


def test_a_filter_that_leaves_little():
    memory, (first, second) = filled(BRIDGE)
    with memory:
        assert len(memory.recall(QUESTION, where={"speaker": "Nobody"}, spread=True)) == 0
        both = memory.recall(QUESTION, where={"kind": "bridge"}, spread=True)
        assert [hit.id for hit in both] == [first, second]


def test_ready_vectors_spread_too():
    with Memory.open(":memory:", encoder=None, dim=2) as memory:
        ids = memory.store_many(
            {"text": text, "vector": np.array(vector, np.float32)}
            for text, vector in [("seen by Ann Lee", (1, 0)), ("as Ann Lee said", (0, 1)), ("nobody", (0.1, 1))]
        )
        found = memory.recall(np.array([1, 0], np.float32), k=3, spread=True)
        assert [hit.id for hit in found] == ids


def test_it_follows_what_is_written():
    memory, (first, second) = filled(BRIDGE)
    with memory:
        before = memory.recall(QUESTION, k=4, spread=True)
        assert second in scores(before)
        memory.update(second, text="nothing of the kind")
        assert scores(memory.recall(QUESTION, k=4, spread=True))[first] != scores(before)[first]
        memory.update(second, text=BRIDGE[1])
        assert scores(memory.recall(QUESTION, k=4, spread=True)) == scores(before)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"base_weight": 1.5}, "base_weight"),
        ({"base_weight": float("nan")}, "base_weight"),
        ({"walk": -0.1}, "walk"),
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": float("inf")}, "temperature"),
        ({"candidates": 0}, "candidates"),
        ({"seeds": 0}, "seeds"),
        ({"reached": 0}, "reached"),
        ({"steps": -1}, "steps"),
    ],
)
def test_bad_settings(changed, message):
    with pytest.raises(InvalidValueError, match=message):
        SpreadPipeline(**changed)


def test_bad_spread():
    memory, _ = filled(n=1)
    with memory, pytest.raises(DTypeError, match="spread"):
        memory.recall("bees", spread="yes")


def test_it_follows_links_between_memories():
    with Memory.open(":memory:", encoder="hashing") as memory:
        ids = memory.store_many({"text": text} for text in ("the red lamp", "under the stairs", "no tea left"))
        assert memory.recall("red lamp", k=3, spread=True)[0].id == ids[0]
        memory.link(ids[0], ids[2], 3.0)
        assert [hit.id for hit in memory.recall("red lamp", k=2, spread=True)] == [ids[0], ids[2]]
        memory.unlink(ids[0], ids[2])
        memory.link(ids[1], ids[0])
        assert [hit.id for hit in memory.recall("red lamp", k=2, spread=True)] == [ids[0], ids[1]]
