"""The command line, run as others run it: in a process of its own, with pipes for streams."""

import json
import lzma
import os
import re
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from hmem_fast.cli import main
from hmem_fast.memory import Memory

ENVELOPE = {"task", "version", "command", "settings", "data", "machine", "seconds", "rows"}
ESCAPE = "\x1b"

ITEMS = [
    {"text": "I adopted a parrot called Captain.", "speaker": "Ann", "session": "monday", "external_id": "a"},
    {"text": "The oven in the kitchen is broken.", "speaker": "Ben", "session": "monday", "metadata": {"year": 2024}},
    {
        "text": "My marathon is on Sunday.",
        "speaker": "Ann",
        "session": "friday",
        "time": "2024-05-03T10:00:00+02:00",
        "metadata": {"year": "2024"},
        "cues": ["When does Ann run?"],
    },
]


def hmem(*arguments, stdin=b"", timeout=120, **environment):
    """Run a command line; bytes in, text out."""
    done = subprocess.run(
        [sys.executable, "-m", "hmem_fast", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        timeout=timeout,
        env={**os.environ, **environment},
        check=False,
    )
    done.out, done.err = done.stdout.decode(), done.stderr.decode()
    assert ESCAPE not in done.out + done.err  # no colour, no moving bar: these are pipes
    assert "Traceback" not in done.err or "--debug" in arguments
    return done


def lines(items):
    return "".join(json.dumps(item) + "\n" for item in items).encode()


@pytest.fixture
def store(tmp_path):
    """A store with three memories, made by the command line."""
    path = tmp_path / "notes"
    done = hmem("store", path, "--encoder", "hashing", "--file", "-", stdin=lines(ITEMS))
    assert (done.returncode, done.out) == (0, "1\n2\n3\n"), done.err
    return path


def read_result(path, task):
    result = json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert set(result) >= ENVELOPE
    assert result["task"] == task
    assert result["command"][:2] == ["hmem", task.split()[0]]
    assert set(result["machine"]) == {"cpu", "features", "threads"}
    assert result["seconds"] >= 0
    return result


# Usage


def test_help_and_version_go_to_stdout():
    helped = hmem("--help")
    assert helped.returncode == 0
    assert not helped.err
    for command in ("demo", "doctor", "export-encoder", "store", "recall", "forget", "info", "eval"):
        assert command in helped.out
    assert re.fullmatch(r"hmem_fast \S+\n", hmem("--version").out)


@pytest.mark.parametrize("command", ["demo", "doctor", "export-encoder", "store", "recall", "forget", "info", "eval"])
def test_each_subcommand_has_help(command):
    done = hmem(command, "--help")
    assert done.returncode == 0
    assert f"usage: hmem {command}" in done.out
    assert "--debug" in done.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "COMMAND: wanted one of demo"),
        (["remember"], "invalid choice: 'remember'"),
        (["recall"], "STORE, QUERY"),
        (["recall", "s", "q", "-k", "0"], "argument -k: wanted a whole number of at least 1, got '0'"),
        (["recall", "s", "q", "-k", "many"], "got 'many'"),
        (["recall", "s", "q", "--pipe", "bm25"], "--pipe"),  # no abbreviations: scripts would break on a new option
        (
            ["recall", "s", "q", "--json", "no/such/folder/out.json"],
            "argument --json: wanted a file in an existing folder",
        ),
        (["store", "s"], "TEXT: wanted texts or --file"),
        (["forget", "s", "seven"], "argument ID: invalid int value: 'seven'"),
        (["eval"], "TASK"),
        (["eval", "locomo"], "--data"),
        (["eval", "locomo", "--data", "nowhere.json"], "wanted a LoCoMo file"),
        (["eval", "locomo", "--data", "nowhere.json", "--pipeline", "best"], "wanted some of nearest"),
        (["eval", "locomo", "--data", "d", "--plot", "p.txt"], "argument --plot: wanted a file that ends in .png"),
        (["export-encoder", "--model", "nowhere", "--out", "o"], "model: 'nowhere' is no known model"),
    ],
)
def test_wrong_usage_is_2_and_one_line(arguments, told, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "hmem_fast", *arguments], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert told in done.stderr
    assert not list(tmp_path.iterdir())  # and nothing was made


