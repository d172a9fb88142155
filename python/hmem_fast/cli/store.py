"""``hmem store``: remember texts, from the command line or from JSON lines."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hmem_fast.cli.argument import text
from hmem_fast.cli.item_file import ItemFile
from hmem_fast.cli.terminal import note, progress
from hmem_fast.errors import DTypeError, DuplicateIdError, InvalidValueError, StoreManyError
from hmem_fast.memory import Memory

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("store", metavar="STORE", type=Path, help="folder of the store, made where it is missing")
    parser.add_argument("texts", metavar="TEXT", type=text, nargs="*", help="texts to remember")
    parser.add_argument(
        "--file",
        metavar="FILE.jsonl",
        help='JSON lines, one memory each: "text", and where wanted "cues", "speaker", "session", "time" (ISO with its '
        'zone, or seconds), "metadata", "external_id"; .xz as it is; - reads stdin',
    )
    parser.add_argument(
        "--encoder", metavar="E", help="encoder of a new store: minilm (default), hashing, or a folder; recorded in it"
    )


def run(arguments: argparse.Namespace) -> int:
    """Store, and print one id a line, in the order of the texts; those of the file come last."""
    if not arguments.texts and arguments.file is None:
        raise InvalidValueError("TEXT: wanted texts or --file FILE.jsonl, got neither")
    named = {} if arguments.encoder is None else {"encoder": arguments.encoder}
    with Memory.open(arguments.store, **named) as memory:
        before = len(memory)
        try:
            _store(memory, ({"text": given} for given in arguments.texts))
            if arguments.file is not None:
                _store_file(memory, ItemFile(arguments.file))
        except BaseException:
            # Also Ctrl-C: whatever stopped the run, how far it came is read from the store itself.
            note(f"{len(memory) - before} memories of this run are stored, the others are not")
            raise
        note(f"stored {len(memory) - before} memories in {arguments.store}, {len(memory)} are in it")
    return 0


def _store_file(memory: Memory, source: ItemFile) -> None:
    try:
        _store(memory, source.items())
    except StoreManyError as error:
        cause = error.__cause__
        if isinstance(cause, DTypeError | InvalidValueError):  # an item is checked as soon as its line is read
            raise type(cause)(f"{source}: {cause}") from cause
        if isinstance(cause, DuplicateIdError):
            raise DuplicateIdError(f"{source}, or one before it: {cause}") from cause
        raise
    if source.failure is not None:
        raise source.failure


def _store(memory: Memory, items: Iterable[Mapping[str, Any]]) -> None:
    ids: Iterable[int] = ()
    try:
        with progress("storing") as show:
            ids = memory.store_many(items, progress=lambda done: show(done, 0))
    except StoreManyError as error:
        ids = error.ids
        raise
    finally:
        for memory_id in ids:
            print(memory_id)
