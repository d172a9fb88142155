"""TraceStore: memories, keys, links and a change log in one SQLite file."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, Self

from hmem_fast.errors import ClosedError, HmemError, InvalidValueError, ReadOnlyError, StoreNotFoundError
from hmem_fast.store import schema
from hmem_fast.store.change import Change
from hmem_fast.store.connection import Connection
from hmem_fast.store.lock import WriterLock
from hmem_fast.store.record import KeyRecord, MemoryRecord, check_row
from hmem_fast.store.transaction import Transaction

__all__ = ["Durability", "Mode", "TraceStore"]

Mode = Literal["r", "w"]
Durability = Literal["power", "process", "none"]

# What must have reached the disk before a commit returns: everything, what survives the process, or nothing.
_SYNCHRONOUS: dict[str, str] = {"power": "FULL", "process": "NORMAL", "none": "OFF"}

_FILE = "truth.sqlite3"


class TraceStore:
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

    Raises
    ------
    StoreLockedError
        If another process is the writer.
    StoreNotFoundError
        If ``mode="r"`` and there is no store.
    StoreVersionError, StoreCorruptError
        If the file is newer than this library, or no store.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None,
        *,
        mode: Mode = "w",
        durability: Durability = "power",
        use_tables: Sequence[str] = (),
    ) -> None:
        if mode not in ("r", "w"):
            raise InvalidValueError(f'mode: wanted "r" or "w", got {mode!r}')
        if durability not in _SYNCHRONOUS:
            raise InvalidValueError(f'durability: wanted "power", "process" or "none", got {durability!r}')
        self.path = None if path is None else Path(os.fsdecode(path)).absolute()
        self.mode: Mode = mode
        self.durability: Durability = durability
        self._process = os.getpid()
        self._lock: WriterLock | None = None
        self._writer: Connection | None = None
        # Readers have a connection of their own, so that they do not wait for a commit.
        self._reader: Connection | None = None
        try:
            self._open(use_tables)
        except BaseException:
            self._close()
            raise

    def _open(self, use_tables: Sequence[str]) -> None:
        if self.path is None:
            if self.mode == "r":
                raise InvalidValueError('mode: a store in memory starts empty, so mode="r" could never read anything')
            self._writer = self._reader = Connection(None, write=True)
            self._prepare(self._writer, use_tables)
            return
        file = self.path / _FILE
        if self.path.exists() and not self.path.is_dir():
            raise InvalidValueError(f"path: wanted a folder, got a file: {self.path}")
        if self.mode == "w":
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = WriterLock(self.path)
            self._writer = Connection(file, write=True)
            self._prepare(self._writer, use_tables)
        elif not file.is_file():
            raise StoreNotFoundError(f"path: there is no hmem_fast store at {self.path}")
        self._reader = Connection(file, write=False)
        with self._reader.transaction() as connection:
            version = schema.version_of(connection)
        schema.check_readable(version)
        if version == 0:
            raise StoreNotFoundError(f"path: the store at {self.path} is empty; its writer never finished making it")

    def _prepare(self, writer: Connection, use_tables: Sequence[str]) -> None:
        """Make or migrate the tables, and set what a connection that writes needs."""
        with writer.transaction() as connection:
            version = schema.version_of(connection)
        schema.check_readable(version)
        with writer.bare() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {_SYNCHRONOUS[self.durability]}")
            if self.durability == "power":
                connection.execute("PRAGMA fullfsync = ON")  # macOS: a plain fsync stops at the drive's cache
            connection.execute("PRAGMA foreign_keys = ON")
            # A page that is written again and again is copied into the file once a checkpoint. 32 MiB of log.
            connection.execute("PRAGMA wal_autocheckpoint = 8192")
            if 0 < version < schema.SCHEMA_VERSION:
                self._backup(connection, version)
        with writer.transaction("BEGIN IMMEDIATE") as connection:
            if version == 0:
                schema.create(connection, use_tables)
            elif version < schema.SCHEMA_VERSION:
                schema.migrate(connection, version)

    def _backup(self, connection: sqlite3.Connection, version: int) -> None:
        assert self.path is not None
        copy = sqlite3.connect(self.path / f"{_FILE}.v{version}.backup")
        try:
            connection.backup(copy)
        finally:
            copy.close()

    # Writing

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Write: everything inside is committed when the block ends, nothing of it when the block raises."""
        self.check_open()
        if self._writer is None:
            raise ReadOnlyError('the store was opened with mode="r"; open it with mode="w" to write')
        with self._writer.transaction("BEGIN IMMEDIATE") as connection:
            yield Transaction(connection)

    def set_properties(self, properties: Mapping[str, object]) -> None:
        """Write properties of the store, as JSON, in one transaction."""
        with self.transaction() as transaction:
            transaction.connection.executemany(
                "INSERT OR REPLACE INTO properties (name, value) VALUES (?, ?)",
                [(name, json.dumps(value, ensure_ascii=False, allow_nan=False)) for name, value in properties.items()],
            )

    # Reading

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Read several things as they were at one moment."""
        with self.check_open().transaction() as connection:
            yield connection

    def properties(self) -> dict[str, Any]:
        """Read all properties of the store."""
        with self.snapshot() as connection:
            return {name: json.loads(value) for name, value in connection.execute("SELECT name, value FROM properties")}

    def change_seq(self) -> int:
        """Number of the last change; 0 for a new store."""
        with self.snapshot() as connection:
            return _last_change(connection)

    def data_version(self) -> int:
        """A number that differs from the last one if another process or connection has committed since."""
        return self.check_open().data_version()

    def changes_since(self, change_seq: int) -> Change:
        """Sum up what happened after `change_seq`; 0 gives everything that is there."""
        with self.snapshot() as connection:
            last = _last_change(connection)
            if change_seq == 0:
                put = connection.execute("SELECT memory_id FROM memories ORDER BY memory_id").fetchall()
                return Change(last, tuple(memory_id for (memory_id,) in put), ())
            rows = connection.execute(
                "SELECT DISTINCT c.memory_id, m.memory_id IS NOT NULL FROM changes AS c "
                "LEFT JOIN memories AS m USING (memory_id) WHERE c.change_seq > ? ORDER BY c.memory_id",
                (change_seq,),
            ).fetchall()
        return Change(
            last,
            tuple(memory_id for memory_id, there in rows if there),
            tuple(memory_id for memory_id, there in rows if not there),
        )

    def count(self) -> int:
        """Number of memories."""
        with self.snapshot() as connection:
            (n,) = connection.execute("SELECT count(*) FROM memories").fetchone()
            return int(n)

    def memory_ids(self) -> list[int]:
        """Ids of all memories, ascending."""
        with self.snapshot() as connection:
            return [
                memory_id for (memory_id,) in connection.execute("SELECT memory_id FROM memories ORDER BY memory_id")
            ]

    def memories(self, memory_ids: Iterable[int]) -> dict[int, MemoryRecord]:
        """Read memories by id; ids that are not there are left out."""
        with self.snapshot() as connection:
            rows = connection.execute(
                "SELECT memory_id, external_id, text, metadata, checksum FROM memories "
                "WHERE memory_id IN (SELECT value FROM json_each(?))",
                (json.dumps(list(memory_ids)),),
            ).fetchall()
        found = {}
        for *fields, checksum in rows:
            record = MemoryRecord(*fields)
            check_row(record, checksum)
            found[record.memory_id] = record
        return found

    def id_of(self, external_id: str) -> int | None:
        """Id of the memory with this external id, if there is one."""
        with self.snapshot() as connection:
            row = connection.execute("SELECT memory_id FROM memories WHERE external_id = ?", (external_id,)).fetchone()
        return None if row is None else int(row[0])

    def keys(self, memory_ids: Iterable[int]) -> list[KeyRecord]:
        """Read the keys of memories, by ascending memory id and then key id."""
        with self.snapshot() as connection:
            rows = connection.execute(
                "SELECT key_id, memory_id, kind, text, vector, producer, checksum FROM keys "
                "WHERE memory_id IN (SELECT value FROM json_each(?)) ORDER BY memory_id, key_id",
                (json.dumps(list(memory_ids)),),
            ).fetchall()
        keys = []
        for *fields, checksum in rows:
            key = KeyRecord(*fields)
            check_row(key, checksum)
            keys.append(key)
        return keys

    def key_texts(self, memory_ids: Iterable[int], kind: str) -> list[tuple[int, str]]:
        """Read (memory id, text) of the keys of one kind, in the order in which they were given."""
        with self.snapshot() as connection:
            return connection.execute(
                "SELECT memory_id, text FROM keys WHERE kind = ? "
                "AND memory_id IN (SELECT value FROM json_each(?)) ORDER BY memory_id, key_id",
                (kind, json.dumps(list(memory_ids))),
            ).fetchall()

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
            # A reader in the middle of something keeps the log; the next writer finds it.
            with suppress(HmemError, sqlite3.Error), self._writer.bare() as connection:
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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        where = "in memory" if self.path is None else repr(str(self.path))
        return f"TraceStore({where}, mode={self.mode!r}, durability={self.durability!r})"


def _last_change(connection: sqlite3.Connection) -> int:
    (last,) = connection.execute("SELECT coalesce(max(change_seq), 0) FROM changes").fetchone()
    return int(last)
