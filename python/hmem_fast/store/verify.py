"""Going through a whole truth in search of damage."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from hmem_fast.core import row_checksum
from hmem_fast.store.backup import Progress

__all__ = ["Problem", "Verified", "verify"]

#: Rows between two reports of progress.
_REPORT_ROWS = 4096

#: What SQLite tells of one file at most.
_MAX_MESSAGES = 1000


#: What SQLite raises over damage. The second: it quotes what it found, and that is no text.
_UNREADABLE = (sqlite3.DatabaseError, UnicodeDecodeError)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes
    ----------
    kind : str
        ``"file"``: SQLite finds its own structure damaged, an index included. ``"reference"``: a row belongs to a
        memory that is not there. ``"checksum"``: a row is not what was written. ``"width"``: a vector has not the
        store's width. ``"metadata"``: it is no JSON object. ``"property"``: a property of the store is not what was
        written.
    table : str or None
        Where it is; None if SQLite does not say.
    id : int or None
        The row's id, if the row has one.
    text : str
        What it is, for people.
    """

    kind: str
    table: str | None
    id: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What a look at every row found: how many there are, and what is wrong."""

    memories: int
    keys: int
    links: int
    changes: int
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def verify(connection: sqlite3.Connection, progress: Progress | None = None) -> Verified:
    """Look at every row, within the transaction that the caller has opened."""
    problems = list(_structure(connection))
    counts = {}
    for table, query in _COUNTS.items():
        counts[table] = 0
        with suppress(*_UNREADABLE):  # the scan below tells of it, with the row before
            (counts[table],) = connection.execute(query).fetchone()
    dim, of_properties = _width(connection)
    problems += of_properties
    total = counts["memories"] + counts["keys"]
    for done, found in enumerate(_rows(connection, dim), 1):
        if found is not None:
            problems.append(found)
        if progress is not None and (done % _REPORT_ROWS == 0 or done == total):
            progress(done, total)
    problems += _rows_of_uses(connection)
    problems += _references(connection)
    return Verified(**counts, problems=tuple(problems))


# Without indexes: one of them may be what is damaged.
_COUNTS = {
    "memories": "SELECT count(*) FROM memories NOT INDEXED",
    "keys": "SELECT count(*) FROM keys NOT INDEXED",
    "links": "SELECT count(*) FROM links",
    "changes": "SELECT count(*) FROM changes",
}


def _structure(connection: sqlite3.Connection) -> Iterator[Problem]:
    try:
        for (message,) in connection.execute(f"PRAGMA integrity_check({_MAX_MESSAGES})"):
            if message != "ok":
                yield Problem("file", None, None, message)
    except _UNREADABLE as error:
        yield Problem("file", None, None, str(error))


def _width(connection: sqlite3.Connection) -> tuple[int | None, list[Problem]]:
    """The width that vectors must have, if the store tells it, and what is wrong with the properties."""
    problems, dim = [], None
    try:
        for name, value, stored in connection.execute("SELECT name, CAST(value AS BLOB), checksum FROM properties"):
            read = None
            is_whole = row_checksum(name, value) == stored
            if is_whole:
                try:
                    read = json.loads(value)
                except ValueError:
                    is_whole = False
            if not is_whole:
                problems.append(Problem("property", "properties", None, f"property {name}: it is not what was written"))
            if name == "dim" and isinstance(read, int):
                dim = read
    except _UNREADABLE as error:
        problems.append(Problem("file", "properties", None, str(error)))
    return dim, problems


# Text is read as bytes: what is damaged need not be UTF-8 any more. Text that became bytes, or bytes that became
# text, would have the right checksum; -1 is none.
_MEMORIES = (
    "SELECT memory_id, iif('blob' IN (typeof(external_id), typeof(text), typeof(metadata)), -1, checksum), "
    "CAST(external_id AS BLOB), CAST(text AS BLOB), CAST(metadata AS BLOB) FROM memories NOT INDEXED ORDER BY rowid"
)
_KEYS = (
    "SELECT key_id, "
    "iif('blob' IN (typeof(kind), typeof(text), typeof(producer)) OR typeof(vector) = 'text', -1, checksum), "
    "CAST(memory_id AS BLOB), CAST(kind AS BLOB), CAST(text AS BLOB), "
    "CAST(vector AS BLOB), CAST(producer AS BLOB) FROM keys NOT INDEXED ORDER BY rowid"
)


def _rows(connection: sqlite3.Connection, dim: int | None) -> Iterator[Problem | None]:
    """For each row of memories and keys what is wrong with it; None for a row that is well."""

    def judge_memory(memory_id: int, checksum: object, *fields: bytes | None) -> Problem | None:
        if row_checksum(memory_id, *fields) != checksum:
            return Problem("checksum", "memories", memory_id, f"memory {memory_id}: its checksum does not match")
        if not _is_object(fields[2]):
            return Problem("metadata", "memories", memory_id, f"memory {memory_id}: its metadata is no JSON object")
        return None

    def judge_key(key_id: int, checksum: object, *fields: bytes | None) -> Problem | None:
        if row_checksum(key_id, *fields) != checksum:
            return Problem("checksum", "keys", key_id, f"key {key_id}: its checksum does not match")
        vector = fields[3]
        if dim is not None and vector is not None and len(vector) != 4 * dim:
            return Problem("width", "keys", key_id, f"key {key_id}: its vector has {len(vector)} bytes, not {4 * dim}")
        return None

    yield from _judged(connection, "memories", _MEMORIES, judge_memory)
    yield from _judged(connection, "keys", _KEYS, judge_key)


def _rows_of_uses(connection: sqlite3.Connection) -> Iterator[Problem]:
    """What is wrong with rows of tables beside the store's own whose last column is a checksum of the others."""
    own = ("memories", "keys", "properties")
    try:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in (table for table in tables if table not in own):
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({quoted(table)})")]
            if columns[-1:] != ["checksum"]:
                continue

            def judge(row_id: int, *row: object, table: str = table) -> Problem | None:
                *fields, stored = row
                # Bytes where a use has none were text, which would have the same checksum.
                if bytes not in map(type, fields) and row_checksum(*fields) == stored:  # type: ignore[arg-type]  # SQLite's types
                    return None
                return Problem("checksum", table, row_id, f"{table}: row {row_id} does not match its checksum")

            query = f"SELECT rowid, * FROM {quoted(table)} NOT INDEXED ORDER BY rowid"  # noqa: S608 - quoted
            with text_as_bytes(connection):
                yield from filter(None, _judged(connection, table, query, judge))
    except _UNREADABLE as error:
        yield Problem("file", None, None, str(error))


