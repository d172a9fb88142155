"""Memory and its encoder: none, another one, one that fails, one that is not there."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import numpy as np
import pytest

from hmem_fast.encode import HashingEncoder
from hmem_fast.errors import (
    DTypeError,
    EncoderMismatchError,
    HmemError,
    InvalidValueError,
    NoEncoderError,
    ShapeError,
)
from hmem_fast.memory import KeyRecipe, Memory
from strategies import TALK


class TestWithoutAnEncoder:
    @pytest.fixture
    def ready(self, memory, tmp_path):
        with Memory.open(tmp_path / "ready", encoder=None, dim=3) as ready:
            yield ready

    def test_vectors_are_stored_and_asked(self, ready):
        a = ready.store("east", vector=np.array([1.0, 0, 0]))
        b = ready.store("north and up", vectors=np.array([[0, 1.0, 0], [0, 0, 1.0]], dtype=np.float32))
        assert ready.recall(np.array([0.9, 0.1, 0]), k=1)[0].id == a
        assert ready.recall(np.array([0.1, 0, 0.9]), k=1)[0].id == b
        assert ready.info().keys == 3

    def test_texts_are_asked_by_words(self, ready):
        ready.store("east", vector=np.array([1.0, 0, 0]))
        assert ready.recall("east")[0].text == "east"
        with pytest.raises(NoEncoderError):
            ready.recall("east", pipeline="nearest")

    def test_it_opens_again_as_it_was(self, tmp_path):
        with Memory.open(tmp_path / "m", encoder=None, dim=3) as memory:
            memory.store("east", vector=np.array([1.0, 0, 0]))
        with Memory.open(tmp_path / "m") as memory:
            assert memory.recall(np.array([1.0, 0, 0]))[0].text == "east"
        with pytest.raises(EncoderMismatchError, match="ready vectors"):
            Memory.open(tmp_path / "m", encoder="hashing")
        with pytest.raises(ShapeError, match="3 wide, got 4"):
            Memory.open(tmp_path / "m", encoder=None, dim=4)

    def test_updating_a_text_keeps_the_vector(self, ready):
        memory_id = ready.store("east", vector=np.array([1.0, 0, 0]))
        ready.update(memory_id, text="sunrise")
        assert ready.recall(np.array([1.0, 0, 0]))[0].text == "sunrise"
        ready.update(memory_id, vector=np.array([0, 1.0, 0]))
        (why,) = ready.recall(np.array([0, 1.0, 0]), explain=True).explanation.hits
        assert [(key.kind, key.text) for key in why.keys] == [("vector", None)]
        assert why.keys[0].score == pytest.approx(1)

    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            ({}, NoEncoderError),
            ({"vector": np.array([1.0, 0, 0]), "cues": ["c"]}, NoEncoderError),
            ({"vector": np.array([1.0, 0])}, ShapeError),
            ({"vector": np.array([[1.0, 0, 0]])}, ShapeError),
            ({"vectors": np.array([1.0, 0, 0])}, ShapeError),
            ({"vectors": np.ones((33, 3))}, ShapeError),
            ({"vectors": np.ones((0, 3))}, ShapeError),
            ({"vector": np.array([1.0, np.nan, 0])}, InvalidValueError),
            ({"vector": np.array([1e300, 0, 0])}, InvalidValueError),
            ({"vector": np.zeros(3)}, InvalidValueError),
            ({"vector": np.array([1, 0, 0])}, DTypeError),
            ({"vector": np.array(["a", "b", "c"])}, DTypeError),
            ({"vector": np.ones(3), "vectors": np.ones((1, 3))}, InvalidValueError),
        ],
    )
    def test_bad_vectors_store_nothing(self, ready, arguments, error):
        with pytest.raises(error, match=r"vector|cues"):
            ready.store("x", **arguments)
        assert len(ready) == 0

    def test_a_width_is_needed(self, tmp_path):
        with pytest.raises(InvalidValueError, match="dim: wanted"):
            Memory.open(":memory:", encoder=None)
        for dim in (0, -1, 1 << 40):
            with pytest.raises(InvalidValueError, match="dim: wanted"):
                Memory.open(tmp_path / "m", encoder=None, dim=dim)
        with pytest.raises(DTypeError, match="dim: wanted"):
            Memory.open(tmp_path / "m", encoder=None, dim="wide")
        assert not (tmp_path / "m").exists()


class OtherSpace(HashingEncoder):
    """An encoder of the same width whose vectors mean something else."""

    @property
    def space_id(self):
        return "another space"


class TestEncoders:
    def test_an_object_can_encode(self, tmp_path):
        with Memory.open(tmp_path / "m", encoder=HashingEncoder(64)) as memory:
            memory.store("a text about bees")
            assert memory.info().dim == 64
        with Memory.open(tmp_path / "m") as memory:
            assert memory.recall("bees", pipeline="bm25")[0].text == "a text about bees"
            with pytest.raises(NoEncoderError):
                memory.recall("bees")
        with Memory.open(tmp_path / "m", encoder=HashingEncoder(64)) as memory:
            assert memory.recall("bees")[0].text == "a text about bees"

    def test_another_space_is_refused(self, tmp_path):
        Memory.open(tmp_path / "m", encoder="hashing").close()
        with pytest.raises(EncoderMismatchError, match="another space"):
            Memory.open(tmp_path / "m", encoder=OtherSpace())

    def test_a_store_can_be_encoded_anew(self, tmp_path):
        with Memory.open(tmp_path / "old", encoder="hashing") as old:
            old.store_many(TALK)
            with Memory.open(tmp_path / "new", encoder=OtherSpace()) as new:
                new.store_many(record.to_item() for record in old)
                assert [record.to_item() for record in new] == [record.to_item() for record in old]

    def test_without_its_model_a_store_is_read_searched_by_words_and_tidied_up(self, tmp_path):
        with Memory.open(tmp_path / "m", encoder=HashingEncoder()) as memory:
            ids = memory.store_many(TALK)
            fresh = [hit.id for hit in memory.recall("What did you eat?", k=6)]
        with Memory.open(tmp_path / "m", encoder=None) as memory:
            assert memory.get(ids[0]).text == TALK[0]["text"]
            assert memory.recall("bees", pipeline="bm25")[0].id == ids[4]
            memory.forget(ids[2])
            info = memory.info()
            assert (info.memories, info.stale_keys) == (5, 0), "the next turn has one sentence, which needs no new key"
            memory.update(ids[0], text="Hello. What was the weather like?")
            assert memory.info().stale_keys > 0
            with pytest.raises(NoEncoderError):
                memory.store("new")
            with pytest.raises(NoEncoderError):
                memory.renew()
        with Memory.open(tmp_path / "m", encoder=HashingEncoder()) as memory:
            assert memory.renew() == 2
            assert memory.info().stale_keys == 0
            assert memory.recall("What was the weather like?", k=1)[0].id == ids[1]
            assert fresh

    def test_an_encoder_that_gives_nonsense_stores_nothing(self, tmp_path):
        class Broken(HashingEncoder):
            def encode(self, texts):
                return super().encode(texts)[:, :5]

        with Memory.open(tmp_path / "m", encoder=Broken()) as memory:
            with pytest.raises(ShapeError, match="encoder"):
                memory.store("x")
            assert len(memory) == 0

    def test_forgetting_goes_on_when_the_encoder_fails(self, tmp_path):
        class Moody(HashingEncoder):
            fails = False

            def encode(self, texts):
                if self.fails:
                    raise RuntimeError("out of order")
                return super().encode(texts)

        encoder = Moody()
        with Memory.open(tmp_path / "m", encoder=encoder) as memory:
            ids = memory.store_many(
                {"text": text, "session": "s"}
                for text in ("Where were you?", "In a hut. It rained.", "Alone?", "No.", "Oh.")
            )
            encoder.fails = True
            memory.forget(ids[0])
            assert ids[0] not in memory
            assert memory.info().stale_keys > 0
            with pytest.raises(RuntimeError, match="out of order"):
                memory.update(ids[4], text="new text")
            with pytest.raises(RuntimeError, match="out of order"):
                memory.renew()
            encoder.fails = False
            memory.renew()
            assert memory.info().stale_keys == 0

    def test_a_path_to_an_encoder_is_recorded_from_the_root(self, minilm, tmp_path, monkeypatch):
        monkeypatch.chdir(minilm.parent)
        with Memory.open(tmp_path / "m", encoder=minilm.name) as memory:
            memory.store("bees")
        monkeypatch.chdir(tmp_path)
        with Memory.open(tmp_path / "m") as memory:
            assert memory.recall("insects")[0].text == "bees"

    def test_a_missing_model_leaves_no_store_behind(self, tmp_path):
        with pytest.raises(HmemError):
            Memory.open(tmp_path / "m", encoder="no-such-encoder")
        assert not (tmp_path / "m").exists()

    def test_what_is_no_encoder_is_refused(self, tmp_path):
        with pytest.raises(DTypeError, match="encoder: wanted"):
            Memory.open(tmp_path / "m", encoder=3)

    def test_the_recipe_of_a_store_is_fixed(self, tmp_path):
        recipe = KeyRecipe(keys=("turn",), window_turns=1)
        Memory.open(tmp_path / "m", encoder="hashing", recipe=recipe).close()
        with Memory.open(tmp_path / "m", recipe=recipe):
            pass
        with pytest.raises(InvalidValueError, match="recipe"):
            Memory.open(tmp_path / "m", recipe=KeyRecipe())


PRODUCERS = {"minilm": "core-int8", "minilm-f32": "onnx-f32"}


class TestPrecisions:
    """Backends and precisions of one model share a space: what one stored, another one finds."""

    TEXTS = ("The spare key is under the blue flowerpot.", "The bins go out on Tuesday.", "The plumber is called Ines.")
    QUESTIONS = ("How do I get in when I am locked out?", "When is the rubbish collected?", "Who mends the pipes?")

    @pytest.fixture(autouse=True)
    def _cache(self, minilm, minilm_native, encoder_cache, monkeypatch):
        monkeypatch.setenv("HMEM_CACHE", str(encoder_cache))

    @pytest.mark.parametrize(("wrote", "reads"), [("minilm-f32", "minilm"), ("minilm", "minilm-f32")])
    def test_a_store_of_one_is_read_and_written_with_the_other(self, tmp_path, wrote, reads):
        with Memory.open(tmp_path / "m", encoder=wrote) as memory:
            ids = memory.store_many({"text": text} for text in self.TEXTS)
            space = memory.info().space_id
            found = [memory.recall(question, pipeline="nearest", k=3) for question in self.QUESTIONS]
            assert [hits[0].id for hits in found] == ids
        before = producers(tmp_path / "m")
        assert set(before.values()) == {PRODUCERS[wrote]}
        with Memory.open(tmp_path / "m", encoder=reads) as memory:
            assert memory.info().space_id == space
            for question, wanted in zip(self.QUESTIONS, found, strict=True):
                hits = memory.recall(question, pipeline="nearest", k=3)
                assert [hit.id for hit in hits] == [hit.id for hit in wanted]
                np.testing.assert_allclose([hit.score for hit in hits], [hit.score for hit in wanted], atol=0.05)
            memory.store("The gardener comes on Fridays.")
            memory.forget(ids[1])
            assert memory.recall("Who cuts the hedge?", k=1)[0].text == "The gardener comes on Fridays."
            assert set(memory.info().producers) == set(PRODUCERS.values())
        after = producers(tmp_path / "m")
        kept = set(before) & set(after)
        assert len(kept) == len(before) - 1
        assert {after[key] for key in kept} == {PRODUCERS[wrote]}
        assert {after[key] for key in set(after) - kept} == {PRODUCERS[reads]}

    @pytest.mark.parametrize(("wrote", "reads"), [("minilm-f32", "minilm"), ("minilm", "minilm-f32")])
    def test_a_reader_may_use_the_other(self, tmp_path, wrote, reads):
        with Memory.open(tmp_path / "m", encoder=wrote) as memory:
            ids = memory.store_many({"text": text} for text in self.TEXTS)
        with Memory.open(tmp_path / "m", encoder=reads, mode="r") as memory:
            assert [memory.recall(question, k=1)[0].id for question in self.QUESTIONS] == ids
        with Memory.open(tmp_path / "m") as memory:
            memory.store("written again")
        assert set(producers(tmp_path / "m").values()) == {PRODUCERS[wrote]}, "the recorded encoder stays"

    def test_a_new_store_is_encoded_by_the_core(self, tmp_path):
        with Memory.open(tmp_path / "m") as memory:
            memory.store(self.TEXTS[0])
            assert memory.info().producers == ("core-int8",)


def producers(path):
    """Who made each key's vector, by the key's id."""
    with closing(sqlite3.connect(path / "truth.sqlite3")) as truth:
        return dict(truth.execute("SELECT key_id, producer FROM keys"))
