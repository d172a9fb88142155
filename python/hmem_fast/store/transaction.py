"""One write transaction: every change to a memory is also written to the change log."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from hmem_fast.errors import DuplicateIdError, UnknownIdError
from hmem_fast.store.change import new_stamp
from hmem_fast.store.record import KeyRecord, MemoryRecord, NewKey, dump_vector

__all__ = ["Transaction"]


class Transaction:
    """Writes within ``with store.transaction() as transaction``; all of them are committed, or none.

    A use that has tables of its own writes to them through `connection`, inside the same transaction.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        # Ids are chosen here and not by SQLite, because the checksum of a row covers its id. There is one writer, and
        # SQLite remembers the largest id ever inserted (AUTOINCREMENT), so no id comes twice.
        given = dict(connection.execute("SELECT name, seq FROM sqlite_sequence WHERE name IN ('memories', 'keys')"))
        self._next_memory_id: int = given.get("memories", 0) + 1
        self._next_key_id: int = given.get("keys", 0) + 1
        self._stamp = new_stamp()

    def insert_memory(self, text: str, metadata: str = "{}", external_id: str | None = None) -> int:
        """Add a memory and give its id.

        Raises
        ------
        DuplicateIdError
            If `external_id` is in use.
        """
        record = MemoryRecord(self._next_memory_id, external_id, text, metadata)
        with _external_id_taken(external_id):
            self.connection.execute(
                "INSERT INTO memories (memory_id, external_id, text, metadata, checksum) VALUES (?, ?, ?, ?, ?)",
                (record.memory_id, external_id, text, metadata, record.checksum()),
            )
        self._next_memory_id += 1
        self.log("put", [record.memory_id])
        return record.memory_id

    def update_memory(self, record: MemoryRecord) -> None:
        """Write a memory's text, metadata and external id anew."""
        with _external_id_taken(record.external_id):
            changed = self.connection.execute(
                "UPDATE memories SET external_id = ?, text = ?, metadata = ?, checksum = ? WHERE memory_id = ?",
                (record.external_id, record.text, record.metadata, record.checksum(), record.memory_id),
            ).rowcount
        if not changed:
            raise UnknownIdError(f"id: there is no memory {record.memory_id}")
        self.log("put", [record.memory_id])

    def delete_memory(self, memory_id: int) -> None:
        """Remove a memory with its keys and links."""
        if not self.connection.execute("DELETE FROM memories WHERE memory_id = ?", (memory_id,)).rowcount:
            raise UnknownIdError(f"id: there is no memory {memory_id}")
        self.log("remove", [memory_id])

    def insert_keys(self, memory_id: int, keys: Iterable[NewKey]) -> None:
        """Add keys to a memory. The caller logs the memory, if it did not just insert or update it."""
        records = [
            KeyRecord(
                key_id,
                memory_id,
                key.kind,
                key.text,
                None if key.vector is None else dump_vector(key.vector),
                key.producer,
            )
            for key_id, key in enumerate(keys, self._next_key_id)
        ]
        self._next_key_id += len(records)
        self.connection.executemany(
            "INSERT INTO keys (key_id, memory_id, kind, text, vector, producer, checksum) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(r.key_id, r.memory_id, r.kind, r.text, r.vector, r.producer, r.checksum()) for r in records],
        )

    def delete_keys(self, memory_id: int, kinds: Sequence[str]) -> None:
        """Remove a memory's keys of these kinds. The caller logs the memory."""
        self.connection.executemany(
            "DELETE FROM keys WHERE memory_id = ? AND kind = ?", [(memory_id, kind) for kind in kinds]
        )

    def log(self, operation: str, memory_ids: Iterable[int]) -> None:
        """Note in the change log that something derived from these memories must be renewed."""
        self.connection.executemany(
            "INSERT INTO changes (operation, memory_id, stamp) VALUES (?, ?, ?)",
            [(operation, memory_id, self._stamp) for memory_id in memory_ids],
        )


@contextmanager
def _external_id_taken(external_id: str | None) -> Iterator[None]:
    try:
        yield
    except sqlite3.IntegrityError:
        raise DuplicateIdError(f"external_id: {external_id!r} is already in use") from None
