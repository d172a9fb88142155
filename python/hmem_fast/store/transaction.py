"""One write transaction: every change to a memory is also written to the change log."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence

from hmem_fast.errors import DuplicateIdError, UnknownIdError
from hmem_fast.store.change import new_stamp
from hmem_fast.store.record import KeyRecord, LinkRecord, MemoryRecord, NewKey, NewLink, NewMemory

__all__ = ["Transaction"]


class Transaction:
    """Writes within ``with store.transaction() as transaction``; all of them are committed, or none.

    A use that has tables of its own writes to them through `connection`, inside the same transaction.

    Attributes
    ----------
    before : int
        The last change before this transaction.
    change_seq : int
        The last change so far.
    stamp : int
        Stands beside each change of this transaction.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        # Ids are chosen here and not by SQLite, because the checksum of a row covers its id. There is one writer, and
        # SQLite remembers the largest id ever inserted (AUTOINCREMENT), so no id comes twice.
        given = dict(connection.execute("SELECT name, seq FROM sqlite_sequence"))
        self._next_memory_id: int = given.get("memories", 0) + 1
        self._next_key_id: int = given.get("keys", 0) + 1
        self._next_link_id: int = given.get("links", 0) + 1
        self.before: int = given.get("changes", 0)
        self.change_seq = self.before
        self.stamp = new_stamp()

    def insert_memories(self, memories: Sequence[NewMemory]) -> list[int]:
        """Add memories and give their ids, which ascend by one.

        Raises
        ------
        DuplicateIdError
            If an `external_id` is in use; the transaction must be given up then.
        """
        first = self._next_memory_id
        records = [MemoryRecord(memory_id, *memory) for memory_id, memory in enumerate(memories, first)]
        try:
            self.connection.executemany(
                "INSERT INTO memories (memory_id, external_id, text, metadata, checksum) VALUES (?, ?, ?, ?, ?)",
                [(*record, record.checksum()) for record in records],
            )
        except sqlite3.IntegrityError:
            raise self._duplicate(record.external_id for record in records) from None
        self._next_memory_id += len(records)
        memory_ids = list(range(first, self._next_memory_id))
        self.log("put", memory_ids)
        return memory_ids

    def insert_memory(self, text: str, metadata: str = "{}", external_id: str | None = None) -> int:
        """Add a memory and give its id; see `insert_memories`."""
        (memory_id,) = self.insert_memories([NewMemory(external_id, text, metadata)])
        return memory_id

    def insert_records(self, memories: Sequence[MemoryRecord], keys: Sequence[KeyRecord]) -> None:
        """Add memories and keys with the ids that they have in another store; all must be free here."""
        self.connection.executemany(
            "INSERT INTO memories (memory_id, external_id, text, metadata, checksum) VALUES (?, ?, ?, ?, ?)",
            [(*record, record.checksum()) for record in memories],
        )
        self.connection.executemany(
            "INSERT INTO keys (key_id, memory_id, kind, text, vector, producer, checksum) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(*record, record.checksum()) for record in keys],
        )
        self.give_ids(
            max((record.memory_id for record in memories), default=0),
            max((record.key_id for record in keys), default=0),
        )
        self.log("put", [record.memory_id for record in memories])

    def put_links(self, links: Iterable[NewLink]) -> None:
        """Add links between memories that are there, in the place of those with the same ends and kind.

        Raises
        ------
        UnknownIdError
            If one of the memories is not there; the transaction must be given up then.
        """
        latest = {link[:3]: link for link in links}
        self.connection.executemany("DELETE FROM links WHERE source = ? AND target = ? AND kind = ?", latest)
        # SQLite gives whole weights back as floats, and the checksum tells them apart.
        records = [
            LinkRecord(link_id, *link[:3], float(link.weight))
            for link_id, link in enumerate(latest.values(), self._next_link_id)
        ]
        self._next_link_id += len(records)
        try:
            self.connection.executemany(
                "INSERT INTO links (link_id, source, target, kind, weight, checksum) VALUES (?, ?, ?, ?, ?, ?)",
                [(*record, record.checksum()) for record in records],
            )
        except sqlite3.IntegrityError:
            raise self._unknown(end for record in records for end in (record.source, record.target)) from None
        self.log("link", dict.fromkeys(record.source for record in records))

    def delete_links(self, links: Iterable[tuple[int, int, str]]) -> None:
        """Remove links, each told by source, target and kind.

        Raises
        ------
        UnknownIdError
            If one of them is not there; the transaction must be given up then.
        """
        sources: dict[int, None] = {}
        for source, target, kind in links:
            gone = self.connection.execute(
                "DELETE FROM links WHERE source = ? AND target = ? AND kind = ?", (source, target, kind)
            ).rowcount
            if not gone:
                raise UnknownIdError(f"link: there is none from memory {source} to memory {target}")
            sources[source] = None
        self.log("link", sources)

    def give_ids(self, last_memory_id: int, last_key_id: int) -> None:
        """Take ids up to these for given, so that no new memory or key gets one of them."""
        self._next_memory_id = max(self._next_memory_id, last_memory_id + 1)
        self._next_key_id = max(self._next_key_id, last_key_id + 1)
        for table, following in (("memories", self._next_memory_id), ("keys", self._next_key_id)):
            self.connection.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
            if following > 1:
                self.connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, following - 1))

    def update_memory(self, record: MemoryRecord) -> None:
        """Write a memory's text, metadata and external id anew."""
        try:
            changed = self.connection.execute(
                "UPDATE memories SET external_id = ?, text = ?, metadata = ?, checksum = ? WHERE memory_id = ?",
                (record.external_id, record.text, record.metadata, record.checksum(), record.memory_id),
            ).rowcount
        except sqlite3.IntegrityError:
            raise DuplicateIdError(f"external_id: {record.external_id!r} is already in use") from None
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
        self.insert_keys_of([(memory_id, keys)])

    def insert_keys_of(self, keys: Iterable[tuple[int, Iterable[NewKey]]]) -> range:
        """Add keys to several memories and give the keys' ids, in the order in which they came."""
        first = self._next_key_id
        pairs = ((memory_id, key) for memory_id, of_memory in keys for key in of_memory)
        records = [KeyRecord(key_id, memory_id, *key) for key_id, (memory_id, key) in enumerate(pairs, first)]
        self._next_key_id += len(records)
        self.connection.executemany(
            "INSERT INTO keys (key_id, memory_id, kind, text, vector, producer, checksum) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(*record, record.checksum()) for record in records],
        )
        return range(first, self._next_key_id)

    def delete_keys(self, memory_id: int, kinds: Sequence[str]) -> None:
        """Remove a memory's keys of these kinds. The caller logs the memory."""
        self.connection.executemany(
            "DELETE FROM keys WHERE memory_id = ? AND kind = ?", [(memory_id, kind) for kind in kinds]
        )

    def log(self, operation: str, memory_ids: Iterable[int]) -> None:
        """Note in the change log that something derived from these memories must be renewed."""
        logged = self.connection.execute(
            "INSERT INTO changes (operation, memory_id, stamp) SELECT ?, value, ? FROM json_each(?) ORDER BY key",
            (operation, self.stamp, json.dumps(list(memory_ids))),
        )
        self.change_seq += logged.rowcount

    def _unknown(self, memory_ids: Iterable[int]) -> UnknownIdError:
        """Say which of these memories is not there."""
        there = "SELECT 1 FROM memories WHERE memory_id = ?"
        missing = next(i for i in memory_ids if self.connection.execute(there, (i,)).fetchone() is None)
        return UnknownIdError(f"id: there is no memory {missing}")

    def _duplicate(self, external_ids: Iterable[str | None]) -> DuplicateIdError:
        """Say which external id of new memories is in use, by an older memory or twice among them."""
        seen: set[str | None] = set()
        taken: str | None = None
        for taken in external_ids:
            older = self.connection.execute(
                "SELECT 1 FROM memories WHERE external_id = ? AND memory_id < ?", (taken, self._next_memory_id)
            ).fetchone()
            if older is not None or (taken is not None and taken in seen):
                break
            seen.add(taken)
        return DuplicateIdError(f"external_id: {taken!r} is already in use")
