"""How long a reader's recall takes that is the first after a commit of another process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from benches.store.data import DIM, items, text, vectors
from hmem_fast import Memory

_READ = """
import json, sys, time
import numpy as np
from hmem_fast import Memory
from benches.store.data import vectors

memory = Memory.open(sys.argv[1], mode="r")
usual = []
for query in vectors(60, seed=3):
    started = time.perf_counter()
    memory.recall(query, k=1)
    usual.append(time.perf_counter() - started)
print(json.dumps(float(np.median(usual[10:]))), flush=True)
for line in sys.stdin:
    row, text = json.loads(line)
    started = time.perf_counter()
    found = memory.recall(np.array(row, dtype=np.float32), k=1)[0].text
    print(json.dumps([time.perf_counter() - started, found == text]), flush=True)
"""


def measure(path: Path, rounds: int) -> list[dict[str, object]]:
    """Write one memory, and a thousand, with a reader open; ask it for the last of them at once."""
    reader = subprocess.Popen(  # noqa: S603 - ourselves
        [sys.executable, "-c", _READ, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert reader.stdin is not None
    assert reader.stdout is not None
    usual = json.loads(reader.stdout.readline())
    found: dict[int, list[float]] = {1: [], 1000: []}
    with Memory.open(path, encoder=None, dim=DIM) as memory:
        for turn in range(rounds):
            for n, delays in found.items():
                first = 10_000_000 + turn * 10_000 + n
                rows = vectors(n, seed=first)
                memory.store_many(items(rows, first=first))
                reader.stdin.write(json.dumps([rows[-1].tolist(), text(first + n - 1)]) + "\n")
                reader.stdin.flush()
                seconds, is_right = json.loads(reader.stdout.readline())
                assert is_right, "the reader's next recall did not find what was committed"
                delays.append(seconds)
    reader.communicate()
    return [
        {
            "op": f"reader's first recall after a commit of {n}",
            "implementation": "hmem_fast",
            "ms": float(np.median(delays)) * 1e3,
            "usual_ms": usual * 1e3,
        }
        for n, delays in found.items()
    ]
