"""LoCoMo: the loader on a file with every known defect, the scorer on one that is scored by hand, and the real file."""

import json
import lzma
import math
import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from hmem_fast.encode import HashingEncoder
from hmem_fast.errors import DTypeError, InvalidValueError
from hmem_fast.evaluate import CachedEncoder, DataFile, Scored, load_locomo, make_result, run_locomo, write_result
from hmem_fast.evaluate.locomo import METHODS, find_methods, first_questions
from hmem_fast.evaluate.locomo_file import Question, parse_session_time


def turn(dia_id, speaker, text, **more):
    return {"dia_id": dia_id, "speaker": speaker, "text": text, **more}


def question(text, evidence, category=4):
    return {"question": text, "evidence": evidence, "category": category, "answer": "…"}


CONTENT = [
    {
        "sample_id": "conv-1",
        "conversation": {
            "speaker_a": "Ann",
            "speaker_b": "Ben",
            # Out of order, and 10 before 2 in the alphabet: sessions go by their number.
            "session_10_date_time": "12:09 am on 13 September, 2023",
            "session_10": [turn("D10:1", "Ann", "The marathon is on Sunday.")],
            "session_1_date_time": "1:56 pm on 8 May, 2023",
            "session_1": [
                turn(
                    "D1:1",
                    "Ann",
                    "I adopted a parrot.",
                    blip_caption="a photo of a zebra",
                    img_url=["x"],
                    query="zebra",
                ),
                turn("D1:2", "Ben", "What is its name?"),
                turn("D1:3", "Ann", "Captain."),
            ],
            "session_2_date_time": "10:37 am on 27 June, 2023",
            "session_2": [turn("D2:1", "Ben", "My oven is broken.")],
            "session_3_date_time": "8:18 pm on 6 July, 2023",  # a time without a session
        },
        "qa": [
            question("Which bird does Ann have?", ["D1:1"]),
            question("What is the parrot called?", ["D1:2; D1:3"], category=1),
            question("What happened in both?", ["D1:1 D2:1  D9:9", "D1:1"], category=2),
            question("Where is it?", ["D", "D:11:26", "D30:05"]),
            question("Who knows?", []),
            {"question": "No evidence at all?", "category": 5},
            {"question": "When is the marathon?", "evidence": ["D10:1"], "category": 5, "adversarial_answer": "…"},
        ],
    }
]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "locomo.json"
    path.write_text(json.dumps(CONTENT), encoding="utf-8")
    return path


def test_turns_keep_the_order_of_sessions(file):
    (conversation,) = load_locomo(file, captions=False)
    assert [t.dia_id for t in conversation.turns] == ["D1:1", "D1:2", "D1:3", "D2:1", "D10:1"]
    assert conversation.turns[0].text == "I adopted a parrot."
    assert [t.session for t in conversation.turns] == ["session_1"] * 3 + ["session_2", "session_10"]


def test_the_caption_of_an_image_follows_the_words(file):
    (conversation,) = load_locomo(file)
    assert conversation.turns[0].text == "I adopted a parrot. a photo of a zebra"
    assert conversation.turns[1].text == "What is its name?"


def test_session_times_are_aware_and_in_utc(file):
    (conversation,) = load_locomo(file)
    assert conversation.turns[0].time == datetime(2023, 5, 8, 13, 56, tzinfo=UTC)
    assert conversation.turns[-1].time == datetime(2023, 9, 13, 0, 9, tzinfo=UTC)
    assert parse_session_time("12:30 pm on 1 January, 2023") == datetime(2023, 1, 1, 12, 30, tzinfo=UTC)
    with pytest.raises(InvalidValueError, match="8 May, 2023"):
        parse_session_time("2023-05-08 13:56")


def test_evidence_is_split_and_what_names_no_turn_is_dropped(file):
    (conversation,) = load_locomo(file)
    assert [(q.evidence, q.category) for q in conversation.questions] == [
        (("D1:1",), 4),
        (("D1:2", "D1:3"), 1),
        (("D1:1", "D2:1"), 2),  # three ids in one string, one of no turn, one repeated
        (("D10:1",), 5),
    ]
    assert conversation.dropped_evidence == 4
    assert conversation.dropped_questions == 3


