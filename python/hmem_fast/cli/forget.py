"""``hmem forget``: take memories out of a store."""

from __future__ import annotations

import argparse
from pathlib import Path

from hmem_fast.cli.terminal import note, one_line
from hmem_fast.memory import Memory

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("store", metavar="STORE", type=Path, help="folder of the store")
    parser.add_argument(
        "ids", metavar="ID", type=int, nargs="+", help="ids of the memories, as store and recall give them"
    )
    parser.add_argument("--dry-run", action="store_true", help="only show what would be forgotten")


def run(arguments: argparse.Namespace) -> int:
    """Forget all of them, or none where one is not there; print id and text of each."""
    ids = list(dict.fromkeys(arguments.ids))
    with Memory.open(arguments.store, mode="r") as memory:  # "w" would make a store where there is none
        records = [memory.get(memory_id) for memory_id in ids]
    if not arguments.dry_run:
        with Memory.open(arguments.store) as memory:
            memory.forget(ids)
    for record in records:
        print(f"{record.id}\t{one_line(record.text)}")
    note(f"{'would forget' if arguments.dry_run else 'forgot'} {len(records)} of the memories in {arguments.store}")
    return 0
