"""``hmem verify``: look for damage."""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict

from hmem_fast.cli.argument import add_json, add_store, write_json
from hmem_fast.cli.terminal import note, one_line, progress
from hmem_fast.memory import verify_memory

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_store(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print what was looked at, and each problem; 1 if there is one."""
    started = time.perf_counter()
    with progress("looking") as show:
        found = verify_memory(arguments.store, progress=show)
    row = asdict(found)
    for name in ("memories", "keys", "links", "changes"):
        print(f"{name:<15} {row[name]}")
    for problem in found.problems:
        print(f"problem: {problem.kind}: {one_line(problem.text)}")
    note("all is well" if found.ok else f"{len(found.problems)} problems; `hmem repair {arguments.store}` mends most")
    if arguments.json is not None:
        row = {**row, "problems": [asdict(problem) for problem in found.problems], "ok": found.ok}
        seconds = time.perf_counter() - started
        write_json(arguments.json, "verify", command=arguments.argv, settings={}, rows=[row], seconds=seconds)
    return 0 if found.ok else 1
