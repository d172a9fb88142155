"""What is read from a truth, each answer as of one moment."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from hmem_fast.store.change import Change
from hmem_fast.store.connection import Connection
from hmem_fast.store.plan import ForgetPlan, plan_forget
from hmem_fast.store.record import KeyRecord, LinkRecord, MemoryRecord, check_row
from hmem_fast.store.schema import STORE_ID, load_property

__all__ = ["Reading"]


class Reading:
    """The half of a store that reads. Whatever is asked within ``with store.snapshot()`` is of the same moment."""

    def check_open(self) -> Connection:
        """Give the connection that reads.

        Raises
        ------
        ClosedError
            If the store is closed, or belongs to the process this one was forked from.
        """
        raise NotImplementedError

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Read several things as they were at one moment."""
        with self.check_open().transaction() as connection:
            yield connection

    def properties(self) -> dict[str, Any]:
        """Read all properties that `set_properties` wrote."""
        with self.snapshot() as connection:
            rows = connection.execute("SELECT name, value, checksum FROM properties WHERE name <> ?", (STORE_ID,))
            return {name: load_property(name, value, checksum) for name, value, checksum in rows}

    def change_seq(self) -> int:
        """Number of the last change; 0 for a new store."""
        with self.snapshot() as connection:
            return _last_change(connection)[0]

    def data_version(self) -> int:
        """A number that differs from the last one if another process or connection has committed since."""
        return self.check_open().data_version()

    def changes_since(self, change_seq: int, stamp: int | None = None) -> Change:
        """Sum up what happened after a point in the history; 0 gives everything that is there.

        Parameters
        ----------
        change_seq : int
            The last change that is known.
        stamp : int, optional
            Its stamp. If this file has another one there, or no such change, the answer is to start from nothing:
            `Change.restart` is true.
        """
        with self.snapshot() as connection:
            last, last_stamp = _last_change(connection)
            restart = not _is_in_history(connection, change_seq, stamp)
            if restart or change_seq == 0:
                sources = connection.execute("SELECT DISTINCT source FROM links ORDER BY source")
                return Change(last, last_stamp, tuple(self.memory_ids()), (), tuple(i for (i,) in sources), restart)
            rows = connection.execute(
                "SELECT c.memory_id, m.memory_id IS NOT NULL, max(c.operation <> 'link'), max(c.operation = 'link') "
                "FROM changes AS c LEFT JOIN memories AS m USING (memory_id) WHERE c.change_seq > ? "
                "GROUP BY c.memory_id ORDER BY c.memory_id",
                (change_seq,),
            ).fetchall()
        return Change(
            last,
            last_stamp,
            put=tuple(memory_id for memory_id, there, put, _ in rows if there and put),
            removed=tuple(memory_id for memory_id, there, _, _ in rows if not there),
            linked=tuple(memory_id for memory_id, there, _, linked in rows if there and linked),
        )

    def pending(self, change_seq: int) -> int:
        """Number of changes after `change_seq`; as cheap as reading one row."""
        return max(0, self.change_seq() - change_seq)  # the log has no gaps

    def plan_forget(self, memory_ids: Iterable[int]) -> ForgetPlan:
        """Say what would go if these memories were deleted. Changes nothing.

        Raises
        ------
        UnknownIdError
            If one of them is not there.
        """
        with self.snapshot() as connection:
            return plan_forget(connection, memory_ids)

    def count(self) -> int:
        """Number of memories."""
        with self.snapshot() as connection:
            (n,) = connection.execute("SELECT count(*) FROM memories").fetchone()
            return int(n)

    def last_memory_id(self) -> int:
        """The largest id that a memory was ever given; 0 where there never was one."""
        with self.snapshot() as connection:
            row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'memories'").fetchone()
        return 0 if row is None else int(row[0])

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

    def links(self, sources: Iterable[int] | None = None) -> list[LinkRecord]:
        """Read the links that come from memories, or all, by ascending source, target and kind."""
        if sources is None:
            return self._links("", ())
        return self._links("WHERE source IN (SELECT value FROM json_each(?))", (json.dumps(list(sources)),))

    def links_after(self, link_id: int) -> list[LinkRecord]:
        """Read the links that were made or changed after the one with this id."""
        return self._links("WHERE link_id > ?", (link_id,))

    def links_of(self, memory_ids: Iterable[int]) -> list[LinkRecord]:
        """Read the links from memories and to them, by ascending source, target and kind."""
        wanted = "(SELECT value FROM json_each(?1))"
        return self._links(f"WHERE source IN {wanted} OR target IN {wanted}", (json.dumps(list(memory_ids)),))

    def _links(self, some: str, parameters: tuple[object, ...]) -> list[LinkRecord]:
        with self.snapshot() as connection:
            rows = connection.execute(
                f"SELECT link_id, source, target, kind, weight, checksum FROM links {some} "  # noqa: S608 - constants
                "ORDER BY source, target, kind",
                parameters,
            ).fetchall()
        links = []
        for *fields, checksum in rows:
            link = LinkRecord(*fields)
            check_row(link, checksum)
            links.append(link)
        return links

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


def _last_change(connection: sqlite3.Connection) -> tuple[int, int]:
    """Number and stamp of the last change."""
    row = connection.execute("SELECT change_seq, stamp FROM changes ORDER BY change_seq DESC LIMIT 1").fetchone()
    return (0, 0) if row is None else row


def _is_in_history(connection: sqlite3.Connection, change_seq: int, stamp: int | None) -> bool:
    """Whether a point that somebody noted lies in the history of this file."""
    if change_seq == 0:
        return True
    row = connection.execute("SELECT stamp FROM changes WHERE change_seq = ?", (change_seq,)).fetchone()
    return row is not None and stamp in (None, row[0])
