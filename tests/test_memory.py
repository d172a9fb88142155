"""Memory through its public door: storing, recalling, changing, forgetting, filters, bad input."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from hmem_fast.encode import HashingEncoder
from hmem_fast.errors import (
    ClosedError,
    DTypeError,
    DuplicateIdError,
    EncoderMismatchError,
    HmemError,
    InvalidValueError,
    NoEncoderError,
    ReadOnlyError,
    ShapeError,
    StoreManyError,
    StoreNotFoundError,
    UnknownIdError,
)
from hmem_fast.memory import DefaultPipeline, KeyRecipe, Memory

TALK = [
    {"text": "Hi Ben! How was the trip?", "speaker": "Ann", "session": "1"},
    {"text": "Great, we slept in a hut near the glacier.", "speaker": "Ben", "session": "1"},
    {"text": "I stayed home and repaired my bicycle. What did you eat?", "speaker": "Ann", "session": "1"},
    {"text": "Mostly soup and bread.", "speaker": "Ben", "session": "1"},
    {"text": "My sister keeps bees on the roof of her house.", "speaker": "Ben", "session": "2"},
    {"text": "I started at Acme as a data engineer.", "speaker": "Ann", "session": "2"},
]


def nested(levels):
    value = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.fixture(params=["disk", "memory"])
def memory(request, tmp_path):
    path = ":memory:" if request.param == "memory" else tmp_path / "m.hmem"
    with Memory.open(path, encoder="hashing") as memory:
        yield memory


@pytest.fixture
def talk(memory):
    memory.ids = memory.store_many(TALK)
    return memory


class TestStoring:
    def test_what_is_stored_can_be_read_back(self, memory):
        time = datetime(2026, 5, 1, 12, 30, tzinfo=timezone(timedelta(hours=2)))
        memory_id = memory.store(
            "Text with \0 and 🐝", cues=["a cue"], speaker="Ann", session="s", time=time, metadata={"a": [1, None]},
            external_id="x",
        )  # fmt: skip
        record = memory.get(memory_id)
        assert record.text == "Text with \0 and 🐝"
        assert record.cues == ("a cue",)
        assert (record.speaker, record.session, record.external_id) == ("Ann", "s", "x")
        assert record.time == time
        assert record.time.tzinfo is UTC
        assert record.metadata == {"a": [1, None]}
        assert memory.id_of("x") == memory_id
        assert memory.id_of("y") is None
        assert memory_id in memory
        assert memory_id + 1 not in memory

    def test_everything_survives_closing(self, tmp_path):
        with Memory.open(tmp_path / "m", encoder="hashing") as memory:
            ids = memory.store_many(TALK)
            before = memory.recall("Who keeps bees?", k=6)
        with Memory.open(tmp_path / "m") as memory:
            assert [record.id for record in memory] == ids
            assert [(hit.id, hit.score) for hit in memory.recall("Who keeps bees?", k=6)] == [
                (hit.id, hit.score) for hit in before
            ]

    def test_many_are_stored_in_order_with_progress(self, memory):
        seen = []
        ids = memory.store_many(({"text": f"text {i}"} for i in range(2_345)), progress=seen.append)
        assert ids == sorted(ids)
        assert len(memory) == 2_345
        assert seen == sorted(seen)
        assert seen[-1] == 2_345

    def test_none_at_all(self, memory):
        assert memory.store_many([]) == []
        assert list(memory) == []
        assert len(memory) == 0
        assert memory, "an empty memory is still a memory"

    def test_long_texts_say_how_many_sentences_have_no_key(self, memory):
        text = " ".join(f"This is sentence {i}." for i in range(100))
        memory_id = memory.store(text)
        assert memory.get(memory_id).unkeyed == 101 - 32
        assert memory.info().unkeyed == 101 - 32
        assert memory.recall("97", pipeline="bm25")[0].id == memory_id

    def test_a_bad_item_keeps_the_thousands_before_it(self, memory):
        items = [{"text": f"text {i}"} for i in range(2_500)]
        items[2_100] = {"text": 7}
        with pytest.raises(StoreManyError, match="text: wanted a string, got int") as caught:
            memory.store_many(items)
        assert caught.value.position == len(caught.value.ids) == len(memory) == 2_000
        assert list(caught.value.ids) == [record.id for record in memory]
        assert isinstance(caught.value.__cause__, DTypeError)

    def test_items_that_fail_by_themselves_say_what_is_in(self, memory):
        def items():
            yield from ({"text": f"text {i}"} for i in range(1_200))
            raise OSError("the disk is gone")

        with pytest.raises(StoreManyError, match="the disk is gone") as caught:
            memory.store_many(items())
        assert len(caught.value.ids) == len(memory) == 1_000


class TestRecall:
    def test_the_right_turn_is_on_top(self, talk):
        assert talk.recall("Who keeps bees?", k=1)[0].text == TALK[4]["text"]
        assert talk.recall("What does Ann do for a living, data engineer?", k=1)[0].speaker == "Ann"

    def test_an_answer_is_found_by_the_question_before_it(self, talk):
        assert talk.recall("What did you eat?", k=1)[0].text == "Mostly soup and bread."

    def test_cues_find_their_memory(self, talk):
        memory_id = talk.store("Acme", cues=["Where does Ann work nowadays?"])
        assert talk.recall("Where does Ann work nowadays?", k=1)[0].id == memory_id

    def test_naming_a_speaker_prefers_what_the_speaker_said(self, memory):
        for speaker in ("Ann", "Ben"):
            memory.store("I like the sea.", speaker=speaker, session=speaker)
        assert [hit.speaker for hit in memory.recall("What does Ben like?", k=2)] == ["Ben", "Ann"]
        assert [hit.speaker for hit in memory.recall("What does Ann like?", k=2)] == ["Ann", "Ben"]

    def test_a_recall_is_a_sequence_of_hits_best_first(self, talk):
        recall = talk.recall("bees", k=4)
        scores = [hit.score for hit in recall]
        assert scores == sorted(scores, reverse=True)
        assert len(recall) == 4
        assert recall[1:3] == (recall[1], recall[2])
        assert recall.ranking_version == 1
        assert recall.explanation is None
        assert "bees" in repr(recall)

    @pytest.mark.parametrize("pipeline", ["default", "nearest", "bm25", "hopfield"])
    def test_every_pipeline_finds_an_exact_copy(self, talk, pipeline):
        assert talk.recall("My sister keeps bees on the roof of her house.", pipeline=pipeline)[0].id == talk.ids[4]

    @pytest.mark.parametrize("pipeline", ["default", "nearest", "bm25", "hopfield"])
    @pytest.mark.parametrize("k", [1, 3, 6, 7, 2**62])
    def test_k_is_a_limit(self, talk, pipeline, k):
        hits = talk.recall("bees on the hut, my data, soup", k=k, pipeline=pipeline)
        assert len(hits) <= min(k, len(TALK))
        assert len({hit.id for hit in hits}) == len(hits)

    @pytest.mark.parametrize("pipeline", ["default", "nearest", "bm25", "hopfield"])
    def test_an_empty_memory_gives_no_hits(self, memory, pipeline):
        assert list(memory.recall("anything", pipeline=pipeline)) == []

    def test_words_that_nobody_said_are_no_hit(self, talk):
        assert list(talk.recall("xylophone", pipeline="bm25")) == []

    @pytest.mark.parametrize("pipeline", ["default", "nearest", "hopfield"])
    def test_a_vector_can_ask(self, talk, pipeline):
        vector = HashingEncoder().encode(["My sister keeps bees on the roof of her house."])[0]
        assert talk.recall(vector, pipeline=pipeline)[0].id == talk.ids[4]

    def test_one_memory_and_one_key(self, memory):
        memory_id = memory.store("alone")
        (hit,) = memory.recall("something else entirely", k=3)
        assert hit.id == memory_id
        assert np.isfinite(hit.score)

    @pytest.mark.parametrize("text", ["张三喜欢喝茶。", "Я люблю чай.", "🐝🐝🐝", "...", "\x01\x02"])
    def test_any_script_is_found_by_itself(self, talk, text):
        memory_id = talk.store(text)
        assert talk.recall(text, k=1)[0].id == memory_id

    def test_parts_can_be_left_out(self, talk):
        words_only = talk.recall("bees", pipeline=DefaultPipeline(energy_weight=0), explain=True)
        assert words_only[0].id == talk.ids[4]
        assert "encode" not in words_only.explanation.milliseconds
        no_words = talk.recall("bees", pipeline=DefaultPipeline(words_weight=0), explain=True)
        assert no_words.explanation.words == ()

    def test_a_read_never_writes(self, tmp_path):
        with Memory.open(tmp_path / "m", encoder="hashing") as memory:
            memory.store_many(TALK)
            before = memory.info()
            memory.recall("bees", explain=True, where={"speaker": "Ben"})
            list(memory)
            assert memory.info() == before


class TestExplanation:
    def test_parts_add_up_to_the_score(self, talk):
        recall = talk.recall("Does Ben's sister keep bees?", k=3, explain=True)
        explanation = recall.explanation
        assert explanation.pipeline == "default"
        assert explanation.query == "Does Ben's sister keep bees?"
        assert explanation.encoded == "Does my sister keep bees?"
        assert explanation.named == ("Ben",)
        assert "bee" in explanation.words
        assert set(explanation.milliseconds) == {"encode", "rank", "read"}
        assert [hit.id for hit in explanation.hits] == [hit.id for hit in recall]
        for hit, why in zip(recall, explanation.hits, strict=True):
            assert sum(why.parts.values()) == pytest.approx(hit.score)

    def test_it_shows_the_keys_and_the_words_that_matched(self, talk):
        (why,) = talk.recall("What did you eat?", k=1, explain=True).explanation.hits
        assert why.keys[0].kind == "question"
        assert why.keys[0].text == "What did you eat?"
        assert why.keys[0].score == pytest.approx(1, abs=1e-5)
        assert why.keys == tuple(sorted(why.keys, key=lambda key: -key.score))
        assert set(why.words) == {"eat"}


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


class TestChanging:
    def test_update_changes_what_is_given(self, talk):
        talk.update(talk.ids[4], text="My brother breeds llamas.", metadata={"new": True})
        record = talk.get(talk.ids[4])
        assert (record.text, record.speaker, record.session) == ("My brother breeds llamas.", "Ben", "2")
        assert record.metadata == {"new": True}
        assert talk.recall("llamas", k=1)[0].id == talk.ids[4]
        assert list(talk.recall("bees", pipeline="bm25")) == []

    def test_update_renews_the_next_turns_keys_and_the_windows(self, talk):
        talk.update(talk.ids[2], text="I repaired a kite. Which mushrooms did you find?")
        assert talk.recall("Which mushrooms did you find?", k=1)[0].id == talk.ids[3]
        assert {hit.id for hit in talk.recall("kite", k=9, pipeline="bm25")} == {talk.ids[2], talk.ids[3]}
        assert list(talk.recall("bicycle", pipeline="bm25")) == []

    def test_update_of_cues_and_speaker(self, talk):
        talk.update(talk.ids[5], cues=["Where is the office?"], speaker="Anna")
        assert talk.get(talk.ids[5]).cues == ("Where is the office?",)
        assert talk.recall("Where is the office?", k=1)[0].id == talk.ids[5]
        assert "Anna" in talk.info().speakers
        talk.update(talk.ids[5], cues=(), speaker=None)
        assert talk.get(talk.ids[5]).cues == ()
        assert talk.get(talk.ids[5]).speaker is None

    def test_forget_removes_a_memory_from_everything(self, talk):
        talk.forget(talk.ids[2])
        assert len(talk) == 5
        with pytest.raises(UnknownIdError, match=str(talk.ids[2])):
            talk.get(talk.ids[2])
        assert list(talk.recall("bicycle", k=9, pipeline="bm25")) == []
        hit = talk.recall("Mostly soup and bread.", k=1, explain=True)
        assert all("eat" not in key.text for key in hit.explanation.hits[0].keys)

    def test_forget_takes_several_or_none(self, talk):
        with pytest.raises(UnknownIdError, match="999"):
            talk.forget([talk.ids[0], 999])
        assert len(talk) == 6
        talk.forget(talk.ids[:3] + talk.ids[:1])
        assert [record.id for record in talk] == talk.ids[3:]
        talk.forget([])

    def test_ids_are_not_given_again(self, talk):
        talk.forget(talk.ids[-1])
        assert talk.store("new") > talk.ids[-1]

    def test_an_external_id_is_free_again_after_forgetting(self, memory):
        first = memory.store("a", external_id="x")
        with pytest.raises(DuplicateIdError, match="'x'"):
            memory.store("b", external_id="x")
        memory.forget(first)
        assert memory.store("c", external_id="x") != first

    def test_update_of_what_is_not_there(self, talk):
        with pytest.raises(UnknownIdError, match="999"):
            talk.update(999, text="x")

    def test_ids_of_numpy_are_ids(self, talk):
        memory_id = np.int64(talk.ids[4])
        talk.update(memory_id, text="My brother breeds llamas.")
        assert talk.get(memory_id).text == "My brother breeds llamas."
        assert memory_id in talk
        assert True not in talk
        talk.forget(memory_id)

    def test_update_keeps_the_time_to_the_last_bit(self, memory):
        memory_id = memory.store("x", time=0.1234567891)
        memory.update(memory_id, text="y")
        assert [hit.id for hit in memory.recall("y", where={"time": (0.1234567891, 0.1234567892)})] == [memory_id]

    def test_many_turns_of_a_session_go_at_once(self, memory):
        ids = memory.store_many({"text": f"note {i}. Why {i}?", "session": "s"} for i in range(3_000))
        memory.forget(ids[1:-1])
        last = memory.recall("note 2999", k=1, explain=True)
        assert last[0].id == ids[-1]
        assert "Why 0? note 2999." in [key.text for key in last.explanation.hits[0].keys]


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


class TestLife:
    def test_closed_is_closed(self, tmp_path):
        memory = Memory.open(tmp_path / "m", encoder="hashing")
        memory.close()
        memory.close()
        for use in (lambda: memory.store("x"), lambda: memory.recall("x"), lambda: len(memory), memory.info):
            with pytest.raises(ClosedError):
                use()

    def test_reading_needs_a_store(self, tmp_path):
        with pytest.raises(StoreNotFoundError):
            Memory.open(tmp_path / "none", mode="r")
        assert not (tmp_path / "none").exists()

    def test_a_reader_follows_the_writer_and_cannot_write(self, tmp_path):
        with Memory.open(tmp_path / "m", encoder="hashing") as writer, Memory.open(tmp_path / "m", mode="r") as reader:
            assert list(reader.recall("bees")) == []
            ids = writer.store_many(TALK)
            assert reader.recall("bees", k=1)[0].id == ids[4]
            writer.forget(ids[4])
            assert ids[4] not in [hit.id for hit in reader.recall("bees", k=9)]
            for write in (
                lambda: reader.store("x"),
                lambda: reader.forget(ids[0]),
                lambda: reader.update(ids[0], text="x"),
            ):
                with pytest.raises(ReadOnlyError):
                    write()

    def test_closing_beside_recalls_is_told_and_crashes_nothing(self, tmp_path):
        for _ in range(5):
            memory = Memory.open(tmp_path / "m", encoder="hashing")
            memory.store_many(TALK)
            ended = []

            def ask(memory=memory, ended=ended):
                try:
                    while True:
                        memory.recall("bees", k=50)
                except ClosedError:
                    ended.append("told")

            threads = [threading.Thread(target=ask) for _ in range(2)]
            for thread in threads:
                thread.start()
            memory.close()
            for thread in threads:
                thread.join()
            assert ended == ["told", "told"]

    def test_recalls_beside_changes_find_only_what_fits(self, tmp_path):
        with Memory.open(tmp_path / "m", encoder="hashing", durability="none") as memory:
            ids = memory.store_many(
                {"text": f"note {i} about bees", "speaker": f"s{i % 3}", "session": "s"} for i in range(60)
            )
            done = threading.Event()
            errors = []

            def ask(options):
                try:
                    while not done.is_set():
                        for hit in memory.recall("a note about bees", k=30, **options):
                            assert hit.speaker == "s1" or "where" not in options
                except BaseException as error:  # noqa: BLE001 - handed to the main thread
                    errors.append(error)

            asked = [{"where": {"speaker": "s1"}}, {"explain": True}, {"pipeline": "hopfield"}]
            threads = [threading.Thread(target=ask, args=(options,)) for options in asked]
            for thread in threads:
                thread.start()
            for turn, memory_id in enumerate(ids * 3):
                memory.update(memory_id, speaker=f"s{turn % 3}", text=f"note {turn} about bees")
            memory.forget(ids)
            done.set()
            for thread in threads:
                thread.join()
            assert errors == []

    def test_info_tells_what_is_held(self, talk):
        info = talk.info()
        assert (info.memories, info.sessions, info.speakers) == (6, 2, ("Ann", "Ben"))
        assert info.encoder == "hashing"
        assert info.keys > 6
        assert info.disk_bytes > 0
        assert info.index_bytes > 0

    def test_repr_tells_the_essentials(self, talk):
        assert "memories=6" in repr(talk)
        assert "hashing" in repr(talk)

    def test_threads_store_forget_and_recall_at_once(self, memory):
        errors = []

        def work(number):
            try:
                for i in range(15):
                    memory_id = memory.store(f"note {i} of thread {number} about bees", session=str(number))
                    hits = memory.recall("bees", k=5)
                    assert all("bees" in hit.text for hit in hits)
                    if i % 3 == 0:
                        memory.forget(memory_id)
            except BaseException as error:  # noqa: BLE001 - handed to the main thread
                errors.append(error)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert len(memory) == 4 * 10
