"""Measure a store, and say so.

    python -m benches.store                                   # all, 100,000 memories
    python -m benches.store --parts open --memories 333333 --keys 3

Texts and vectors are synthetic (384 numbers); there is no encoder. All of it is written to --folder, whose disk is
what is measured, and removed in the end. Each figure is a median over rounds; the machine should be idle.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from benches.store import following, opening, writing
from benches.store.data import DIM, items, vectors
from hmem_fast import Memory
from hmem_fast.evaluate.result import make_result

PARTS = ("write", "open", "read")


def main() -> None:
    """Run the parts and print a row for each figure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--memories", type=int, default=100_000)
    parser.add_argument("--keys", type=int, default=1, help="keys a memory")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--readers", type=int, default=4)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    started = time.perf_counter()
    rows: list[dict[str, object]] = []

    def say(*found: dict[str, object]) -> None:
        rows.extend(found)
        for row in found:
            print("  ".join(f"{name}={_short(value)}" for name, value in row.items()), flush=True)

    folder = Path(tempfile.mkdtemp(prefix="hmem-bench-", dir=arguments.folder))
    try:
        if "write" in arguments.parts:
            say(*writing.measure(folder, 1, min(arguments.memories, 3000), arguments.rounds))
            say(*writing.measure(folder, 1000, arguments.memories, arguments.rounds))
        if "open" in arguments.parts or "read" in arguments.parts:
            path = folder / "store"
            with Memory.open(path, encoder=None, dim=DIM, durability="none") as memory:
                for first in range(0, arguments.memories, 50_000):
                    n = min(50_000, arguments.memories - first)
                    memory.store_many(items(vectors(n * arguments.keys, seed=first), arguments.keys, first))
                memory.flush()
            if "open" in arguments.parts:
                say(*(opening.measure(path, arguments.rounds, mode) for mode in ("r", "w")))
                say(opening.together(path, arguments.readers))
            if "read" in arguments.parts:
                say(*following.measure(path, 4 * arguments.rounds))
    finally:
        shutil.rmtree(folder)
    if arguments.json is not None:
        settings = {"dim": DIM, "memories": arguments.memories, "keys": arguments.keys, "rounds": arguments.rounds}
        result = make_result(
            "bench-store",
            command=sys.argv,
            settings=settings,
            data=[],
            rows=rows,
            seconds=time.perf_counter() - started,
        )
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
