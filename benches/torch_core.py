"""How long a search and a two-stage recall take on a device of PyTorch, beside the compiled core. One query a call.

    python benches/torch_core.py                      # the CPU
    python benches/torch_core.py --device cuda --out result.json

A recall searches 20 memories and settles among them (beta 16, 3 steps), as the pipeline "hopfield" does. Every answer
is checked before it is timed. Device memory is what torch's allocator held at most while the rows were added and
searched; it is empty where that cannot be asked (the CPU).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path

import numpy as np

from hmem_fast import core, torch_core

K = 10
CANDIDATES = 20
BETA, STEPS = 16.0, 3


def memories(n, width):
    """Unit rows in clusters, as embeddings of texts lie."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((max(1, n // 50), width))
    rows = centres[rng.integers(len(centres), size=n)] + 0.5 * rng.standard_normal((n, width))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def noisy(rows, n):
    """Cues: stored rows with noise, and the numbers of those rows."""
    rng = np.random.default_rng(1)
    wanted = rng.integers(len(rows), size=n)
    noise = rng.standard_normal((n, rows.shape[1])) / np.sqrt(rows.shape[1])
    return (rows[wanted] + 0.3 * noise).astype(np.float32), wanted


def recall(index, settle, cue):
    """Search, then settle among what was found."""
    found = index.search(cue[None], CANDIDATES)
    return settle(cue, index.vectors(found.ids[0]), BETA, STEPS)


def times(call, cues, repeats):
    """Microseconds of each call, after one round that is not counted."""
    for cue in cues:
        call(cue)
    taken = []
    for _ in range(repeats):
        for cue in cues:
            start = time.perf_counter_ns()
            call(cue)
            taken.append((time.perf_counter_ns() - start) / 1000)
    return np.array(taken)


class DeviceMemory:
    """What torch's allocator held at most on a CUDA device."""

    def __init__(self, device):
        import torch

        self.cuda = torch.cuda if device.startswith("cuda") else None
        self.device = device
        if self.cuda:
            self.cuda.reset_peak_memory_stats(device)

    def megabytes(self):
        """Give it, or None where it cannot be asked."""
        return round(self.cuda.max_memory_allocated(self.device) / 1e6, 1) if self.cuda else None


def implementations(device):
    def settle(*args):
        return torch_core.settle(*args, device=device)

    yield "core", lambda width: core.DenseIndex(width), core.settle
    yield f"torch {device}", lambda width: torch_core.TorchIndex(width, device=device), settle


def check(name, index, settle, cues, wanted, reference):
    """Compare with the core before anything is timed."""
    for cue, row in zip(cues, wanted, strict=True):
        found, theirs = index.search(cue[None], K), reference.search(cue[None], K)
        np.testing.assert_allclose(found.scores, theirs.scores, atol=1e-5, err_msg=name)
        assert row in found.ids, f"{name}: {row} is not among the {K} closest"
        expected = recall(reference, core.settle, cue)
        np.testing.assert_allclose(recall(index, settle, cue).vector, expected.vector, atol=1e-5, err_msg=name)


def measured(device, n, width, queries, repeats):
    rows = memories(n, width)
    cues, wanted = noisy(rows, queries)
    reference = core.DenseIndex(width)
    reference.add(rows)
    for name, new, settle in implementations(device):
        held = DeviceMemory(device)
        index = new(width)
        index.add(rows)
        check(name, index, settle, cues, wanted, reference)
        operations = {
            "search": lambda cue, index=index: index.search(cue[None], K),
            "recall": lambda cue, index=index, settle=settle: recall(index, settle, cue),
        }
        for operation, call in operations.items():
            taken = times(call, cues, repeats)
            yield {
                "op": operation,
                "implementation": name,
                "memories": n,
                "width": width,
                "k": K if operation == "search" else CANDIDATES,
                "p50_us": round(float(np.percentile(taken, 50)), 1),
                "p99_us": round(float(np.percentile(taken, 99)), 1),
                "index_mb": round(index.nbytes / 1e6, 1),
                "device_mb": None if name == "core" else held.megabytes(),
            }


def machine(device):
    import torch

    cuda = device.startswith("cuda")
    return {
        "device": torch.cuda.get_device_name(device) if cuda else platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "torch_threads": torch.get_num_threads(),
        "cpus": os.cpu_count(),
        "isa": core.isa(),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--memories", type=int, nargs="+", default=[20_000])
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, help="write the rows and the machine there, as JSON")
    options = parser.parse_args()
    rows = [
        row
        for n in options.memories
        for row in measured(options.device, n, options.width, options.queries, options.repeats)
    ]
    print(*rows[0], sep="\t")
    for row in rows:
        print(*("" if value is None else value for value in row.values()), sep="\t")
    if options.out:
        report = {"machine": machine(options.device), "rows": rows}
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