class Text(bytes):
    """What SQLite calls text, whether or not it is UTF-8."""


@contextmanager
def text_as_bytes(connection: sqlite3.Connection) -> Iterator[None]:
    """Let queries in the block give text as `Text`."""
    before = connection.text_factory
    connection.text_factory = Text
    try:
        yield
    finally:
        connection.text_factory = before


def quoted(name: str) -> str:
    """Write a name so that SQLite takes it for nothing else."""
    return '"' + name.replace('"', '""') + '"'


def _judged(
    connection: sqlite3.Connection, table: str, query: str, judge: Callable[..., Problem | None]
) -> Iterator[Problem | None]:
    """Judge the rows of a table as far as they can be read; then comes a problem, if there is more."""
    last = None
    try:
        for row in connection.execute(query):
            last = row[0]
            yield judge(*row)
    except _UNREADABLE as error:
        where = "from the first row on" if last is None else f"behind row {last}"
        yield Problem("file", table, last, f"{table}: cannot be read {where}: {error}")


def _is_object(metadata: bytes | None) -> bool:
    try:
        return metadata == b"{}" or (metadata is not None and isinstance(json.loads(metadata), dict))
    except ValueError:
        return False


def _references(connection: sqlite3.Connection) -> Iterator[Problem]:
    try:
        for table, row_id, parent, _ in connection.execute("PRAGMA foreign_key_check").fetchall():
            row = "a row" if row_id is None else f"row {row_id}"
            yield Problem("reference", table, row_id, f"{table}: {row} belongs to one of {parent} that is not there")
    except _UNREADABLE as error:
        yield Problem("file", None, None, str(error))
