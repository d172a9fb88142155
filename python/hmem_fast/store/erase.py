"""Making sure that nothing of what was deleted is left in a file.

What is deleted from a SQLite file is overwritten with zeros (`secure_delete`). But older versions did not
do so, pages that were rearranged may hold stale copies, and the log and the backups hold what was there before. So the
file is written anew, the log is emptied and the backups go.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hmem_fast.store.connection import BUSY_TIMEOUT_SECONDS, Connection
from hmem_fast.store.durable_file import sync

__all__ = ["Erased", "erase"]

#: One attempt to empty the log keeps the writer's other threads waiting that long.
_ATTEMPT_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Erased:
    """What `TraceStore.erase` did.

    Attributes
    ----------
    is_complete : bool
        Whether nothing of what was deleted is left in the truth, its log or a backup.
    remaining : tuple of str
        Where something may be left, and why; empty if `is_complete`. Call again when the reason is gone.
    removed_files : tuple of str
        Names of the backups that were removed.
    kept_files : tuple of str
        Names of the quarantine files. They were made to save what was damaged, so they go only by the caller's hand.
    bytes_before, bytes_after : int
        Size of the truth with its log and its backups.
    """

    is_complete: bool
    remaining: tuple[str, ...]
    removed_files: tuple[str, ...]
    kept_files: tuple[str, ...]
    bytes_before: int
    bytes_after: int


def erase(writer: Connection, file: Path | None, wait_seconds: float) -> Erased:
    """Do what `TraceStore.erase` says."""
    if file is None:
        before = _pages_bytes(writer)
        with writer.alone() as connection:
            connection.execute("VACUUM")
        return Erased(
            is_complete=True,
            remaining=(),
            removed_files=(),
            kept_files=(),
            bytes_before=before,
            bytes_after=_pages_bytes(writer),
        )
    bytes_before = _bytes(_own_files(file))
    remaining: list[str] = []
    removed: list[str] = []
    for backup in backups_of(file):
        try:
            backup.unlink()
            removed.append(backup.name)
        except OSError as error:
            remaining.append(f"{backup.name}: cannot be removed: {error.strerror}")
    sync(file.parent)
    with writer.alone() as connection:
        connection.execute("VACUUM")
    if not _empty_log(writer, wait_seconds):
        remaining.append(
            f"{file.name}: a reader was in the middle of something for more than {wait_seconds:g} seconds, "
            "so the old pages and the log could not be overwritten"
        )
    return Erased(
        is_complete=not remaining,
        remaining=tuple(remaining),
        removed_files=tuple(removed),
        kept_files=tuple(sorted(path.name for path in file.parent.glob("quarantine-*.jsonl*"))),
        bytes_before=bytes_before,
        bytes_after=_bytes(_own_files(file)),
    )


def backups_of(file: Path) -> list[Path]:
    """The copies that were made before migrations and repairs, finished or not."""
    return sorted([*file.parent.glob(f"{file.name}.*.backup"), *file.parent.glob(f"{file.name}.*.backup.part")])


def _empty_log(writer: Connection, wait_seconds: float) -> bool:
    """Write the log into the file and cut it to nothing; False if readers kept it for too long."""
    until = time.monotonic() + wait_seconds
    while True:
        with writer.alone() as connection:
            connection.execute(f"PRAGMA busy_timeout = {int(_ATTEMPT_SECONDS * 1000)}")
            try:
                (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                connection.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_SECONDS * 1000)}")
        if not busy:
            return True
        if time.monotonic() > until:
            return False
        time.sleep(0.01)


def _own_files(file: Path) -> list[Path]:
    return [file, file.with_name(file.name + "-wal"), *backups_of(file)]


def _bytes(files: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in files if path.exists())


def _pages_bytes(connection: Connection) -> int:
    with connection.bare() as bare:
        (pages,) = bare.execute("PRAGMA page_count").fetchone()
        (page_bytes,) = bare.execute("PRAGMA page_size").fetchone()
        return int(pages * page_bytes)
