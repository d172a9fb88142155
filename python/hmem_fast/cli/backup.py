"""``hmem backup``: copy a store that is in use."""

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
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="folder of the copy, made where it is missing")


def run(arguments: argparse.Namespace) -> int:
    """Copy, and print the folder of the copy."""
    with Memory.open(arguments.store, mode="r") as memory:
        try:
            with progress("copying pages") as show:
                memory.backup(arguments.folder, progress=show)
        except KeyboardInterrupt:
            note(f"nothing was copied; {arguments.folder} holds no store")
            raise
    print(arguments.folder)
    note("open it like any store")
    return 0
