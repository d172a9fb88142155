"""``hmem store``: remember texts, from the command line or from JSON lines."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from hmem_fast.cli.argument import text
from hmem_fast.cli.item_file import ItemFile
from hmem_fast.cli.terminal import drop_output, note, progress
from hmem_fast.errors import DTypeError, DuplicateIdError, InvalidValueError, StoreManyError
from hmem_fast.memory import Memory

__all__ = ["configure", "run"]

#: Memories that are stored, or not, together.
_CHUNK = 1000


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
        "--encoder", metavar="E", help="encoder of a new store: minilm (default), hashing, or a path; recorded in it"
    )


def run(arguments: argparse.Namespace) -> int:
    """Store, and print one id a line, in the order of the texts; those of the file come last."""
    if not arguments.texts and arguments.file is None:
        raise InvalidValueError("TEXT: wanted texts or --file FILE.jsonl, got neither")
    named = {} if arguments.encoder is None else {"encoder": arguments.encoder}
    with ExitStack() as stack:
        # The file is opened first: one that cannot be read leaves no store behind.
        source = None if arguments.file is None else ItemFile(arguments.file)
        items = iter(()) if source is None else stack.enter_context(source.items())
        memory = stack.enter_context(Memory.open(arguments.store, **named))
        before = len(memory)
        try:
            _store(memory, ({"text": given} for given in arguments.texts))
            _store(memory, items, source)
        except BaseException:
            # Also Ctrl-C: whatever stopped the run, how far it came is read from the store itself.
            note(f"{len(memory) - before} memories of this run are stored, the others are not")
            raise
        note(f"stored {len(memory) - before} memories in {arguments.store}, {len(memory)} are in it")
    return 0


def _store(memory: Memory, items: Iterable[Mapping[str, Any]], source: ItemFile | None = None) -> None:
    """Store a thousand at a time, and print their ids as soon as they are durable."""
    remaining = iter(items)
    stored = 0
    try:
        with progress("storing") as show:
            while ids := memory.store_many(islice(remaining, _CHUNK), progress=partial(_show_after, show, stored)):
                stored += len(ids)
                _print_ids(ids)
    except StoreManyError as error:
        cause = error.__cause__
        if source is None or not isinstance(cause, DTypeError | InvalidValueError | DuplicateIdError):
            raise
        # An item is checked as soon as its line is read; an id that is in use shows when the thousand is written.
        where = f"{source}, or one before it" if isinstance(cause, DuplicateIdError) else str(source)
        raise type(cause)(f"{where}: {cause}") from cause


def _print_ids(ids: Sequence[int]) -> None:
    try:
        print(*ids, sep="\n", flush=True)
    except BrokenPipeError:  # nobody reads the ids any more; the memories are stored all the same
        drop_output()


def _show_after(show: Callable[[int, int], None], before: int, done: int) -> None:
    show(before + done, 0)
