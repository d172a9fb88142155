"""What tests of the command line share: it is run as others run it, in a process of its own with pipes for streams."""

import json
import os
import re
import signal
import subprocess
import sys

import pytest

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


def make_store(path):
    """A store with three memories, made by the command line."""
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


def heed_ctrl_c():
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def stored(path):
    done = hmem("info", path)
    found = re.search(r"^memories +(\d+)$", done.out, re.MULTILINE)
    return int(found[1]) if found else 0
