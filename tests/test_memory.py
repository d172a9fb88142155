"""Memory through its public door: storing, recalling, explaining, changing, forgetting."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from hmem_fast.encode import HashingEncoder
from hmem_fast.errors import (
    DTypeError,
    DuplicateIdError,
    StoreManyError,
    UnknownIdError,
)
from hmem_fast.memory import DefaultPipeline, Memory
from hmem_fast.memory import pipeline as pipelines
from strategies import TALK


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

    @pytest.mark.parametrize("where", [None, {"speaker": "Ann"}])
    def test_few_hits_of_a_vector_are_the_first_of_many(self, memory, where):
        texts = [
            f"{word} in the {place}" for place in ("hut", "garden", "river") for word in ("bees", "soup", "a boat")
        ]
        memory.store_many([{"text": texts[i * i % 9], "speaker": ("Ann", "Ben")[i % 2]} for i in range(60)])
        for vector in HashingEncoder().encode([texts[0], "a boat", "xylophone"]):
            ranked = [(hit.id, hit.score) for hit in memory.recall(vector, k=60, where=where)]
            assert len(ranked) == (60 if where is None else 30)
            for k in range(1, 12):
                hits = memory.recall(vector, k=k, where=where)
                assert [(hit.id, hit.score) for hit in hits] == ranked[:k]

    @pytest.mark.parametrize("weights", [{}, {"words_weight": 0.0}, {"energy_weight": 0.0}, {"speaker_bonus": -1.0}])
    def test_few_candidates_of_a_text_give_the_first_of_many(self, memory, weights, monkeypatch):
        words = ["bees", "soup", "boat", "hut", "garden", "river", "Ann", "Ben", "rope", "xylophone"]
        random = np.random.default_rng(7)
        memory.store_many(
            [
                {
                    "text": " ".join(random.choice(words, 1 + i % 4)),
                    "speaker": ("Ann", "Ben")[i % 2],
                    "session": str(i // 5),
                }
                for i in range(150)
            ]
        )
        pipeline, questions = DefaultPipeline(**weights), ["bees", "Did Ann see the river?", "soup boat rope", "cello"]
        for where in (None, {"speaker": "Ben"}):
            monkeypatch.setattr(pipelines, "FEW", 64)
            ranked = [memory.recall(text, k=150, where=where, pipeline=pipeline) for text in questions]
            for few in (1, 5, 64):
                monkeypatch.setattr(pipelines, "FEW", few)
                for text, all_hits in zip(questions, ranked, strict=True):
                    for k in (1, 3, 10):
                        hits = memory.recall(text, k=k, where=where, pipeline=pipeline)
                        assert [(hit.id, hit.score) for hit in hits] == [(hit.id, hit.score) for hit in all_hits[:k]]

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
