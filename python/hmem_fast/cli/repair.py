"""``hmem repair``: mend what ``hmem verify`` finds."""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict

from hmem_fast.cli.argument import add_json, add_store, write_json
from hmem_fast.cli.terminal import note, one_line
from hmem_fast.memory import Repaired, repair_memory

__all__ = ["configure", "run"]

#: What is said of a field that names memories or keys.
_SAID = {
    "dropped_keys": "damaged keys, taken out",
    "renewed": "memories whose keys were made anew",
    "stale": "of these, memories whose keys wait for the encoder",
    "without_vectors": "memories that lost vectors that only you can give again",
    "restored_turns": "memories that lost speaker, session and time",
    "damaged": "damaged memories that are still there (--drop takes them out)",
    "dropped": "damaged memories, taken out",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_store(parser)
    parser.add_argument(
        "--drop", action="store_true", help="take out memories whose text or metadata is damaged; a copy is kept"
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Repair, print what was done, and what is still wrong; 1 if something is."""
    started = time.perf_counter()
    try:
        repaired = repair_memory(arguments.store, drop=arguments.drop)
    except KeyboardInterrupt:
        note(f"the repair is not finished; `hmem repair {arguments.store}` goes on with it")
        raise
    _print(repaired)
    if repaired.backup is not None:
        note(f"a copy of what was there before is {arguments.store / repaired.backup}")
    if repaired.ok:
        note("all is well; indexes were made anew")
    if arguments.json is not None:
        row = {
            **{name: value for name, value in asdict(repaired).items() if value is not None},
            "problems": [asdict(problem) for problem in repaired.problems],
            "ok": repaired.ok,
        }
        seconds = time.perf_counter() - started
        settings = {"drop": arguments.drop}
        write_json(arguments.json, "repair", command=arguments.argv, settings=settings, rows=[row], seconds=seconds)
    return 0 if repaired.ok else 1


def _print(repaired: Repaired) -> None:
    for name in ("backup", "quarantine"):
        if getattr(repaired, name) is not None:
            print(f"{name:<15} {getattr(repaired, name)}")
    for name, said in _SAID.items():
        if ids := getattr(repaired, name):
            print(f"{name:<15} {' '.join(map(str, ids))} ({said})")
    for problem in repaired.problems:
        print(f"problem: {problem.kind}: {one_line(problem.text)}")
