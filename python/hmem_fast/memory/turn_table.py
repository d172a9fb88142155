"""Who said it, where in which conversation, and when: the table beside the store's own, and what is read from it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

from hmem_fast.core import row_checksum
from hmem_fast.errors import StoreCorruptError
from hmem_fast.store.record import MemoryRecord, check_row, damaged

__all__ = ["TURN_MIGRATIONS", "TURN_TABLES", "TurnRow"]

TURN_TABLES = (
    """
CREATE TABLE turns (
    memory_id   INTEGER PRIMARY KEY REFERENCES memories ON DELETE CASCADE,
    speaker     TEXT,
    session     TEXT,
    seq         INTEGER NOT NULL,        -- order within the session, given when stored; time never reorders
    time        REAL,                    -- seconds since the epoch
    unkeyed     INTEGER NOT NULL,        -- sentences beyond the limit of dense keys
    checksum    INTEGER NOT NULL         -- CRC-32 of the row
)
    """,
    "CREATE UNIQUE INDEX turns_by_session ON turns (session, seq) WHERE session IS NOT NULL",
    # Rows without a speaker or a time take no place in these.
    "CREATE INDEX turns_by_speaker ON turns (speaker) WHERE speaker NOTNULL",
    "CREATE INDEX turns_by_time ON turns (time) WHERE time NOTNULL",
)

#: Entry v brings the table and its indexes from format version v to v + 1, and never changes once that is out.
TURN_MIGRATIONS = {
    1: (
        "DROP INDEX turns_by_session",
        "DROP INDEX turns_by_speaker",
        "DROP INDEX turns_by_time",
        "ALTER TABLE turns RENAME TO turns_1",
        """
CREATE TABLE turns (
    memory_id   INTEGER PRIMARY KEY REFERENCES memories ON DELETE CASCADE,
    speaker     TEXT,
    session     TEXT,
    seq         INTEGER NOT NULL,        -- order within the session, given when stored; time never reorders
    time        REAL,                    -- seconds since the epoch
    unkeyed     INTEGER NOT NULL,        -- sentences beyond the limit of dense keys
    checksum    INTEGER NOT NULL         -- CRC-32 of the row
)
    """,
        """