def test_only_what_was_asked_for_is_imported():
    code = (
        "import sys; from hmem_fast.cli import main; main(['--help']); "
        "heavy = {'rich', 'matplotlib', 'onnxruntime', 'torch', 'hmem_fast.cli.demo', 'hmem_fast.evaluate'}; "
        "sys.exit(' '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# Storing and recalling


def test_ids_go_to_stdout_and_notes_to_stderr(tmp_path):
    done = hmem("store", tmp_path / "s", "one thing", "another thing", "--encoder", "hashing")
    assert done.returncode == 0
    assert done.out == "1\n2\n"
    assert "stored 2 memories" in done.err


def test_texts_come_before_the_file_and_the_encoder_is_recorded(store):
    done = hmem("store", store, "first", "--file", "-", stdin=lines([{"text": "second"}]))
    assert done.out == "4\n5\n"
    with Memory.open(store, mode="r") as memory:
        assert [memory.get(4).text, memory.get(5).text] == ["first", "second"]
        assert memory.info().encoder == "hashing"


def test_all_fields_of_a_line_arrive(store):
    with Memory.open(store, mode="r") as memory:
        record = memory.get(3)
        assert memory.id_of("a") == 1
    assert (record.speaker, record.session, record.cues) == ("Ann", "friday", ("When does Ann run?",))
    assert record.metadata == {"year": "2024"}
    assert record.time.isoformat() == "2024-05-03T08:00:00+00:00"


def test_a_compressed_file_is_read_as_it_is(tmp_path):
    file = tmp_path / "items.jsonl.xz"
    file.write_bytes(lzma.compress(b"\xef\xbb\xbf" + lines(ITEMS) + b"\n \n"))  # a byte order mark, empty lines
    assert hmem("store", tmp_path / "s", "--encoder", "hashing", "--file", file).out == "1\n2\n3\n"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"{oops\n", "wanted a JSON object in UTF-8, got '{oops'"),
        (b'"text"\n', 'wanted a JSON object with "text"'),
        (b'{"speaker": "Ann"}\n', 'wanted a JSON object with "text"'),
        (b'{"text": "x", "speeker": "Ann"}\n', "got 'speeker'"),
        (b'{"text": "x", "time": "2024-05-03"}\n', "which has no zone"),
        (b'{"text": "x", "time": "soon"}\n', "got 'soon'"),
        (b'{"text": "x", "time": true}\n', "time: wanted"),
        (b'{"text": 7}\n', "text: wanted a string, got int"),
        (b'{"text": null}\n', "text: wanted a string, got NoneType"),
        (b'{"text": "  "}\n', "text: wanted some text"),
        (b'{"text": "\\ud800"}\n', "lone surrogate"),
        (b'{"text": "x", "metadata": [1]}\n', "metadata: wanted a mapping"),
        (b'{"text": "x", "cues": "one"}\n', "cues: wanted a sequence"),
        (b'\xff{"text": "x"}\n', "UTF-8"),
    ],
)
def test_a_bad_line_is_named_and_what_is_stored_is_said(tmp_path, line, told):
    file = tmp_path / "items.jsonl"
    file.write_bytes(lines(ITEMS) + line + lines([{"text": "after"}]))
    done = hmem("store", tmp_path / "s", "--encoder", "hashing", "--file", file)
    assert done.returncode == 2
    assert f"error: {file}, line 4: " in done.err
    assert told in done.err
    stored = int(re.search(r"(\d+) memories of this run are stored", done.err)[1])
    assert done.out.split() == [str(memory_id) for memory_id in range(1, stored + 1)]
    assert f"memories        {stored}\n" in hmem("info", tmp_path / "s").out


