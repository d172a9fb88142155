"""A SQLite connection that one thread uses at a time, and whose transactions end whatever happens."""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from hmem_fast.errors import (
    ClosedError,
    HmemError,
    InvalidValueError,
    StoreCorruptError,
    StoreIOError,
    StoreLockedError,
)

__all__ = ["Connection"]

#: How long a statement waits for another process's lock before it gives up.
BUSY_TIMEOUT_SECONDS = 30.0

#: What passes by itself: the writer makes, recovers or takes away its log at this very moment.
_PASSING = (
    "SQLITE_BUSY_RECOVERY",
    "SQLITE_CANTOPEN",
    "SQLITE_PROTOCOL",
    "SQLITE_READONLY_CANTINIT",
    "SQLITE_READONLY_CANTLOCK",
    "SQLITE_READONLY_RECOVERY",
)
_PASSING_SECONDS = 1.0

_LOCKED = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL")
_DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_NO_ACCESS = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM")

#: Signature of a file that is not there.
_GONE = (-1, -1)

_Result = TypeVar("_Result")


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
            self._connection = _patiently(self._connect)

    @contextmanager
    def transaction(self, begin: str = "BEGIN", end: str = "COMMIT") -> Iterator[sqlite3.Connection]:
        """Run the block in one transaction: ended at its end, undone if it raises. Nested blocks are part of it."""
        with self._lock, self._told():
            if self._depth:
                yield self._opened()
                return
            connection = self._current()
            _undo(connection)
            try:
                self._depth = 1
                _patiently(lambda: _begin(connection, begin))
                yield connection
                connection.execute(end)
                self._check_still()
            except BaseException:
                _undo(connection)
                raise
            finally:
                self._depth = 0

    @contextmanager
    def bare(self) -> Iterator[sqlite3.Connection]:
        """Run statements that stand outside of transactions."""
        with self._lock, self._told():
            yield self._current()

    @contextmanager
    def alone(self) -> Iterator[sqlite3.Connection]:
        """Run statements that no transaction may surround."""
        with self.bare() as connection:
            if self._depth:
                raise InvalidValueError("this cannot be done inside a transaction; call it when the block has ended")
            _undo(connection)
            yield connection

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
            fresh = _patiently(self._connect)  # if that fails, the next use tries again
            connection.close()
            self._connection = connection = fresh
            self._generation += 1
        return connection

    def _connect(self) -> sqlite3.Connection:
        if self._file is None:
            return _connect(":memory:")
        uri = self._file.as_uri()
        if self._write:
            return _connect(f"{uri}?mode=rwc")
        frozen = self._is_closed_to_us() and self._log_is_empty()
        frozen_as = _signature(self._file) if frozen else None
        connection = _connect(f"{uri}?immutable=1" if frozen else f"{uri}?mode=ro")
        self._frozen_as = frozen_as
        return connection

    def _is_closed_to_us(self) -> bool:
        """Whether nothing can be written beside the file."""
        return self._file is not None and not os.access(self._file.parent, os.W_OK)

    def _log_is_empty(self) -> bool:
        """Whether all that was committed stands in the file, and no writer is about to put more beside it."""
        assert self._file is not None
        shared = self._file.with_name(self._file.name + "-shm")
        log_bytes = _log_bytes(self._file)
        return log_bytes < 0 or (log_bytes == 0 and not shared.exists())

    def _changed_while_frozen(self) -> bool:
        """Whether what was read may be of two different moments."""
        if self._frozen_as is None:
            return False
        now = _signature(self._file)
        # The last number is the size of the log; one that has just been begun left the file itself alone.
        return now != _GONE and now[:-1] != self._frozen_as[:-1]

    def _check_still(self) -> None:
        if self._changed_while_frozen():
            raise StoreLockedError(f"{self._where()}: its writer changed the file while it was read; try again")

    def _where(self) -> str:
        return "in memory" if self._file is None else str(self._file.parent)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say what SQLite says in our own exceptions: a locked file is never called a damaged one."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            self._check_still()
            told = self._tell(error)
            if told is None:
                raise
            kind, message = told
            raise kind(f"{self._where()}: {message}") from error
        except UnicodeDecodeError as error:  # SQLite quoted what it found, and that was no text
            raise StoreCorruptError(f"{self._where()}: {error}") from error

    def _tell(self, error: sqlite3.DatabaseError) -> tuple[type[HmemError], str] | None:
        """Our exception for what SQLite said, and its message; None if it is not for us to say."""
        name = _name_of(error)
        if name.startswith(_LOCKED):
            return StoreLockedError, f"locked for more than {BUSY_TIMEOUT_SECONDS:.0f} seconds"
        if name.startswith(_DAMAGED):
            return StoreCorruptError, str(error)
        if name.startswith("SQLITE_CANTOPEN") and self._is_closed_to_us() and not self._log_is_empty():
            return StoreIOError, (
                "the last writer left a log that can only be read where this process may write; "
                "make the folder writable, or open a copy of it"
            )
        if name.startswith(_NO_ACCESS):
            return StoreIOError, str(error)
        # Both were checked when they were stored.
        for said, what in (("malformed JSON", "metadata is no JSON"), ("Could not decode", "a text is no valid UTF-8")):
            if name in ("", "SQLITE_ERROR") and str(error).startswith(said):
                return StoreCorruptError, f"{what}; the file was damaged or edited by hand"
        return None


def _connect(uri: str) -> sqlite3.Connection:
    # isolation_level=None: transactions begin and end where this file says so. The lock here keeps threads apart.
    return sqlite3.connect(
        uri,
        uri=uri.startswith("file:"),
        isolation_level=None,
        check_same_thread=False,
        timeout=BUSY_TIMEOUT_SECONDS,
        cached_statements=256,
    )


def _begin(connection: sqlite3.Connection, begin: str) -> None:
    """Begin, and read at once: what stands in the way is met here, and the snapshot is that of this moment."""
    try:
        connection.execute(begin)
        connection.execute("PRAGMA user_version").fetchone()
    except BaseException:
        _undo(connection)
        raise


def _undo(connection: sqlite3.Connection) -> None:
    """Roll back what is open, if anything is.

    A full disk can end a transaction by itself; and an interrupt that fell between the end of a block and its commit
    leaves one open, of which nothing was acknowledged.
    """
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _patiently(act: Callable[[], _Result]) -> _Result:
    """Do it again for a while, if what stands in the way passes by itself."""
    until = time.monotonic() + _PASSING_SECONDS
    while True:
        try:
            return act()
        except sqlite3.DatabaseError as error:
            if not _name_of(error).startswith(_PASSING) or time.monotonic() > until:
                raise
        time.sleep(0.005)


def _name_of(error: sqlite3.DatabaseError) -> str:
    return getattr(error, "sqlite_errorname", None) or ""


def _log_bytes(file: Path) -> int:
    """Size of the log, -1 if there is none."""
    try:
        return file.with_name(file.name + "-wal").stat().st_size
    except OSError:
        return -1


def _signature(file: Path | None) -> tuple[int, ...]:
    """What changes when a file is written, or a writer opens it."""
    assert file is not None
    try:
        status = file.stat()
    except OSError:
        return _GONE  # opening it again says so
    # Windows gives no useful inode for an open file.
    inode = 0 if sys.platform == "win32" else status.st_ino
    return (status.st_mtime_ns, status.st_size, inode, _log_bytes(file))
