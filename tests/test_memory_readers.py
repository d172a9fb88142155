"""One writer and seven readers, in eight processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack

from hmem_fast.encode import HashingEncoder
from hmem_fast.memory import Memory

SECONDS = float(os.environ.get("HMEM_READERS_SECONDS", "4"))

READERS = 7

# Before it asks, a reader looks at what the writer says it has done: memories low to high are there, older ones are
# forgotten. The recall that follows must know.
READ = """
import json, sys, time, warnings
from pathlib import Path
from hmem_fast.encode import HashingEncoder
from hmem_fast.memory import Memory

warnings.simplefilter("error")
path, said, until = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
asked = moved = 0
reopened = Memory.open(path, encoder=HashingEncoder(64), mode="r")
while time.time() < until:
    memory = reopened
    low, high = json.loads(said.read_text())
    if high:
        newest = [hit.text for hit in memory.recall(f"token{high}", k=1, pipeline="bm25")]
        low, now = json.loads(said.read_text())
        # A reader that had to wait long for its turn may find that even this one was forgotten.
        assert newest == [f"token{high} was said"] or (not newest and low > high - 60), (low, high, now, newest)
        gone = memory.recall(f"token{low - 1}", k=1, pipeline="bm25")
        assert not gone, (low, gone)
        assert memory.recall(f"token{high} said", k=3)
        asked += 1
    if asked % 20 == 19:
        memory.close()
        reopened = Memory.open(path, encoder=HashingEncoder(64), mode="r")
print(json.dumps(asked))
"""


def stop(processes):
    for process in processes:
        process.kill()
        process.communicate()


def test_readers_see_what_was_committed_and_never_what_was_forgotten(tmp_path, monkeypatch):
    monkeypatch.setattr("hmem_fast.memory.saver._MUCH", 100)
    path, said = tmp_path / "store", tmp_path / "said"

    def say(low, high):
        said.with_suffix(".new").write_text(json.dumps([low, high]), encoding="utf-8")
        said.with_suffix(".new").replace(said)

    with Memory.open(path, encoder=HashingEncoder(64)) as memory, ExitStack() as stack:
        say(0, 0)
        until = time.time() + SECONDS + 3  # they have to start
        readers = [
            subprocess.Popen(
                [sys.executable, "-c", READ, str(path), str(said), str(until)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(READERS)
        ]
        stack.callback(stop, readers)
        low = high = 1
        while time.time() < until:
            if high % 7 == 0:
                (*_, high) = memory.store_many({"text": f"token{i} was said"} for i in range(high, high + 40))
            else:
                assert memory.store(f"token{high} was said") == high
            say(low, high)
            if high - low > 200:
                gone = list(range(low, low + 30))
                if low % 4:
                    memory.forget(gone)
                else:
                    assert not [what for what in memory.purge(gone).remaining if "cannot" in what]
                low += 30
                say(low, high)
            high += 1
        for reader in readers:
            out, error = reader.communicate(timeout=60)
            assert reader.returncode == 0, error
            assert json.loads(out) > 0
        assert memory.verify().ok
