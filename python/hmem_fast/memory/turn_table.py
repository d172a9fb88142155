"""Who said it, where in which conversation, and when: the table beside the store's own, and what is read from it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from hmem_fast.errors import StoreCorruptError
from hmem_fast.store.record import MemoryRecord, check_row

__all__ = ["TURN_MIGRATIONS", "TURN_TABLES", "TurnRow"]

TURN_TABLES = (
    """
CREATE TABLE turns (
    memory_id   INTEGER PRIMARY KEY REFERENCES memories ON DELETE CASCADE,
    speaker     TEXT,
    session     TEXT,
    seq         INTEGER NOT NULL,        -- order within the session, given when stored; time never reorders
    time        REAL,                    -- seconds since the epoch
    unkeyed     INTEGER NOT NULL         -- sentences beyond the limit of dense keys
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
        "DROP INDEX turns_by_speaker",
        "DROP INDEX turns_by_time",
        "CREATE INDEX turns_by_speaker ON turns (speaker) WHERE speaker NOTNULL",
        "CREATE INDEX turns_by_time ON turns (time) WHERE time NOTNULL",
    ),
}


@dataclass(frozen=True, slots=True)
class TurnRow:
    """One row of the table."""

    memory_id: int
    speaker: str | None
    session: str | None
    seq: int
    time: float | None
    unkeyed: int


def insert(connection: sqlite3.Connection, row: TurnRow) -> None:
    """Add a turn."""
    connection.execute(
        "INSERT INTO turns (memory_id, speaker, session, seq, time, unkeyed) VALUES (?, ?, ?, ?, ?, ?)",
        (row.memory_id, row.speaker, row.session, row.seq, row.time, row.unkeyed),
    )


def update(connection: sqlite3.Connection, row: TurnRow) -> None:
    """Write a turn anew; its place in its session stays."""
    connection.execute(
        "UPDATE turns SET speaker = ?, time = ?, unkeyed = ? WHERE memory_id = ?",
        (row.speaker, row.time, row.unkeyed, row.memory_id),
    )


def read(connection: sqlite3.Connection, memory_ids: Iterable[int]) -> dict[int, TurnRow]:
    """Read turns by memory id; ids that are not there are left out."""
    rows = connection.execute(
        "SELECT memory_id, speaker, session, seq, time, unkeyed FROM turns "
        "WHERE memory_id IN (SELECT value FROM json_each(?))",
        (json.dumps(list(memory_ids)),),
    )
    return {row[0]: TurnRow(*row) for row in rows}


def read_with_memories(
    connection: sqlite3.Connection, memory_ids: Iterable[int]
) -> dict[int, tuple[MemoryRecord, TurnRow]]:
    """Read memories and their turns by memory id; ids that are not there are left out.

    Raises
    ------
    StoreCorruptError
        If a memory does not match its checksum, or has no turn.
    """
    rows = connection.execute(
        "SELECT m.memory_id, external_id, text, metadata, checksum, t.memory_id, speaker, session, seq, time, unkeyed "
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
        found[memory_id] = (memory, TurnRow(*turn))
    return found


def last_of_session(connection: sqlite3.Connection, session: str) -> tuple[int, str | None]:
    """Give the next free place in a session and the text of its last turn (None in a new session)."""
    row = connection.execute(
        "SELECT seq, text FROM turns JOIN memories USING (memory_id) WHERE session = ? ORDER BY seq DESC LIMIT 1",
        (session,),
    ).fetchone()
    return (0, None) if row is None else (row[0] + 1, row[1])


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
