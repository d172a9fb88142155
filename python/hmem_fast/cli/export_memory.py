"""``hmem export``: write all that is in a store as plain files."""

from __future__ import annotations

import argparse
from pathlib import Path

from hmem_fast.cli.argument import add_store
from hmem_fast.cli.terminal import note, progress
from hmem_fast.memory import Memory

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_store(parser)
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="folder of the export, made where it is missing")


def run(arguments: argparse.Namespace) -> int:
    """Export, and print what was written."""
    with Memory.open(arguments.store, mode="r") as memory:
        try:
            with progress("exporting") as show:
                exported = memory.export(arguments.folder, progress=show)
        except KeyboardInterrupt:
            note(f"the export is not finished; `hmem export {arguments.store} {arguments.folder}` goes on with it")
            raise
    for name in ("memories", "keys", "links", "change_seq", "bytes"):
        print(f"{name:<15} {getattr(exported, name)}")
    note(f"exported {arguments.store} to {arguments.folder}; `hmem import {arguments.folder} STORE` reads it")
    return 0