def test_an_external_id_that_is_taken_is_bad_input(store):
    done = hmem("store", store, "--file", "-", stdin=lines([{"text": "x"}, {"text": "y", "external_id": "a"}]))
    assert done.returncode == 2
    assert "external_id: 'a'" in done.err
    assert "0 memories of this run are stored" in done.err


def test_a_missing_file_is_bad_input(tmp_path):
    done = hmem("store", tmp_path / "s", "--encoder", "hashing", "--file", tmp_path / "nowhere.jsonl")
    assert done.returncode == 2
    assert "--file: wanted a file of JSON lines" in done.err


def test_an_unknown_encoder_is_bad_input_and_makes_no_store(tmp_path):
    done = hmem("store", tmp_path / "s", "x", "--encoder", "nonsense")
    assert done.returncode == 2
    assert "'nonsense'" in done.err
    assert not (tmp_path / "s").exists()


def test_recall_prints_the_best_hit_first(store):
    done = hmem("recall", store, "Which parrot did Ann adopt?", "-k", "2")
    assert done.returncode == 0
    first, second = done.out.splitlines()
    assert re.fullmatch(r"1\. \[1\] \d+\.\d{3}  I adopted a parrot called Captain\.  \(Ann, monday\)", first)
    assert second.startswith("2. ")
    assert not done.err


@pytest.mark.parametrize("pipeline", ["default", "nearest", "bm25", "hopfield"])
def test_recall_takes_each_pipeline(store, pipeline):
    done = hmem("recall", store, "parrot", "-k", "1", "--pipeline", pipeline)
    assert done.returncode == 0
    assert "[1]" in done.out


@pytest.mark.parametrize("pipeline", ["default", "nearest", "bm25", "hopfield"])
def test_an_explanation_adds_up(store, tmp_path, pipeline):
    out = tmp_path / "out.json"
    done = hmem(
        "recall", store, "When is the marathon that Ann runs?", "--explain", "--pipeline", pipeline, "--json", out
    )
    assert done.returncode == 0, done.err
    rows = read_result(out, "recall")["rows"]
    assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
    for row in rows:
        assert sum(row["explanation"]["parts"].values()) == pytest.approx(row["score"], abs=1e-6)
        assert f"{row['score']:.4f} = " in done.out
    if pipeline == "default":
        assert "names:      Ann" in done.out
        assert "encoded as: " in done.out
        assert re.search(r"words +.*marathon \d", done.out)
        assert re.search(r"cue +-?0\.\d{3}  When does Ann run\?", done.out)


def test_a_recall_is_written_with_what_steered_it(store, tmp_path):
    out = tmp_path / "out.json"
    hmem("recall", store, "parrot", "-k", "1", "--json", out)
    result = read_result(out, "recall")
    assert result["settings"]["query"] == "parrot"
    assert result["settings"]["k"] == 1
    assert "explanation" not in result
    (row,) = result["rows"]
    assert (row["id"], row["speaker"], row["external_id"]) == (1, "Ann", "a")
    assert "time" not in row  # what does not apply is left out


@pytest.mark.parametrize(
    ("conditions", "ids"),
    [
        (["speaker=Ann"], {1, 3}),
        (["speaker=Ann", "session=friday"], {3}),
        (["session=friday", "session=monday"], {1, 2, 3}),
        (["year=2024"], {2}),  # a number
        (['year="2024"'], {3}),  # a text
        (["time=2024-05-03T08:00:00Z.."], {3}),
        (["time=..1714723199"], set()),
        (["speaker=Nobody"], set()),
    ],
)
def test_where_filters(store, conditions, ids):
    where = [part for condition in conditions for part in ("--where", condition)]
    done = hmem("recall", store, "anything", *where)
    assert done.returncode == 0, done.err
    assert {int(found) for found in re.findall(r"^\d+\. \[(\d+)\]", done.out, re.MULTILINE)} == ids
    assert bool(ids) != ("nothing was found" in done.err)


