"""The command line on the model and on data: the demo, exported encoders, evaluations."""

import json
import lzma
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from command_line import hmem, read_result
from hmem_fast.cli import main


@pytest.fixture(scope="session")
def minilm_cache(minilm_native):
    """Environment in which `minilm` is found where the tests exported it."""
    return {"HMEM_CACHE": str(minilm_native.parent)}


def test_the_demo_says_why_and_counts_honestly(minilm_cache, tmp_path):
    path = tmp_path / "kept"
    done = hmem("demo", "--store", path, **minilm_cache)
    on_top = int(re.search(r"^(\d+) of 10 answers are on top \(9 wanted\)", done.out, re.MULTILINE)[1])
    assert done.returncode == (0 if on_top >= 9 else 1), done.err
    assert done.out.count("✓ ") == on_top
    assert done.out.count("✗ ") == 10 - on_top
    assert done.out.count(" = energy ") == 10
    assert "hmem store notes --file" in done.out
    again = hmem("recall", path, "What scares the dog?", "-k", "1", **minilm_cache)
    assert "toaster" in again.out
    refused = hmem("demo", "--store", path, **minilm_cache)
    assert refused.returncode == 2
    assert "--store" in refused.err


def test_nine_of_the_demo_s_ten_answers_are_on_top(minilm_cache):
    assert hmem("demo", **minilm_cache).returncode == 0


def test_the_demo_s_questions_name_turns_that_are_there():
    folder = Path(main.__code__.co_filename).parent
    turns, questions = (
        [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").splitlines()]
        for name in ("demo_conversation.jsonl", "demo_questions.jsonl")
    )
    assert len(questions) == 10
    assert {item["answer"] for item in questions} <= {turn["external_id"] for turn in turns}
    assert len({turn["session"] for turn in turns}) == 6


def test_an_exported_encoder_can_be_used(minilm_source, tmp_path):
    pytest.importorskip("onnx")
    out = tmp_path / "export.json"
    done = hmem("export-encoder", "--model", "minilm", "--out", tmp_path / "model", "--json", out)
    assert done.returncode == 0, done.err
    (row,) = read_result(out, "export-encoder")["rows"]
    assert row["dim"] == 384
    if find_spec("sentence_transformers") is None:
        assert "cosine_min" not in row
        assert "not compared" in done.err
    else:
        assert row["cosine_min"] > 0.99999
        assert row["max_abs_difference"] < 1e-5
    assert hmem("store", tmp_path / "s", "a text", "--encoder", tmp_path / "model").out == "1\n"


def test_an_encoder_for_the_core_is_one_file(minilm_source, tmp_path):
    out, texts = tmp_path / "export.json", tmp_path / "texts.txt"
    done = hmem("export-encoder", "--model", "minilm", "--out", tmp_path / "model", "--format", "native", "--json", out)
    assert done.returncode == 0, done.err
    assert [file.name for file in (tmp_path / "model").iterdir()] == ["model.hmem"]
    result = read_result(out, "export-encoder")
    assert (result["settings"]["format"], result["settings"]["precision"]) == ("native", "int8")
    (row,) = result["rows"]
    assert (row["dim"], row["producer"]) == (384, "core-int8")
    assert row["bytes"] == (tmp_path / "model" / "model.hmem").stat().st_size
    if find_spec("sentence_transformers") is None:
        assert "cosine_min" not in row
        assert "not compared" in done.err
    else:
        # Near to float32, on odd texts too, but not the same.
        assert 0.995 < row["cosine_min"] < row["cosine_mean"] < 0.99999
    for encoder in (tmp_path / "model", tmp_path / "model" / "model.hmem"):
        assert hmem("store", tmp_path / "s", "a text", "--encoder", encoder).returncode == 0
    texts.write_text("Where did we leave the spare key?\n\n" * 10, encoding="utf-8")
    refused = hmem(
        "export-encoder", "--model", "minilm", "--out", tmp_path / "few", "--format", "native", "--calibrate", texts
    )
    assert refused.returncode == 2
    assert "calibrate: wanted texts with at least 2000 tokens, got 10 texts with 100" in refused.err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--format", "native", "--precision", "f32"], "--precision: --format native has int8, got f32"),
        (["--precision", "int8"], "--precision: --format onnx has f32, got int8"),
        (["--calibrate", "texts"], "--calibrate: only --format native"),
        (["--format", "native", "--calibrate", "nowhere"], "--calibrate: wanted a file of texts, one a line; nowhere"),
        (["--format", "native", "--calibrate", "bad"], "--calibrate: wanted UTF-8; bad, line 2"),
        (["--format", "tflite"], "invalid choice: 'tflite'"),
    ],
)
def test_exports_that_do_not_exist_are_said(tmp_path, monkeypatch, capsys, given, said):
    monkeypatch.chdir(tmp_path)
    Path("texts").write_text("a text\n", encoding="utf-8")
    Path("bad").write_bytes(b"good\nb\xff\n")
    assert main(["export-encoder", "--model", "minilm", "--out", "out", *given]) == 2
    assert said in capsys.readouterr().err
    assert not Path("out").exists()


