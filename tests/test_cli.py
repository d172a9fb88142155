"""The command line: usage, the doctor, streams and signals."""

import re
import signal
import subprocess
import sys
import time

import pytest

from command_line import heed_ctrl_c, hmem, lines, make_store, read_result, stored
from hmem_fast.cli import main
from hmem_fast.memory import Memory


@pytest.fixture
def store(tmp_path):
    return make_store(tmp_path / "notes")


# Usage

MEMORY_COMMANDS = (
    "store", "recall", "forget", "purge", "info", "verify", "repair", "backup", "export", "import"
)  # fmt: skip


def test_help_and_version_go_to_stdout():
    helped = hmem("--help")
    assert helped.returncode == 0
    assert not helped.err
    for command in ("demo", "doctor", "export-encoder", *MEMORY_COMMANDS, "eval"):
        assert command in helped.out
    assert re.fullmatch(r"hmem_fast \S+\n", hmem("--version").out)


@pytest.mark.parametrize("command", ["demo", "doctor", "export-encoder", *MEMORY_COMMANDS, "eval"])
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


def test_a_bug_is_one_line_too(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("hmem_fast.cli.info.Memory", None)
    assert main(["info", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("error: AttributeError: ")