INSERT INTO turns SELECT memory_id, speaker, session, seq, time, unkeyed,
    row_checksum(memory_id, speaker, session, seq, time, unkeyed) FROM turns_1 ORDER BY memory_id
        """,
        "DROP TABLE turns_1",
        "CREATE UNIQUE INDEX turns_by_session ON turns (session, seq) WHERE session IS NOT NULL",
        "CREATE INDEX turns_by_speaker ON turns (speaker) WHERE speaker NOTNULL",
        "CREATE INDEX turns_by_time ON turns (time) WHERE time NOTNULL",
    ),
}


class TurnRow(NamedTuple):
    """One row of the table."""

    memory_id: int
    speaker: str | None
    session: str | None
    seq: int
    time: float | None
    unkeyed: int

    def checksum(self) -> int:
        """CRC-32 of the row."""
        return row_checksum(*self)


def insert(connection: sqlite3.Connection, rows: Iterable[TurnRow]) -> None:
    """Add turns."""
    connection.executemany(
        "INSERT INTO turns (memory_id, speaker, session, seq, time, unkeyed, checksum) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(*row, row.checksum()) for row in rows],
    )


def update(connection: sqlite3.Connection, row: TurnRow) -> None:
    """Write a turn anew; its place in its session stays."""
    connection.execute(
        "UPDATE turns SET speaker = ?, time = ?, unkeyed = ?, checksum = ? WHERE memory_id = ?",
        (row.speaker, row.time, row.unkeyed, row.checksum(), row.memory_id),
    )


def read(connection: sqlite3.Connection, memory_ids: Iterable[int]) -> dict[int, TurnRow]:
    """Read turns by memory id; ids that are not there are left out.

    Raises
    ------
    StoreCorruptError
        If a turn does not match its checksum.
    """
    rows = connection.execute(
        "SELECT memory_id, speaker, session, seq, time, unkeyed, checksum FROM turns "
        "WHERE memory_id IN (SELECT value FROM json_each(?))",
        (json.dumps(list(memory_ids)),),
    )
    return {row[0]: _checked(row) for row in rows}


def _checked(row: tuple[Any, ...]) -> TurnRow:
    turn = TurnRow(*row[:-1])
    if bytes in map(type, turn) or turn.checksum() != row[-1]:  # text and bytes have the same checksum
        raise damaged(f"turn of memory {turn.memory_id}")
    return turn


def read_with_memories(
    connection: sqlite3.Connection, memory_ids: Iterable[int]
) -> dict[int, tuple[MemoryRecord, TurnRow]]:
    """Read memories and their turns by memory id; ids that are not there are left out.

    Raises
    ------
    StoreCorruptError
        If a memory or its turn does not match its checksum, or there is no turn.
    """
    rows = connection.execute(
        "SELECT m.memory_id, external_id, text, metadata, m.checksum, "
        "t.memory_id, speaker, session, seq, time, unkeyed, t.checksum "
        "FROM memories AS m LEFT JOIN turns AS t USING (memory_id) "
        "WHERE m.memory_id IN (SELECT value FROM json_each(?))",
        (json.dumps(list(memory_ids)),),
    )
    found = {}
    for memory_id, external_id, text, metadata, checksum, *turn in rows:
        memory = MemoryRecord(memory_id, external_id, text, metadata)
        check_row(memory, checksum)
        if turn[0] is None:
            raise StoreCorruptError(f"memory {memory_id}: its row in the table of turns is missing")
        found[memory_id] = (memory, _checked(tuple(turn)))
    return found


def missing(connection: sqlite3.Connection) -> list[int]:
    """Ids of memories that have no turn, ascending."""
    rows = connection.execute("SELECT memory_id FROM memories EXCEPT SELECT memory_id FROM turns ORDER BY memory_id")
    return [memory_id for (memory_id,) in rows]


def last_of_session(
    connection: sqlite3.Connection, session: str, n_turns: int
) -> tuple[int, list[tuple[str | None, str]]]:
    """Give the next free place in a session and the (speaker, text) of its last `n_turns` turns, oldest first."""
    rows = connection.execute(
        "SELECT seq, speaker, text FROM turns JOIN memories USING (memory_id) "
        "WHERE session = ? ORDER BY seq DESC LIMIT ?",
        (session, n_turns),
    ).fetchall()
    return (rows[0][0] + 1 if rows else 0), [(speaker, text) for _, speaker, text in reversed(rows)]


def text_before(
    connection: sqlite3.Connection, session: str, seq: int, without: AbstractSet[int] = frozenset()
) -> str | None:
    """Text of the turn that stands before place `seq`, as if the memories `without` were not there."""
    # Read only as far as needed: no LIMIT, since `without` may be long.
    rows = connection.execute(
        "SELECT memory_id, text FROM turns JOIN memories USING (memory_id) "
        "WHERE session = ? AND seq < ? ORDER BY seq DESC",
        (session, seq),
    )
    return next((text for memory_id, text in rows if memory_id not in without), None)


def following(connection: sqlite3.Connection, session: str, seq: int, n: int) -> list[int]:
    """Ids of the next `n` turns of a session."""
    rows = connection.execute(
        "SELECT memory_id FROM turns WHERE session = ? AND seq > ? ORDER BY seq LIMIT ?", (session, seq, n)
    )
    return [memory_id for (memory_id,) in rows]


def previous(connection: sqlite3.Connection, memory_ids: Iterable[int]) -> dict[int, int]:
    """For each of these turns the one before it in its session; those that are the first are left out."""
    rows = connection.execute(
        """
        SELECT own.memory_id, (
            SELECT memory_id FROM turns WHERE session = own.session AND seq < own.seq ORDER BY seq DESC LIMIT 1
        ) AS before
        FROM json_each(?) AS wanted JOIN turns AS own ON own.memory_id = wanted.value
        WHERE before NOTNULL ORDER BY own.memory_id
        """,
        (json.dumps(list(memory_ids)),),
    )
    return dict(rows)


def of_sessions(connection: sqlite3.Connection, session: str | None) -> list[int]:
    """Ids of the turns of a session, or of all sessions, ascending."""
    some = "NOTNULL" if session is None else "= ?"
    rows = connection.execute(
        f"SELECT memory_id FROM turns WHERE session {some} ORDER BY memory_id",  # noqa: S608 - constants
        () if session is None else (session,),
    )
    return [memory_id for (memory_id,) in rows]


def windows(
    connection: sqlite3.Connection, memory_ids: Iterable[int], n_turns: int
) -> dict[int, list[tuple[str | None, str]]]:
    """For each memory the (speaker, text) of the last `n_turns` turns of its session up to itself, oldest first."""
    rows = connection.execute(
        """
        SELECT own.memory_id, near.speaker, memories.text
        FROM json_each(?) AS wanted
        JOIN turns AS own ON own.memory_id = wanted.value
        JOIN turns AS near ON near.memory_id = own.memory_id OR near.memory_id IN (
            SELECT memory_id FROM turns WHERE session = own.session AND seq < own.seq ORDER BY seq DESC LIMIT ?
        )
        JOIN memories ON memories.memory_id = near.memory_id
        ORDER BY own.memory_id, near.seq
        """,
        (json.dumps(list(memory_ids)), n_turns - 1),
    )
    found: dict[int, list[tuple[str | None, str]]] = {}
    for memory_id, speaker, text in rows:
        found.setdefault(memory_id, []).append((speaker, text))
    return found


def count(connection: sqlite3.Connection) -> tuple[int, int]:
    """Number of sentences without a key, and of distinct sessions."""
    unkeyed, n_sessions = connection.execute(
        "SELECT coalesce(sum(unkeyed), 0), count(DISTINCT session) FROM turns"
    ).fetchone()
    return unkeyed, n_sessions