@pytest.mark.parametrize(
    ("condition", "told"),
    [("speaker", "wanted NAME=VALUE"), ("time=now..", "got 'now'"), ("time=2024", "wanted START..END")],
)
def test_a_bad_filter_is_bad_input(store, condition, told):
    done = hmem("recall", store, "anything", "--where", condition)
    assert done.returncode == 2
    assert told in done.err


def test_a_store_that_is_not_there_is_bad_input(tmp_path):
    for command in (
        ["recall", tmp_path / "no", "q"],
        ["info", tmp_path / "no"],
        ["forget", tmp_path / "no", "1", "--dry-run"],
        ["forget", tmp_path / "no", "1"],
    ):
        done = hmem(*command)
        assert done.returncode == 2
        assert str(tmp_path / "no") in done.err
    assert not (tmp_path / "no").exists()


def test_reading_commands_work_beside_a_writer(store):
    with Memory.open(store) as memory:
        assert hmem("recall", store, "parrot", "-k", "1").returncode == 0
        assert hmem("info", store).returncode == 0
        assert hmem("forget", store, "1", "--dry-run").returncode == 0
        locked = hmem("store", store, "x")
        assert locked.returncode == 1
        assert f"process {os.getpid()}" in locked.err
        assert len(memory) == 3


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_can_be_read(store):
    store.chmod(0o555)
    try:
        assert hmem("recall", store, "parrot", "-k", "1").returncode == 0
    finally:
        store.chmod(0o755)


def test_forget_shows_what_goes_and_a_dry_run_keeps_it(store):
    dry = hmem("forget", store, "1", "3", "--dry-run")
    assert dry.returncode == 0
    assert dry.out == "1\tI adopted a parrot called Captain.\n3\tMy marathon is on Sunday.\n"
    assert "would forget 2" in dry.err
    wet = hmem("forget", store, "1", "3", "1")
    assert wet.out == dry.out
    assert "memories        1\n" in hmem("info", store).out


def test_forgetting_what_is_not_there_forgets_nothing(store):
    done = hmem("forget", store, "1", "99")
    assert done.returncode == 2
    assert "99" in done.err
    assert done.out == ""
    assert "memories        3\n" in hmem("info", store).out


def test_a_stored_text_cannot_steer_the_terminal(store):
    hmem("store", store, "two\nlines and \x1b[31mred\x07")
    for done in (
        hmem("recall", store, "two lines red", "-k", "1", "--explain"),
        hmem("forget", store, "4", "--dry-run"),
    ):
        assert r"two lines and \x1b[31mred\x07" in done.out  # and hmem() has looked for escapes


def test_info_is_printed_and_written(store, tmp_path):
    out = tmp_path / "info.json"
    done = hmem("info", store, "--json", out)
    (row,) = read_result(out, "info")["rows"]
    assert (row["memories"], row["sessions"], row["speakers"], row["encoder"]) == (3, 2, ["Ann", "Ben"], "hashing")
    assert "speakers        Ann, Ben\n" in done.out


# The doctor


def test_the_doctor_prints_and_writes_the_same(tmp_path):
    out = tmp_path / "doctor.json"
    done = hmem("doctor", "--json", out)
    (row,) = read_result(out, "doctor")["rows"]
    assert set(row) >= {
        "version",
        "python",
        "numpy",
        "sqlite",
        "cpu",
        "isa",
        "packages",
        "encoders",
        "paths",
        "problems",
    }
    assert done.returncode == (1 if row["problems"] else 0)
    assert f"kernels        {row['isa']}\n" in done.out or "HMEM_ISA" in done.out
    assert {encoder["name"] for encoder in row["encoders"]} >= {"minilm", "hashing"}


