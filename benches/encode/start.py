"""From the start of a process to the first vector, and the memory that it takes then.

Each in processes of its own, in alternating rounds; what a process takes that only imports numpy is taken off.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benches.encode.implementations import CORE, ONNX_INT8, float32_encoder
from benches.encode.onnx_int8 import onnx_int8_folder
from benches.peers.rounds import orders
from hmem_fast.encode.catalogue import minilm_source

__all__ = ["BASE", "beyond", "measure"]

BASE = "python and numpy"

SLOW = "sentence-transformers"
SLOW_ROUNDS = 3
"""It takes seconds each time: so many rounds with it are enough for a difference of that size."""

_TEXT = "When did she go to the support group?"

_BEGIN = """
import time
started = time.perf_counter()
import numpy as np
"""

_END = """
seconds, on_cpu = time.perf_counter() - started, time.process_time()
import json, re
sizes = {}
with open("/proc/self/smaps_rollup") as lines:
    for line in lines:
        name, _, rest = line.partition(":")
        if rest.endswith("kB\\n"):
            sizes[name] = int(rest[:-3]) * 1024
with open("/proc/self/status") as file:  # not ru_maxrss: that begins at what the parent had before exec
    peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", file.read())[1]) * 1024
assert vector is None or vector.shape == (1, 384) and abs(np.linalg.norm(vector) - 1) < 1e-5
print(json.dumps({"seconds": seconds, "cpu": on_cpu, "peak": peak, "rss": sizes["Rss"], "pss": sizes["Pss"],
                  "anonymous": sizes["Anonymous"]}))
"""

_CALLS = {
    BASE: "vector = None",
    CORE: "from hmem_fast.encode import NativeEncoder\nvector = NativeEncoder({path!r}).encode([{text!r}])",
    ONNX_INT8: "from hmem_fast.encode import OnnxEncoder\nvector = OnnxEncoder({path!r}).encode([{text!r}])",
    SLOW: (
        "import torch\nfrom sentence_transformers import SentenceTransformer\ntorch.set_num_threads(1)\n"
        "model = SentenceTransformer({path!r}, device='cpu', local_files_only=True)\n"
        "vector = model.encode([{text!r}], show_progress_bar=False)"
    ),
}


def measure(model: Path, rounds: int = 7) -> list[dict[str, Any]]:
    """Give a row for each implementation: medians of what it takes beyond Python and numpy."""
    paths = {
        CORE: model,
        ONNX_INT8: onnx_int8_folder(float32_encoder()),
        SLOW: minilm_source("minilm-torch"),
    }
    scripts = {
        name: _BEGIN + call.format(path=str(paths.get(name)), text=_TEXT) + _END for name, call in _CALLS.items()
    }
    with tempfile.TemporaryDirectory(prefix="hmem-bench-") as bytecode:
        return beyond(_alternate(scripts, rounds, bytecode))


def _alternate(scripts: Mapping[str, str], rounds: int, bytecode: str) -> dict[str, list[Mapping[str, float]]]:
    names = list(scripts)
    for name in names:
        _run(scripts[name], bytecode)  # files into the page cache, bytecode onto the disk
    found: dict[str, list[Mapping[str, float]]] = {name: [] for name in names}
    for number, order in enumerate(orders(len(names), rounds)):
        for place in order:
            if names[place] != SLOW or number < SLOW_ROUNDS:
                found[names[place]].append(_run(scripts[names[place]], bytecode))
    return found


def beyond(found: Mapping[str, list[Mapping[str, float]]]) -> list[dict[str, Any]]:
    """Take off, round by round, what the base took; give medians. One that sat out the last rounds has fewer."""
    rows = []
    for name, runs in found.items():
        less = [{key: run[key] - base[key] for key in run} for run, base in zip(runs, found[BASE], strict=False)]
        used = runs if name == BASE else less
        median = {key: float(np.median([run[key] for run in used])) for key in used[0]}
        rows.append(
            {
                "op": "start",
                "implementation": name if name == BASE else f"{name}, beyond that",
                "ms": median["seconds"] * 1e3,
                "cpu_ms": median["cpu"] * 1e3,
                **{f"{key}_mb": median[key] / 1e6 for key in ("peak", "rss", "pss", "anonymous")},
            }
        )
    return rows


def _run(script: str, bytecode: str) -> dict[str, float]:
    environment = {**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")}
    # Whoever installs a package has its bytecode; a caller who forbids to write any would have it compiled each time.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    environment["PYTHONPYCACHEPREFIX"] = bytecode
    done = subprocess.run(  # noqa: S603 - ourselves
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer
