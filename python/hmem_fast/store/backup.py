"""Copies of a truth that is in use."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from hmem_fast.errors import InvalidValueError
from hmem_fast.store.durable_file import put_in_place, sync
from hmem_fast.store.lock import WriterLock

__all__ = ["FILE", "Progress", "back_up", "copy_database"]

#: Name of the truth in its folder.
FILE = "truth.sqlite3"

#: Called with what is done and what there is to do.
Progress = Callable[[int, int], None]

#: Pages that are copied between two reports: 4 MiB.
_STEP_PAGES = 1024


def back_up(source: sqlite3.Connection, folder: Path, progress: Progress | None) -> None:
    """Copy the database of `source`, which has a snapshot open, into a folder that holds no store."""
    if folder.exists() and not folder.is_dir():
        raise InvalidValueError(f"folder: wanted a folder, got a file: {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    lock = WriterLock(folder)  # nobody makes a store there meanwhile
    try:
        file = folder / FILE
        # A log without its file counts too: SQLite would take it for the copy's.
        held = [path.name for path in (file, *(Path(f"{file}-{end}") for end in ("wal", "shm"))) if path.exists()]
        if held:
            raise InvalidValueError(f"folder: wanted one without a store, got {folder}, which holds {held[0]}")
        copy_database(source, file, progress)
        sync(folder.parent)
    finally:
        lock.release()


def copy_database(source: sqlite3.Connection, file: Path, progress: Progress | None = None) -> None:
    """Copy a database to `file`, replacing what is there; a copy that fails or is interrupted leaves nothing behind.

    With a snapshot open in `source` the copy is of that moment, and nothing that is written meanwhile disturbs it.
    """
    temporary = file.with_name(file.name + ".part")
    try:
        temporary.unlink(missing_ok=True)  # from a process that was killed
        with closing(sqlite3.connect(temporary, isolation_level=None)) as copy:
            # Whatever goes wrong the file is thrown away, and `put_in_place` brings it to the disk.
            copy.execute("PRAGMA journal_mode = OFF")
            copy.execute("PRAGMA synchronous = OFF")
            source.backup(
                copy,
                pages=_STEP_PAGES,
                progress=None if progress is None else lambda _, left, total: progress(total - left, total),
            )
        put_in_place(temporary, file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