def test_the_doctor_reports_what_is_set_wrongly(tmp_path):
    done = hmem("doctor", HMEM_ISA="quantum", HMEM_DATA=str(tmp_path / "nowhere"))
    assert done.returncode == 1
    assert "problem: " in done.out
    assert "quantum" in done.out
    assert "HMEM_DATA: wanted a folder" in done.out


def test_the_doctor_obeys_the_cap_on_the_instruction_set():
    done = hmem("doctor", HMEM_ISA="scalar")
    assert "kernels        scalar (HMEM_ISA=scalar)\n" in done.out


# Streams


def test_a_locale_without_utf8_does_not_crash(store):
    hmem("store", store, "Ein Käfer — 甲虫 🐞")
    for environment in ({"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}):
        done = hmem("recall", store, "Käfer", "-k", "1", "--explain", **environment)
        assert done.returncode == 0, done.err
        assert r"Ein K\xe4fer \u2014 \u7532\u866b \U0001f41e" in done.out
        assert hmem("doctor", **environment).returncode in {0, 1}


def test_a_text_argument_is_utf8_in_any_locale(tmp_path):
    environment = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    assert hmem("store", tmp_path / "s", "Käfer", "--encoder", "hashing", **environment).returncode == 0
    with Memory.open(tmp_path / "s", mode="r") as memory:
        assert memory.get(1).text == "Käfer"


def test_a_reader_that_leaves_early_is_no_failure(tmp_path):
    file = tmp_path / "items.jsonl"
    file.write_bytes(lines({"text": f"thing {n}"} for n in range(20_000)))
    command = [sys.executable, "-m", "hmem_fast", "store", tmp_path / "s", "--encoder", "hashing:8", "--file", file]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"1\n"
        process.stdout.close()
        err = process.stderr.read().decode()
        assert process.wait(120) == 0, err
    assert "Traceback" not in err
    assert "BrokenPipe" not in err
    assert "memories        20000\n" in hmem("info", tmp_path / "s").out


def test_debug_shows_where_a_failure_comes_from(tmp_path):
    for arguments in (["--debug", "info", tmp_path / "no"], ["info", tmp_path / "no", "--debug"]):
        done = hmem(*arguments)
        assert done.returncode == 2
        assert "Traceback" in done.err
        assert done.err.splitlines()[-1].startswith("error: ")


@pytest.mark.skipif(sys.platform == "win32", reason="signals are another thing there")
def test_ctrl_c_while_storing_leaves_a_consistent_store(tmp_path):
    path = tmp_path / "s"
    command = [sys.executable, "-m", "hmem_fast", "store", path, "--encoder", "hashing:8", "--file", "-"]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    # Where a shell runs the tests in the background, they and their children ignore the signal.
    with subprocess.Popen(command, **pipes, preexec_fn=heed_ctrl_c) as process:
        # A thousand are committed at a time; the rest waits for a thousand that never comes.
        process.stdin.write(lines({"text": f"thing {n}"} for n in range(1500)))
        process.stdin.flush()
        deadline = time.monotonic() + 60
        while not (path.exists() and stored(path)) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        err = process.stderr.read().decode()
    assert "error: interrupted\n" in err
    assert "1000 memories of this run are stored" in err
    assert "Traceback" not in err
    with Memory.open(path) as memory:
        assert len(memory) == 1000
        assert memory.recall("thing 999", k=1)[0].text == "thing 999"


def heed_ctrl_c():
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def stored(path):
    done = hmem("info", path)
    found = re.search(r"^memories +(\d+)$", done.out, re.MULTILINE)
    return int(found[1]) if found else 0


def test_a_bug_is_one_line_too(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("hmem_fast.cli.info.Memory", None)
    assert main(["info", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("error: AttributeError: ")


# On the model and on data


@pytest.fixture(scope="session")
def minilm_cache(minilm):
    """Environment in which `minilm` is found where the tests exported it."""
    return {"HMEM_CACHE": str(minilm.parent)}


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
    assert all(name.startswith("default-") for name in names[4:])
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
