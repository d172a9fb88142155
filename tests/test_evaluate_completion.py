"""Completion and paraphrase: the loaders, the Hebbian baseline against its matrix, and runs whose answers are known."""

import json
import lzma

import numpy as np
import pytest

from command_line import hmem
from hmem_fast.encode import HashingEncoder
from hmem_fast.errors import InvalidValueError
from hmem_fast.evaluate.clinc_file import Clinc, load_clinc
from hmem_fast.evaluate.completion import clustered_patterns, run_completion
from hmem_fast.evaluate.data_folder import data_file
from hmem_fast.evaluate.dialogue_texts import read_dialogue_texts
from hmem_fast.evaluate.hebbian import N_ACTIVE, N_UNITS, Codes, codes_of
from hmem_fast.evaluate.metrics import confidence_interval
from hmem_fast.evaluate.paraphrase import READOUTS, run_paraphrase

INTENTS = {
    "bees": ["my bees make honey", "bees on the roof make honey", "honey from my bees", "how do bees make honey"],
    "rent": ["when is the rent due", "the rent is due today", "is my rent due now", "rent due on monday"],
    "snow": ["will it snow tonight", "snow is expected tonight", "heavy snow tonight", "does it snow tonight"],
}
CLINC = {
    "train": [[text, intent] for intent, texts in INTENTS.items() for text in texts],
    "val": [["bees and honey", "bees"], ["rent is due", "rent"], ["snow tonight", "snow"]],
    "test": [
        ["honey of bees", "bees"],
        ["is rent due", "rent"],
        ["snow now tonight", "snow"],
        ["heavy snow tonight", "snow"],
    ],
    "oos_train": [["what is this", "oos"]],
}
LOCOMO = [
    {
        "sample_id": "conv-1",
        "conversation": {
            "session_1_date_time": "1:56 pm on 8 May, 2023",
            "session_1": [
                {"dia_id": "D1:1", "speaker": "Ann", "text": "I adopted a parrot."},
                {"dia_id": "D1:2", "speaker": "Ben", "text": "my bees make honey"},
            ],
        },
        "qa": [{"question": "Which bird does Ann have?", "evidence": ["D1:1"], "category": 4, "answer": "…"}],
    }
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A data folder in which every file is small; HMEM_DATA names it."""
    banking = 'text,category\n"Where is, pray,\nmy card?",card\nI lost my card.,card\n'
    files = {
        "locomo/locomo5.json.xz": json.dumps(LOCOMO),
        "clinc150/data_full.json.xz": json.dumps(CLINC),
        "banking77/train.csv.xz": banking,
        "banking77/test.csv.xz": "text,category\nI lost my card.,card\nIs my card here?,card\n",
    }
    for name, content in files.items():
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(lzma.compress(content.encode()))
    monkeypatch.setenv("HMEM_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


# Files


def test_texts_are_distinct_and_in_a_fixed_order(folder):
    texts, files = read_dialogue_texts()
    assert texts[:3] == ["I adopted a parrot.", "my bees make honey", "Which bird does Ann have?"]
    assert texts[-3:] == ["Where is, pray,\nmy card?", "I lost my card.", "Is my card here?"]
    assert len(texts) == len(set(texts)) == sum(file.items for file in files)
    assert [file.items for file in files] == [3, 11 + 3 + 3, 2, 1]
    assert files[0].file == str(folder / "locomo/locomo5.json.xz")


def test_a_data_folder_must_be_named_and_have_the_file(folder, monkeypatch, tmp_path):
    with pytest.raises(InvalidValueError, match=r"HMEM_DATA: wanted a folder with ett/x\.csv in it"):
        data_file("ett/x.csv")
    monkeypatch.delenv("HMEM_DATA")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidValueError, match=r"HMEM_DATA: .* it is not set"):
        data_file("clinc150/data_full.json.xz")


def test_clinc_keeps_its_parts_and_leaves_out_what_is_out_of_scope(folder):
    clinc = load_clinc(folder / "clinc150/data_full.json.xz")
    assert clinc.intents == ("bees", "rent", "snow")
    assert clinc.by_intent() == {intent: tuple(texts) for intent, texts in INTENTS.items()}
    assert clinc.test[0] == ("honey of bees", "bees")
    assert (len(clinc.train), len(clinc.val), len(clinc.test)) == (12, 3, 4)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ([], "holds a list"),
        ({"train": [["a", "b"]], "val": [["a", "b"]]}, "has no 'test'"),
        ({"train": [["a", "b"]], "val": [], "test": [["a", "b"]]}, "has no 'val'"),
        ({"train": [["a", "b"], ["a"]], "val": [["a", "b"]], "test": [["a", "b"]]}, "train, row 1"),
        ({"train": [["a", "b"]], "val": [["a", "b"]], "test": [["a", "c"]]}, "asks for 'c'"),
    ],
)
def test_what_is_no_clinc_file(tmp_path, content, told):
    path = tmp_path / "clinc.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InvalidValueError, match=told):
        load_clinc(path)


# The interval


def test_an_interval_holds_the_mean_and_narrows_with_the_number():
    rng = np.random.default_rng(0)
    few, many = rng.random(30), rng.random(3000)
    (low, high), (many_low, many_high) = confidence_interval(few, seed=1), confidence_interval(many, seed=1)
    assert low < few.mean() < high
    assert many_low < many.mean() < many_high
    assert (many_high - many_low) == pytest.approx(2 * 1.96 * many.std() / np.sqrt(3000), rel=0.1)
    assert confidence_interval(few, seed=1) == [low, high] != confidence_interval(few, seed=2)
    with pytest.raises(InvalidValueError, match="at least one"):
        confidence_interval([], seed=0)


# The Hebbian baseline


def test_recall_is_the_product_with_the_matrix():
    vectors = np.random.default_rng(0).standard_normal((60, 16)).astype(np.float32)
    codes = codes_of(vectors, seed=3)
    assert codes.shape == (60, N_ACTIVE)
    assert (np.diff(codes, axis=1) > 0).all()
    np.testing.assert_array_equal(codes_of(vectors[7:9], seed=3), codes[7:9])
    dense = np.zeros((60, N_UNITS), np.float32)
    np.put_along_axis(dense, codes.astype(np.int64), 1.0, axis=1)
    memory, cue = Codes(codes), codes_of(vectors[:1] + 0.1, seed=3)[0]
    cue_dense = np.zeros(N_UNITS, np.float32)
    cue_dense[cue] = 1.0
    np.testing.assert_array_equal(memory.overlaps(cue), dense @ cue_dense)
    excited = dense.T @ (dense @ cue_dense)  # W @ cue
    recalled = memory.recall(cue)
    assert sorted(excited[recalled].tolist()) == sorted(np.sort(excited)[-N_ACTIVE:].tolist())
    assert memory.complete(cue) == (dense[:, recalled].sum(axis=1)).argmax() == 0


# Completion


def test_clusters_are_as_tight_as_is_said():
    rows = clustered_patterns(500, 384, seed=0)
    cosines = np.sort((rows @ rows.T)[np.triu_indices(500, 1)])
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-6)
    assert cosines[-1000:].mean() == pytest.approx(0.8, abs=0.06)
    assert abs(np.median(cosines)) < 0.05


def test_rows_of_completion():
    rng = np.random.default_rng(0)
    patterns = rng.standard_normal((300, 48)).astype(np.float32)
    patterns /= np.linalg.norm(patterns, axis=1, keepdims=True)
    run = {"memories": [100, 300], "noise": [0.0, 0.5, 30.0], "betas": [1.0, 64.0], "n_cues": 40}
    rows = run_completion({"random": patterns}, **run)
    assert rows == run_completion({"random": patterns}, **run)
    assert [row["name"] for row in rows[:4]] == ["nearest", "hopfield", "hopfield", "hebbian"]
    assert len(rows) == 2 * 3 * 4
    by = {(row["name"], row.get("beta"), row["memories"], row["noise"]): row for row in rows}
    for size in (100, 300):
        assert by["nearest", None, size, 0.0]["correct"] == by["hebbian", None, size, 0.0]["correct"] == 1.0
        assert by["nearest", None, size, 0.0]["cosine"] == pytest.approx(1.0)
        assert by["hopfield", 64.0, size, 0.5]["settled_cosine"] > 0.99
        # With a flat beta all cues end at a mean of what is near, and that is no stored pattern.
        assert by["hopfield", 1.0, size, 0.5]["settled_cosine"] < by["hopfield", 64.0, size, 0.5]["settled_cosine"]
        assert by["nearest", None, size, 30.0]["correct"] < 0.5
    low, high = by["nearest", None, 300, 30.0]["correct_ci"]
    assert low <= by["nearest", None, 300, 30.0]["correct"] <= high


def test_no_more_is_stored_than_there_is():
    with pytest.raises(InvalidValueError, match="wanted at most the 5 that 'few' has, got 6"):
        run_completion({"few": np.eye(5, dtype=np.float32)}, memories=[3, 6])


# Paraphrase


def clinc():
    part = {name: tuple(map(tuple, CLINC[name])) for name in ("train", "val", "test")}
    return Clinc(part["train"], part["val"], part["test"])


def test_rows_of_paraphrase():
    rows = run_paraphrase(clinc(), HashingEncoder(256), cues=[1, 4], seed=5)
    assert rows == run_paraphrase(clinc(), HashingEncoder(256), cues=[1, 4], seed=5)
    assert [row["readout"] for row in rows] == list(READOUTS) * 3
    assert [(row["cues"], row["uneven"]) for row in rows[::6]] == [(1, False), (4, False), (4, True)]
    assert {row["questions"] for row in rows} == {3}  # one question is word for word in the training part
    of_four = {row["readout"]: row for row in rows[6:12]}
    assert {readout: row["top1"] for readout, row in of_four.items()} == dict.fromkeys(READOUTS, 1.0)
    assert of_four["energy"]["minus_max"] == 0
    assert of_four["energy"]["minus_max_ci"] == [0, 0]
    assert {readout for readout, row in of_four.items() if "beta" in row} == {"energy", "log_mean_exp", "settle"}
    # With one cue a memory, pooling has nothing to do.
    of_one = {row["readout"]: row["top1"] for row in rows[:6]}
    assert of_one["energy"] == of_one["max"] == of_one["mean"] == of_one["log_mean_exp"]


def test_a_limit_asks_fewer_questions():
    assert {row["questions"] for row in run_paraphrase(clinc(), HashingEncoder(256), cues=[2], limit=2)} == {2}


@pytest.mark.parametrize(("cues", "told"), [([0], "got 0"), ([1, 5], "wanted 1 to 4, got 5"), ([], "got none")])
def test_cues_that_cannot_be_drawn(cues, told):
    with pytest.raises(InvalidValueError, match=told):
        run_paraphrase(clinc(), HashingEncoder(64), cues=cues)


# The command line


def read(path):
    return json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)


def test_eval_completion_writes_every_row(folder, tmp_path):
    out = tmp_path / "out.json"
    command = (
        "eval",
        "completion",
        "--memories",
        "5",
        "20",
        "--noise",
        "0",
        "1",
        "--beta",
        "50",
        "--encoder",
        "hashing",
    )
    done = hmem(*command, "--json", out, "--limit", "4")
    assert done.returncode == 0, done.err
    result = read(out)
    assert result["task"] == "completion"
    assert len(result["rows"]) == 2 * 2 * 2 * 3
    for row in result["rows"]:
        assert set(row) >= {"name", "noise", "memories", "correct", "correct_ci", "set", "cues", "cosine"}
        assert row["cues"] == 4
    assert {row["name"] for row in result["rows"]} == {"nearest", "hopfield", "hebbian"}
    assert result["settings"]["limit"] == 4
    assert [item["items"] for item in result["data"]] == [3, 17, 2, 1]
    assert "hopfield, beta 50" in done.out
    assert "noise 1 (cos 0.7" in done.out
    again = tmp_path / "again.json"
    assert hmem(*command, "--json", again, "--limit", "4").returncode == 0
    assert read(again)["rows"] == result["rows"]


def test_eval_paraphrase_writes_every_row(folder, tmp_path):
    out = tmp_path / "out.json"
    done = hmem("eval", "paraphrase", "--cues", "1", "3", "--encoder", "hashing", "--json", out)
    assert done.returncode == 0, done.err
    result = read(out)
    assert result["task"] == "paraphrase"
    assert len(result["rows"]) == 3 * len(READOUTS)
    for row in result["rows"]:
        assert set(row) >= {"readout", "cues", "questions", "top1", "top1_ci"}
    assert result["settings"]["beta_chosen_on"] == "val"
    assert result["data"][0]["items"] == 19
    assert "energy less max, 1 to 3 cues" in done.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["completion", "--memories", "0"], "argument --memories: wanted a whole number of at least 1"),
        (["completion", "--memories", "24", "--encoder", "hashing"], "--memories: wanted at most 23"),
        (["completion", "--noise", "-1"], "argument --noise: wanted a number of at least 0, got '-1'"),
        (["completion", "--beta", "0"], "argument --beta: wanted a number above 0, got '0'"),
        (["completion", "--beta", "hot"], "got 'hot'"),
        (["paraphrase", "--cues", "5", "--encoder", "hashing"], "cues: wanted 1 to 4, got 5"),
        (["paraphrase", "--data", "nowhere.json"], "wanted a clinc150 file"),
    ],
)
def test_wrong_usage(folder, arguments, told):
    done = hmem("eval", *arguments)
    assert (done.returncode, done.out) == (2, "")
    assert told in done.err


@pytest.mark.data
@pytest.mark.slow
def test_the_energy_of_many_cues_beats_the_best_cue(minilm):
    from hmem_fast.encode import OnnxEncoder

    rows = run_paraphrase(load_clinc(data_file("clinc150/data_full.json.xz")), OnnxEncoder(minilm), cues=[32])
    top1 = {row["readout"]: row["top1"] for row in rows if not row["uneven"]}
    assert top1["energy"] > 0.87
    assert top1["hebbian"] < top1["max"] < top1["energy"]
    assert rows[0]["minus_max_ci"][0] > 0
