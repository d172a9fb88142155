"""TraceStore: memories, keys, links and a change log in one SQLite file."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, Self

from hmem_fast.errors import ClosedError, HmemError, InvalidValueError, ReadOnlyError, StoreNotFoundError
from hmem_fast.store import schema
from hmem_fast.store.backup import FILE, copy_database
from hmem_fast.store.connection import Connection
from hmem_fast.store.lock import WriterLock
from hmem_fast.store.network import warn_of_network
from hmem_fast.store.upkeep import Upkeep

__all__ = ["Durability", "Mode", "TraceStore"]

Mode = Literal["r", "w"]
Durability = Literal["power", "process", "none"]

# What must have reached the disk before a commit returns: everything, what survives the process, or nothing.
_SYNCHRONOUS: dict[str, str] = {"power": "FULL", "process": "NORMAL", "none": "OFF"}

_NO_MIGRATIONS: Mapping[int, Sequence[str]] = {}


class TraceStore(Upkeep):
    """Durable truth of one store: what is in it, and in which order it changed.

    One process writes, any number read. Writes are transactions: when ``with store.transaction()`` has ended, all of it
    is durable; when it raised, none of it happened. Derived indexes follow by `changes_since`.

    Parameters
    ----------
    path : str, os.PathLike or None
        The store's folder; None keeps everything in memory and nothing on disk.
    mode : {"w", "r"}
        ``"w"`` creates the folder where it is missing and takes the writer's lock; ``"r"`` only reads.
    durability : {"power", "process", "none"}
        What a committed transaction survives: power failure, the death of the process, or nothing.
    use_tables : sequence of str
        Statements that make the tables of the use, run when the store is created.
    use_migrations : mapping of int to sequences of str
        Entry v: statements that take the tables of the use from format version v to v + 1, run after the store's own.

    Raises
    ------
    StoreLockedError
        If another process is the writer.
    StoreNotFoundError
        If ``mode="r"`` and there is no store.
    StoreVersionError, StoreCorruptError
        If the file is newer than this library, or older and opened for reading; or if it is no store.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None,
        *,
        mode: Mode = "w",
        durability: Durability = "power",
        use_tables: Sequence[str] = (),
        use_migrations: Mapping[int, Sequence[str]] = _NO_MIGRATIONS,
    ) -> None:
        if mode not in ("r", "w"):
            raise InvalidValueError(f'mode: wanted "r" or "w", got {mode!r}')
        if durability not in _SYNCHRONOUS:
            raise InvalidValueError(f'durability: wanted "power", "process" or "none", got {durability!r}')
        self.path = None if path is None else Path(os.fsdecode(path)).absolute()
        self._file = None if self.path is None else self.path / FILE
        #: 128 random bits in hexadecimal, drawn when the store was made; a copy has the same.
        self.store_id = ""
        self.mode: Mode = mode
        self.durability: Durability = durability
        self._process = os.getpid()
        self._lock: WriterLock | None = None
        self._writer: Connection | None = None
        # Readers have a connection of their own, so that they do not wait for a commit.
        self._reader: Connection | None = None
        try:
            self._open(use_tables, use_migrations)
        except BaseException:
            self._close()
            raise

    def _open(self, use_tables: Sequence[str], use_migrations: Mapping[int, Sequence[str]]) -> None:
        if self.path is None or self._file is None:
            if self.mode == "r":
                raise InvalidValueError('mode: a store in memory starts empty, so mode="r" could never read anything')
            self._writer = self._reader = Connection(None, write=True)
            self._prepare(self._writer, use_tables, use_migrations)
        else:
            if self.path.exists() and not self.path.is_dir():
                raise InvalidValueError(f"path: wanted a folder, got a file: {self.path}")
            if self.mode == "w":
                self.path.mkdir(parents=True, exist_ok=True)
                self._lock = WriterLock(self.path)
                self._writer = Connection(self._file, write=True)
                self._prepare(self._writer, use_tables, use_migrations)
            elif not self._file.is_file():
                raise StoreNotFoundError(f"path: there is no hmem_fast store at {self.path}")
            self._reader = Connection(self._file, write=False)
        with self._reader.transaction() as connection:
            version = schema.version_of(connection)
            if version == 0:
                raise StoreNotFoundError(
                    f"path: the store at {self.path} is empty; its writer never finished making it"
                )
            schema.check_version(version, write=False)
            schema.check_tables(connection, use_tables)
            self.store_id = schema.store_id_of(connection)
        if self.path is not None:
            warn_of_network(self.path)

    def _prepare(
        self, writer: Connection, use_tables: Sequence[str], use_migrations: Mapping[int, Sequence[str]]
    ) -> None:
        """Make or migrate the tables, and set what a connection that writes needs."""
        with writer.transaction() as connection:
            version = schema.version_of(connection)
            schema.check_version(version, write=True)
        with writer.bare() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {_SYNCHRONOUS[self.durability]}")
            if self.durability == "power":
                connection.execute("PRAGMA fullfsync = ON")  # macOS: a plain fsync stops at the drive's cache
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten with zeros
        if self._file is not None and 0 < version < schema.SCHEMA_VERSION:
            with writer.transaction() as connection:
                copy_database(connection, self._file.with_name(f"{FILE}.v{version}.backup"))
        with writer.transaction("BEGIN IMMEDIATE") as connection:
            if version == 0:
                schema.create(connection, use_tables)
            elif version < schema.SCHEMA_VERSION:
                schema.migrate(connection, version, use_migrations)

    # Writing

    def set_properties(self, properties: Mapping[str, object]) -> None:
        """Write properties of the store, as JSON, in one transaction."""
        if schema.STORE_ID in properties:
            raise InvalidValueError(f"properties: {schema.STORE_ID} is given when the store is made and never changes")
        with self.transaction() as transaction:
            for name, value in properties.items():
                schema.set_property(transaction.connection, name, value)

    def check_writable(self) -> Connection:
        """Refuse a store that was opened for reading; give what writes."""
        self.check_open()
        if self._writer is None:
            raise ReadOnlyError('the store was opened with mode="r"; open it with mode="w" to write')
        return self._writer

    # Life

    def nbytes(self) -> int:
        """Bytes on disk; of pages in memory for a store that has no folder."""
        if self.path is None:
            with self.snapshot() as connection:
                (pages,) = connection.execute("PRAGMA page_count").fetchone()
                (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
                return int(pages * page_bytes)
        return sum(file.stat().st_size for file in self.path.iterdir() if file.is_file())

    def close(self) -> None:
        """Write what is left of the log into the file and give the lock up. A second call does nothing."""
        if self._writer is not None and self._process == os.getpid() and self.path is not None:
            # A reader in the middle of something keeps the log; the next writer finds it, so nobody waits for that.
            with suppress(HmemError, sqlite3.Error), self._writer.bare() as connection:
                connection.execute("PRAGMA busy_timeout = 100")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._close()

    def _close(self) -> None:
        if self._process == os.getpid():  # a forked child must not touch its parent's connections
            for connection in (self._reader, self._writer):
                if connection is not None:
                    connection.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def check_open(self) -> Connection:
        """Refuse use in a process that was forked from the one that opened the store; give what reads."""
        if self._process != os.getpid():
            raise ClosedError("this store was opened before a fork; open it again in the new process")
        if self._reader is None:
            raise ClosedError("the store is closed")
        return self._reader

    def check_usable(self) -> None:
        """Refuse a store that was closed, or opened before a fork."""
        with self.check_open().bare():
            pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        where = "in memory" if self.path is None else repr(str(self.path))
        return f"TraceStore({where}, mode={self.mode!r}, durability={self.durability!r})"
