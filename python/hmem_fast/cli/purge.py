"""``hmem purge``: make memories vanish, so that no file of the store holds anything of them."""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from pathlib import Path

from hmem_fast.cli.argument import add_ids, add_json, add_store, write_json
from hmem_fast.cli.forget import print_plan
from hmem_fast.cli.terminal import note, one_line
from hmem_fast.errors import UnknownIdError
from hmem_fast.memory import Memory, Purged

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_store(parser)
    add_ids(parser, "ids of the memories; those that are forgotten already are purged too")
    parser.add_argument("--dry-run", action="store_true", help="only show what would be purged")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Purge all of them, or none where one never was; print their ids, what was done, and what remains and why."""
    started = time.perf_counter()
    ids = list(dict.fromkeys(arguments.ids))
    if arguments.dry_run:
        with Memory.open(arguments.store, mode="r") as memory:
            there = [memory_id for memory_id in ids if memory_id in memory]
            _check_known(ids, there, memory)
            for memory_id in ids:
                told = one_line(memory.get(memory_id).text) if memory_id in there else "(forgotten before)"
                print(f"{memory_id}\t{told}")
            if there:
                print_plan(memory.plan_forget(there))
        note(f"would purge {len(ids)} memories from {arguments.store}; the whole store would be written anew")
        return 0
    Memory.open(arguments.store, mode="r").close()  # "w" would make a store where there is none
    with Memory.open(arguments.store) as memory:
        try:
            purged = memory.purge(ids)
        except KeyboardInterrupt:
            note(f"the purge is not complete; `hmem purge {arguments.store} {' '.join(map(str, ids))}` completes it")
            raise
    _print(purged, arguments.store)
    if arguments.json is not None:
        row = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(purged).items()}
        seconds = time.perf_counter() - started
        write_json(arguments.json, "purge", command=arguments.argv, settings={}, rows=[row], seconds=seconds)
    return 0 if purged.is_complete else 1


def _check_known(ids: list[int], there: list[int], memory: Memory) -> None:
    last = memory.info().last_memory_id
    for memory_id in ids:
        if memory_id not in there and not 0 < memory_id <= last:
            raise UnknownIdError(f"id: there never was a memory {memory_id}")


def _print(purged: Purged, store: Path) -> None:
    # Without their texts: what is to vanish should not appear in a log now.
    for memory_id in purged.ids:
        print(memory_id)
    for name in purged.removed_files:
        print(f"removed: {name}")
    for reason in purged.remaining:
        print(f"remains: {reason}")
    for name in purged.held:
        print(f"held: {name} is gone from the folder, and another process has it open until its next recall")
    if purged.readers:
        print(f"readers: processes {', '.join(map(str, purged.readers))}")
    if purged.is_complete:
        note(f"purged {len(purged.ids)} memories from {store}; copies elsewhere are not known here")
    else:
        note("not complete: run it again when the reason is gone")
