"""``hmem import``: make a store from an export."""

from __future__ import annotations

import argparse
from pathlib import Path

from hmem_fast.cli.terminal import note, progress
from hmem_fast.memory import import_memory

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="folder of the export")
    parser.add_argument("store", metavar="STORE", type=Path, help="folder of the new store, made where it is missing")


def run(arguments: argparse.Namespace) -> int:
    """Import, and print what was made."""
    try:
        with progress("importing") as show:
            imported = import_memory(arguments.folder, arguments.store, progress=show)
    except KeyboardInterrupt:
        note(f"the import is not finished; `hmem import {arguments.folder} {arguments.store}` goes on with it")
        raise
    for name in ("memories", "keys", "links"):
        print(f"{name:<15} {getattr(imported, name)}")
    note(f"imported {arguments.folder} into {arguments.store}")
    return 0
