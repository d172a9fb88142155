"""What a memory refuses, and which memories a filter lets through."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from hmem_fast.errors import (
    DTypeError,
    InvalidValueError,
    ShapeError,
    StoreManyError,
)
from hmem_fast.memory import DefaultPipeline, Memory


def nested(levels):
    value = 1
    for _ in range(levels):
        value = [value]
    return value


class TestWhere:
    @pytest.fixture
    def filed(self, memory):
        for day in range(1, 11):
            memory.store(
                f"Note number {day} about bees",
                speaker="Ann" if day % 2 else "Ben",
                session=f"s{day % 3}",
                time=datetime(2026, 5, day, tzinfo=UTC),
                metadata={"day": day, "even": day % 2 == 0, "tag": None if day == 4 else f"t{day}", "a.b": day},
            )
        memory.store("A note without anything about bees")
        return memory

    def texts(self, memory, where, **options):
        return {hit.text.split()[2] for hit in memory.recall("a note about bees", k=50, where=where, **options)}

    @pytest.mark.parametrize(
        ("where", "days"),
        [
            ({"speaker": "Ann"}, {1, 3, 5, 7, 9}),
            ({"session": ["s0", "s1"]}, {1, 3, 4, 6, 7, 9, 10}),
            ({"session": {"s0"}, "speaker": "Ben"}, {6}),
            ({"time": (datetime(2026, 5, 3, tzinfo=UTC), datetime(2026, 5, 5, tzinfo=UTC))}, {3, 4}),
            ({"time": (None, datetime(2026, 5, 3, tzinfo=UTC).timestamp())}, {1, 2}),
            ({"day": 7}, {7}),
            ({"day": (7, 8)}, {7, 8}),
            ({"even": True, "speaker": "Ben", "day": [2, 3, 4]}, {2, 4}),
            ({"tag": "t5"}, {5}),
            ({"a.b": 2}, {2}),
            ({"day": 99}, set()),
            ({"no such name": 1}, set()),
            ({"speaker": []}, set()),
            ({"day": np.int64(7)}, {7}),
            ({"session": ["s0\0", "s1\0"]}, set()),
        ],
    )
    @pytest.mark.parametrize("pipeline", ["default", "nearest", "bm25", "hopfield"])
    def test_only_what_fits_and_all_of_it(self, filed, where, days, pipeline):
        assert self.texts(filed, where, pipeline=pipeline) == {str(day) for day in days}

    def test_nothing_asked_is_everything(self, filed):
        assert len(filed.recall("bees", k=50, where={})) == 11

    def test_none_asks_for_what_is_missing(self, filed):
        assert self.texts(filed, {"speaker": None}) == {"without"}
        assert self.texts(filed, {"tag": None}) == {"4", "without"}

    def test_a_kept_filter_follows_the_truth(self, filed):
        assert self.texts(filed, {"speaker": "Ann"}) == {"1", "3", "5", "7", "9"}
        filed.store("Note number 11 about bees", speaker="Ann")
        assert self.texts(filed, {"speaker": "Ann"}) == {"1", "3", "5", "7", "9", "11"}

    def test_scores_do_not_depend_on_the_filter(self, filed):
        every = {hit.id: hit.score for hit in filed.recall("note 7 about bees", k=50)}
        some = {hit.id: hit.score for hit in filed.recall("note 7 about bees", k=50, where={"speaker": "Ann"})}
        assert some == {memory_id: every[memory_id] for memory_id in some}

    @pytest.mark.parametrize(
        ("where", "error"),
        [
            ("speaker", DTypeError),
            ({"time": "2026"}, DTypeError),
            ({"time": (1, 2, 3)}, DTypeError),
            ({"time": (datetime(2026, 1, 1), None)}, InvalidValueError),  # noqa: DTZ001 - the error is the point
            ({"day": {"gt": 3}}, DTypeError),
            ({"speaker": ["Ann", None]}, InvalidValueError),
            ({3: "x"}, DTypeError),
            ({"day": float("nan")}, InvalidValueError),
            ({"day": [float("inf")]}, InvalidValueError),
            ({"day": 10**30}, InvalidValueError),
            ({"day": list(range(30_001))}, InvalidValueError),
            ({"speaker": "\ud800"}, InvalidValueError),
        ],
    )
    def test_wrong_filters_are_refused(self, filed, where, error):
        with pytest.raises(error, match=r"where|time"):
            filed.recall("bees", where=where)


class TestBadInput:
    @pytest.mark.parametrize(
        ("arguments", "error", "named"),
        [
            ({"text": 5}, DTypeError, "text"),
            ({"text": b"bytes"}, DTypeError, "text"),
            ({"text": "half \ud800 pair"}, InvalidValueError, "position 5"),
            ({"text": " \n"}, InvalidValueError, "text"),
            ({"text": "x" * (1 << 20) + "y"}, InvalidValueError, "max_text_bytes"),
            ({"text": "ü" * (1 << 19) + "y"}, InvalidValueError, "max_text_bytes"),
            ({"text": "x", "cues": "a cue"}, DTypeError, "cues"),
            ({"text": "x", "cues": [3]}, DTypeError, "cues"),
            ({"text": "x", "cues": [""]}, InvalidValueError, "cues"),
            ({"text": "x", "cues": [f"cue {i}" for i in range(32)]}, InvalidValueError, "cues"),
            ({"text": "x", "speaker": 3}, DTypeError, "speaker"),
            ({"text": "x", "session": 3}, DTypeError, "session"),
            ({"text": "x", "session": "\udfff"}, InvalidValueError, "session"),
            ({"text": "x", "time": datetime(2026, 1, 1)}, InvalidValueError, "time"),  # noqa: DTZ001 - the error is the point
            ({"text": "x", "time": "2026-01-01"}, DTypeError, "time"),
            ({"text": "x", "time": True}, DTypeError, "time"),
            ({"text": "x", "time": float("nan")}, InvalidValueError, "time"),
            ({"text": "x", "time": 1e30}, InvalidValueError, "time"),
            ({"text": "x", "metadata": [1]}, DTypeError, "metadata"),
            ({"text": "x", "metadata": {1: 2}}, DTypeError, "metadata"),
            ({"text": "x", "metadata": {"a": {1, 2}}}, DTypeError, "metadata"),
            ({"text": "x", "metadata": {"a": float("inf")}}, InvalidValueError, "metadata"),
            ({"text": "x", "metadata": {"a": "\ud800"}}, InvalidValueError, "metadata"),
            ({"text": "x", "metadata": {"a": "b\0c"}}, InvalidValueError, "metadata"),
            ({"text": "x", "metadata": {"a": nested(65)}}, InvalidValueError, "metadata"),
            ({"text": "x", "metadata": {"a": nested(5000)}}, InvalidValueError, "metadata"),
            ({"text": "x", "time": datetime.max.replace(tzinfo=UTC)}, InvalidValueError, "time"),
            (
                {"text": "x", "time": datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))},
                InvalidValueError,
                "time",
            ),
            ({"text": "x", "cues": ["y" * (1 << 20) + "z"]}, InvalidValueError, "cues"),
            ({"text": "x", "external_id": 3}, DTypeError, "external_id"),
            ({"text": "x", "vector": np.ones(384)}, InvalidValueError, "vector"),
        ],
    )
    def test_store_refuses_and_stores_nothing(self, memory, arguments, error, named):
        with pytest.raises(error, match=named):
            memory.store(**arguments)
        assert len(memory) == 0

    @pytest.mark.parametrize("item", ["text", {"txt": "x"}, {"text": "x", "speakr": "Ann"}, {}, None])
    def test_store_many_refuses_wrong_items(self, memory, item):
        with pytest.raises(StoreManyError, match=r"items|text"):
            memory.store_many([{"text": "fine"}, item])
        assert len(memory) == 0

    @pytest.mark.parametrize(
        ("arguments", "error", "named"),
        [
            ({"query": ""}, InvalidValueError, "query"),
            ({"query": " "}, InvalidValueError, "query"),
            ({"query": "\ud800"}, InvalidValueError, "query"),
            ({"query": 3}, DTypeError, "query"),
            ({"query": None}, DTypeError, "query"),
            ({"query": np.ones(3)}, ShapeError, "query"),
            ({"query": np.ones((1, 384))}, ShapeError, "query"),
            ({"query": np.full(384, np.nan)}, InvalidValueError, "query"),
            ({"query": np.zeros(384)}, InvalidValueError, "query"),
            ({"query": np.ones(384, dtype=int)}, DTypeError, "query"),
            ({"query": "x", "k": 0}, InvalidValueError, "k"),
            ({"query": "x", "k": -1}, InvalidValueError, "k"),
            ({"query": "x", "k": 1.5}, DTypeError, "k"),
            ({"query": "x", "k": True}, DTypeError, "k"),
            ({"query": "x", "pipeline": "best"}, InvalidValueError, "pipeline"),
            ({"query": "x", "pipeline": 5}, DTypeError, "pipeline"),
            ({"query": "x", "pipeline": DefaultPipeline}, DTypeError, "pipeline"),
            ({"query": np.ones(384), "pipeline": "bm25"}, InvalidValueError, "query"),
        ],
    )
    def test_recall_refuses(self, talk, arguments, error, named):
        with pytest.raises(error, match=named):
            talk.recall(**arguments)

    @pytest.mark.parametrize("memory_id", ["1", 1.0, None, True])
    def test_ids_are_whole_numbers(self, talk, memory_id):
        with pytest.raises(DTypeError, match="id"):
            talk.get(memory_id)

    def test_inputs_are_not_changed(self, tmp_path):
        vectors = np.ones((2, 4), dtype=np.float32)
        vectors.setflags(write=False)
        item = {"text": "x", "vectors": vectors, "metadata": {"a": [1]}}
        with Memory.open(tmp_path / "m", encoder=None, dim=4) as memory:
            memory.store_many([item])
            memory.recall(vectors[0])
        assert item == {"text": "x", "vectors": vectors, "metadata": {"a": [1]}}

    def test_strided_reversed_and_big_endian_vectors(self, tmp_path):
        rng = np.random.default_rng(0)
        plain = rng.standard_normal(8)
        with Memory.open(tmp_path / "m", encoder=None, dim=8) as memory:
            for vector in (plain.astype(">f4"), np.repeat(plain, 2)[::2], plain[::-1][::-1], plain.astype(np.float16)):
                memory.store("x", vector=vector)
            scores = [key.score for hit in memory.recall(plain, explain=True).explanation.hits for key in hit.keys]
        assert scores == pytest.approx([1] * 4, abs=1e-5)

    def test_a_larger_limit_can_be_asked_for(self, tmp_path):
        with Memory.open(tmp_path / "m", encoder="hashing", max_text_bytes=4 << 20) as memory:
            assert memory.get(memory.store("x" * (2 << 20))).text == "x" * (2 << 20)