def test_a_compressed_file_reads_the_same(file, tmp_path):
    compressed = tmp_path / "locomo.json.xz"
    compressed.write_bytes(lzma.compress(file.read_bytes()))
    assert load_locomo(compressed) == load_locomo(file)


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("a.json", b"not json", "no JSON in UTF-8"),
        ("a.json", b"\xff\xfe", "no JSON in UTF-8"),
        ("a.json", b"{}", "holds dict"),
        ("a.json", b"[]", "an empty list"),
        ("a.json", b"[3]", "conversation 0: sample_id: wanted str, got nothing"),
        ("a.json", b'[{"sample_id": "x"}]', "conversation: wanted dict, got nothing"),
        ("a.json", b'[{"sample_id": "x", "conversation": {"session_1": [{}]}, "qa": []}]', "session_1: dia_id"),
        ("a.json.xz", b"not compressed", "not a sound .xz"),
        ("a.json.xz", lzma.compress(b"[]" * 999)[:-20], "not a sound .xz"),
    ],
)
def test_another_file_is_refused_and_what_was_wanted_is_said(tmp_path, name, content, match):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InvalidValueError, match=match) as caught:
        load_locomo(path)
    assert "wanted a LoCoMo file" in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InvalidValueError, match="No such file"):
        load_locomo(tmp_path / "nowhere.json")


def test_scores_are_summed_up_as_worked_by_hand():
    session_of = {"a": "s1", "b": "s1", "c": "s2", "d": "s3"}
    scored = Scored("by-hand")
    scored.add(Question("?", 1, ("b", "d")), ["a", "b", "c"], session_of)  # ranks 2, none; sessions 1, none
    scored.add(Question("?", 4, ("c",)), ["c", "a"], session_of)  # rank 1; session 1
    scored.add_time(1.0)
    scored.add_time(3.0)
    row = scored.row()
    assert row["questions"] == 2
    assert row["recall"] == {"1": 0.5, "5": 0.75, "10": 0.75, "20": 0.75}
    assert row["hit"] == {"1": 0.5, "5": 1.0, "10": 1.0, "20": 1.0}
    assert row["recall_all"] == {"1": 0.5, "5": 0.5, "10": 0.5, "20": 0.5}
    assert row["mrr"] == 0.75
    assert row["session_hit"] == {"1": 1.0, "5": 1.0, "10": 1.0}
    assert row["by_category"] == {
        "1": {"questions": 1, "recall": {"1": 0.0, "5": 0.5, "10": 0.5, "20": 0.5}, "mrr": 0.5},
        "4": {"questions": 1, "recall": {"1": 1.0, "5": 1.0, "10": 1.0, "20": 1.0}, "mrr": 1.0},
    }
    assert row["recall_ms"] == {"p50": 2.0, "p99": pytest.approx(2.98)}


def test_every_method_answers_and_a_second_run_gives_the_same_figures(file):
    conversations = load_locomo(file)

    def figures():
        rows = [scored.row() for scored in run_locomo(conversations, HashingEncoder())]
        return [{name: value for name, value in row.items() if name != "recall_ms"} for row in rows]

    first = figures()
    assert [row["name"] for row in first] == [method.name for method in METHODS]
    assert all(row["questions"] == 4 for row in first)
    # Five turns: whoever ranks all of them has found all evidence at 5.
    assert {row["name"]: row["recall"]["5"] for row in first}["default"] == 1.0
    assert figures() == first


def test_progress_ends_at_its_total(file):
    seen = []
    run_locomo(
        load_locomo(file),
        HashingEncoder(),
        methods=find_methods(["bm25", "default"]),
        progress=lambda done, total: seen.append((done, total)),
    )
    done, total = zip(*seen, strict=True)
    assert list(done) == sorted(done)
    assert done[-1] == total[-1] == 2 * 5 + 2 * 4


def test_each_part_that_is_left_out_changes_one_setting():
    default = next(method for method in METHODS if method.name == "default").settings()
    for method in METHODS:
        if method.name.startswith("default-"):
            other = method.settings()
            changed = [name for name in default if name != "recipe" and other[name] != default[name]]
            changed += [name for name in default["recipe"] if other["recipe"][name] != default["recipe"][name]]
            assert len(changed) == 1, method.name


def test_methods_are_found_in_the_order_of_the_table():
    assert [method.name for method in find_methods(["default", "nearest"])] == ["nearest", "default"]
    assert find_methods(None) == METHODS
    with pytest.raises(InvalidValueError, match=r"wanted some of nearest.*got 'nearst'"):
        find_methods(["nearst"])


