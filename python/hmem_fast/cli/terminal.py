"""What is written where: results to stdout, notes and progress to stderr, colour and movement only on a terminal.

Rich draws tables and progress bars where it is installed; without it, and in pipes, tables are plain text.
"""

from __future__ import annotations

import io
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TextIO

__all__ = ["can_show", "drop_output", "mark", "note", "one_line", "prepare_streams", "progress", "table"]

_SECONDS_BETWEEN_UPDATES = 0.1
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def prepare_streams() -> None:
    """Let stdout and stderr write any text: what their encoding lacks is written as an escape, not refused."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def note(text: str) -> None:
    """Say something beside the result."""
    print(text, file=sys.stderr, flush=True)


def drop_output() -> None:
    """Send the rest of stdout nowhere: whoever read it has seen enough."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def one_line(text: str) -> str:
    """Bring a text that somebody else wrote onto one line, and keep it from steering the terminal."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", " ".join(text.split()))


def can_show(text: str, stream: TextIO | None = None) -> bool:
    """Whether a stream's encoding has these characters."""
    encoding = getattr(stream or sys.stdout, "encoding", None) or "ascii"
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def mark(*, good: bool) -> str:
    """A tick or a cross, in letters where the encoding has no other."""
    if can_show("✓✗"):
        return "✓" if good else "✗"
    return "yes" if good else "no "


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str | None = None) -> None:
    """Print a table: the first column to the left, the others, numbers, to the right."""
    if sys.stdout.isatty() and _rich_table(columns, rows, title):
        return
    if title:
        print(title)
    widths = [max(len(cell) for cell in column) for column in zip(columns, *rows, strict=True)]
    for row in (columns, *rows):
        first, *others = (
            cell.rjust(width) if position else cell.ljust(width)
            for position, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join((first, *others)).rstrip())


@contextmanager
def progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """Show how far something is, on stderr, while the block runs; nothing where that is no terminal.

    The block gets a function to call with the steps done and the steps there are; 0 where that is not known.
    """
    if not sys.stderr.isatty():
        yield lambda done, total: None  # noqa: ARG005 - nobody watches
        return
    try:
        from rich.console import Console  # noqa: PLC0415 - an optional package
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415 - likewise
    except ImportError:
        yield from _plain_progress(label)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)


def _plain_progress(label: str) -> Iterator[Callable[[int, int], None]]:
    shown = 0.0

    def show(done: int, total: int) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - shown >= _SECONDS_BETWEEN_UPDATES:
            shown = now
            sys.stderr.write(f"\r{label} {done}" + (f"/{total}" if total else ""))
            sys.stderr.flush()

    try:
        yield show
    finally:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


def _rich_table(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str | None) -> bool:
    try:
        from rich.box import ASCII, SIMPLE_HEAD  # noqa: PLC0415 - an optional package
        from rich.console import Console  # noqa: PLC0415 - likewise
        from rich.table import Table  # noqa: PLC0415 - likewise
        from rich.text import Text  # noqa: PLC0415 - likewise
    except ImportError:
        return False
    console = Console()
    widths = [max(len(cell) for cell in column) for column in zip(columns, *rows, strict=True)]
    if sum(widths) + 3 * len(widths) > console.width:  # rich would cut cells short; plain lines wrap
        return False
    drawn = Table(title=title, title_justify="left", box=SIMPLE_HEAD if can_show("─") else ASCII)
    for position, column in enumerate(columns):
        drawn.add_column(column, justify="right" if position else "left", no_wrap=True)
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    console.print(drawn)
    return True
