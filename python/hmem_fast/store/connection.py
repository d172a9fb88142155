"""A SQLite connection that one thread uses at a time, and whose transactions end whatever happens."""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hmem_fast.errors import ClosedError, StoreCorruptError, StoreIOError, StoreLockedError

__all__ = ["Connection"]

#: How long a statement waits for another process's lock before it gives up.
_BUSY_TIMEOUT_SECONDS = 30.0

_NO_ACCESS = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM")


class Connection:
    """A connection to `file`, or to a database in memory for None.

    A folder that this process may not write is a special case. Reading a database in write-ahead mode needs to write
    beside it, so there the file is opened as if nobody could change it, and opened again as soon as it has changed.
    """

    def __init__(self, file: Path | None, *, write: bool) -> None:
        self._file = file
        self._write = write
        self._lock = threading.RLock()
        self._depth = 0
        self._frozen_as: tuple[int, ...] | None = None
        self._generation = 0
        self._connection: sqlite3.Connection | None = None
        with self._told():
            self._connection = self._connect()

    @contextmanager
    def transaction(self, begin: str = "BEGIN") -> Iterator[sqlite3.Connection]:
        """Run the block in one transaction: committed at its end, undone if it raises. Nested blocks are part of it."""
        with self._lock, self._told():
            if self._depth:
                yield self._opened()
                return
            connection = self._current()
            if connection.in_transaction:
                # An interrupt fell between the end of a block and its commit. Nothing of it was acknowledged.
                connection.execute("ROLLBACK")
            try:
                self._depth = 1
                connection.execute(begin)
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                # A full disk can end the transaction by itself; then there is nothing to roll back.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            finally:
                self._depth = 0

    @contextmanager
    def bare(self) -> Iterator[sqlite3.Connection]:
        """Run statements that stand outside of transactions."""
        with self._lock, self._told():
            yield self._current()

    def data_version(self) -> int:
        """A number that differs from the last one if somebody else has committed since."""
        with self.bare() as connection:
            (version,) = connection.execute("PRAGMA data_version").fetchone()
            return int(version) + (self._generation << 32)

    def close(self) -> None:
        """Wait for the thread that is using it, and close. A second call does nothing."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise ClosedError("the store is closed")
        return self._connection

    def _current(self) -> sqlite3.Connection:
        """The connection; opened anew if it was frozen and the file has changed."""
        connection = self._opened()
        if self._frozen_as is not None and self._frozen_as != _signature(self._file):
            connection.close()
            self._connection = connection = self._connect()
            self._generation += 1
        return connection

    def _connect(self) -> sqlite3.Connection:
        if self._file is None:
            return _connect(":memory:")
        uri = self._file.as_uri()
        if self._write:
            return _connect(f"{uri}?mode=rwc")
        log = self._file.with_name(self._file.name + "-wal")
        frozen = not os.access(self._file.parent, os.W_OK) and not log.exists()
        self._frozen_as = _signature(self._file) if frozen else None
        return _connect(f"{uri}?immutable=1" if frozen else f"{uri}?mode=ro")

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say what SQLite says in our own exceptions: a locked file is never called a damaged one."""
        where = "in memory" if self._file is None else self._file.parent
        try:
            yield
        except sqlite3.DatabaseError as error:
            name = getattr(error, "sqlite_errorname", None) or ""
            if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
                raise StoreLockedError(f"{where}: locked for more than {_BUSY_TIMEOUT_SECONDS:.0f} seconds") from error
            if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
                raise StoreCorruptError(f"{where}: {error}") from error
            if name.startswith(_NO_ACCESS):
                raise StoreIOError(f"{where}: {error}") from error
            raise


def _connect(uri: str) -> sqlite3.Connection:
    # isolation_level=None: transactions begin and end where this file says so. The lock here keeps threads apart.
    return sqlite3.connect(
        uri,
        uri=uri.startswith("file:"),
        isolation_level=None,
        check_same_thread=False,
        timeout=_BUSY_TIMEOUT_SECONDS,
        cached_statements=256,
    )


def _signature(file: Path | None) -> tuple[int, ...]:
    """What changes when a file is written, or a writer opens it."""
    assert file is not None
    status = file.stat()
    log = file.with_name(file.name + "-wal")
    # Windows gives no useful inode for an open file.
    inode = 0 if sys.platform == "win32" else status.st_ino
    return (status.st_mtime_ns, status.st_size, inode, log.exists())