def test_a_limit_takes_the_first_questions(file):
    (conversation,) = load_locomo(file)
    ((_, questions),) = first_questions([conversation, conversation], 2)
    assert questions == conversation.questions[:2]
    assert [len(q) for _, q in first_questions([conversation, conversation], 6)] == [4, 2]
    with pytest.raises(InvalidValueError, match="limit"):
        first_questions([conversation], 0)


class _Counting:
    dim, space_id, producer = 4, "counting", "counting"

    def __init__(self):
        self.seen = []

    def encode(self, texts):
        self.seen += texts
        return np.array([[len(text), 1, 0, 0] for text in texts], dtype=np.float32).reshape(len(texts), 4)


def test_a_cached_encoder_encodes_each_text_once_and_hands_out_copies():
    counting = _Counting()
    cached = CachedEncoder(counting)
    first = cached.encode(["a", "bb", "a"])
    assert counting.seen == ["a", "bb"]
    assert first[:, 0].tolist() == [1, 2, 1]
    first[:] = 0
    assert cached.encode(["bb", "ccc"])[:, 0].tolist() == [2, 3]
    assert counting.seen == ["a", "bb", "ccc"]
    assert cached.encode([]).shape == (0, 4)
    assert (cached.dim, cached.space_id, cached.producer, len(cached)) == (4, "counting", "counting", 3)


def result_of(**parts):
    return make_result("test", **{"command": ["hmem"], "settings": {}, "rows": [], "seconds": 1.0, **parts})


def test_a_result_has_the_fields_that_others_read(file):
    result = result_of(data=[DataFile.of(file, items=4)], rows=[{"name": "x", "mrr": 0.5}], threads=2)
    assert list(result) == ["task", "version", "command", "settings", "data", "machine", "seconds", "rows"]
    assert set(result["machine"]) == {"cpu", "features", "threads"}
    assert result["data"][0]["items"] == 4
    assert len(result["data"][0]["sha256"]) == 64


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_result_never_holds_what_is_no_number(tmp_path, number):
    with pytest.raises(InvalidValueError, match=r"result\.rows\[0\]\.recall\.10: wanted a finite number"):
        result_of(rows=[{"recall": {"10": number}}])
    path = tmp_path / "out.json"
    with pytest.raises(InvalidValueError, match="finite"):
        write_result(path, {"rows": [number]})
    assert not path.exists()


def test_a_result_refuses_what_json_cannot_hold():
    with pytest.raises(DTypeError, match=r"result\.settings\.x"):
        result_of(settings={"x": np.float32(1)})


def test_a_written_result_replaces_the_old_one_whole(tmp_path):
    path = tmp_path / "out.json"
    path.write_text("old")
    write_result(path, result_of(settings={"text": "naïve ☂"}))
    assert json.loads(path.read_text(encoding="utf-8"))["settings"] == {"text": "naïve ☂"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.json"]


def locomo5():
    folder = Path(os.environ.get("HMEM_DATA", Path(__file__).parents[2] / "shared" / "data"))
    path = folder / "locomo" / "locomo5.json.xz"
    if not path.is_file():
        pytest.skip(f"LoCoMo is not at {path}: set HMEM_DATA")
    return path


@pytest.mark.data
def test_the_real_file_has_what_its_readme_says():
    conversations = load_locomo(locomo5())
    assert [c.sample_id for c in conversations] == ["conv-26", "conv-30", "conv-41", "conv-42", "conv-43"]
    assert sum(len(c.turns) for c in conversations) == 2760
    assert sum(len(c.questions) for c in conversations) == 997
    assert sum(c.dropped_questions for c in conversations) == 2
    assert all(t.time is not None for c in conversations for t in c.turns)


@pytest.mark.data
@pytest.mark.slow
def test_the_real_file_ranks_the_default_above_the_baselines(minilm):
    from hmem_fast.encode import OnnxEncoder

    conversations = [c for c in load_locomo(locomo5()) if c.sample_id == "conv-30"]
    methods = find_methods(["nearest", "bm25", "hopfield", "default"])
    rows = {scored.name: scored.row() for scored in run_locomo(conversations, OnnxEncoder(minilm), methods=methods)}
    assert rows["hopfield"]["mrr"] < rows["nearest"]["mrr"] < rows["bm25"]["mrr"] < rows["default"]["mrr"]
    # Settling ranks anew among the nearest 20: what stands in the first 20 is the same.
    assert rows["hopfield"]["recall"]["20"] == pytest.approx(rows["nearest"]["recall"]["20"])
