"""Opening a store in a fresh process, the first recalls, and the memory that it takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

_OPEN = """
import json, sys, time
import numpy as np
from hmem_fast import Memory
from benches.store.data import vectors

def resident():
    sizes = {}
    with open("/proc/self/smaps_rollup") as lines:
        for line in lines:
            name, _, rest = line.partition(":")
            if rest.endswith("kB\\n"):
                sizes[name] = int(rest[:-3]) * 1024
    return sizes

path, mode, linger = sys.argv[1], sys.argv[2], sys.argv[3] == "linger"
queries = vectors(50, seed=9)
before = resident()
started = time.perf_counter()
memory = Memory.open(path, mode=mode)
opened = time.perf_counter() - started
recalls = []
for query in queries:
    started = time.perf_counter()
    found = memory.recall(query, k=5)
    recalls.append(time.perf_counter() - started)
assert len(found) == 5
after = resident()
answer = {
    "open_s": opened, "first_ms": recalls[0] * 1e3, "later_ms": float(np.median(recalls[10:])) * 1e3,
    "private": sum(after[k] - before[k] for k in ("Private_Clean", "Private_Dirty")),
    "rss": after["Rss"] - before["Rss"], "pss": after["Pss"] - before["Pss"], "keys": memory.info().keys,
    "anonymous": after["Anonymous"] - before["Anonymous"],
}
if linger:
    print("there", flush=True)
    sys.stdin.readline()
    end = resident()
    answer["pss"] = end["Pss"] - before["Pss"]
    answer["private"] = sum(end[k] - before[k] for k in ("Private_Clean", "Private_Dirty"))
print(json.dumps(answer))
"""


def _start(path: Path, mode: str, *, linger: bool) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603 - ourselves
        [sys.executable, "-c", _OPEN, str(path), mode, "linger" if linger else "go"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )


def _answer(process: subprocess.Popen[str], said: str = "") -> dict[str, float]:
    out, _ = process.communicate(said)
    assert process.returncode == 0
    answer: dict[str, float] = json.loads(out.splitlines()[-1])
    return answer


def measure(path: Path, rounds: int, mode: str) -> dict[str, object]:
    """Open `rounds` times, each in a process of its own, after one that warms the page cache."""
    answers = [_answer(_start(path, mode, linger=False)) for _ in range(rounds + 1)][1:]
    median = {name: float(np.median([answer[name] for answer in answers])) for name in answers[0]}
    keys = median["keys"]
    return {
        "op": f"open {mode}",
        "implementation": "hmem_fast",
        "keys": int(keys),
        "open_s": median["open_s"],
        "first_recall_ms": median["first_ms"],
        "later_recall_ms": median["later_ms"],
        "first_to_later": float(np.median([answer["first_ms"] / answer["later_ms"] for answer in answers])),
        "private_bytes_per_key": median["private"] / keys,
        "anonymous_bytes_per_key": median["anonymous"] / keys,
        "rss_bytes_per_key": median["rss"] / keys,
    }


def together(path: Path, readers: int) -> dict[str, object]:
    """Have several readers open at once: what each takes for itself, and its share of what they have in common."""
    processes = [_start(path, "r", linger=True) for _ in range(readers)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
    answers = [_answer(process, "end\n") for process in processes]
    keys = answers[0]["keys"]
    return {
        "op": f"{readers} readers",
        "implementation": "hmem_fast",
        "keys": int(keys),
        "private_bytes_per_key": float(np.median([answer["private"] for answer in answers])) / keys,
        "pss_bytes_per_key": float(np.median([answer["pss"] for answer in answers])) / keys,
    }