LOCOMO = [
    {
        "sample_id": f"conv-{number}",
        "conversation": {
            "session_1_date_time": "1:56 pm on 8 May, 2023",
            "session_1": [
                {"dia_id": "D1:1", "speaker": "Ann", "text": "I adopted a parrot."},
                {"dia_id": "D1:2", "speaker": "Ben", "text": "What is its name?"},
                {"dia_id": "D1:3", "speaker": "Ann", "text": "Captain."},
            ],
        },
        "qa": [
            {"question": "Which bird did Ann adopt?", "evidence": ["D1:1"], "category": 4},
            {"question": "What is the parrot's name?", "evidence": ["D1:1 D1:3"], "category": 1},
            {"question": "?", "evidence": [], "category": 1},
        ],
    }
    for number in (1, 2)
]


@pytest.fixture
def locomo(tmp_path):
    path = tmp_path / "locomo.json.xz"
    path.write_bytes(lzma.compress(json.dumps(LOCOMO).encode()))
    return path


def test_eval_locomo_writes_every_row(locomo, tmp_path):
    out, plot = tmp_path / "out.json", tmp_path / "out.png"
    pytest.importorskip("matplotlib")
    done = hmem("eval", "locomo", "--data", locomo, "--encoder", "hashing", "--json", out, "--plot", plot)
    assert done.returncode == 0, done.err
    assert "left out: 2 questions without evidence" in done.err
    result = json.loads(out.read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert result["task"] == "locomo"
    assert result["data"][0]["items"] == 4
    names = [row["name"] for row in result["rows"]]
    assert names[:4] == ["nearest", "bm25", "hopfield", "default"]
    assert all(name.startswith("default-") for name in names[4:-1])
    assert names[-1] == "spread"
    assert set(result["settings"]["pipelines"]) == set(names)
    for row in result["rows"]:
        assert row["questions"] == 4
        assert set(row["recall"]) == set(row["hit"]) == set(row["recall_all"]) == {"1", "5", "10", "20"}
        assert set(row["session_hit"]) == {"1", "5", "10"}
        assert set(row["recall_ms"]) == {"p50", "p99"}
        assert {category: set(values) for category, values in row["by_category"].items()} == {
            "1": {"questions", "recall", "mrr"},
            "4": {"questions", "recall", "mrr"},
        }
        assert row["name"] in done.out
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_eval_locomo_gives_the_same_figures_again(locomo, tmp_path):
    def figures(name):
        done = hmem(
            "eval", "locomo", "--data", locomo, "--encoder", "hashing", "--seed", "3", "--json", tmp_path / name
        )
        assert done.returncode == 0
        rows = json.loads((tmp_path / name).read_text(encoding="utf-8"))["rows"]
        return [{key: value for key, value in row.items() if key != "recall_ms"} for row in rows]

    assert figures("a.json") == figures("b.json")


def test_eval_locomo_tells_a_quick_look_from_a_whole_run(locomo, tmp_path):
    out = tmp_path / "out.json"
    common = [
        "eval",
        "locomo",
        "--data",
        locomo,
        "--encoder",
        "hashing",
        "--pipeline",
        "bm25",
        "default",
        "--json",
        out,
    ]
    done = hmem(*common, "--limit", "3")
    assert "the first 3 questions of 4: a quick look" in done.out
    result = json.loads(out.read_text(encoding="utf-8"))
    assert result["settings"]["limit"] == 3
    assert [(row["name"], row["questions"]) for row in result["rows"]] == [("bm25", 3), ("default", 3)]
    done = hmem(*common, "--conversations", "conv-2")
    assert done.returncode == 0
    result = json.loads(out.read_text(encoding="utf-8"))
    assert result["settings"]["conversations"] == ["conv-2"]
    assert "limit" not in result["settings"]
    wrong = hmem(*common, "--conversations", "conv-9")
    assert wrong.returncode == 2
    assert "wanted some of conv-1, conv-2, got 'conv-9'" in wrong.err
