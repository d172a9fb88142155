"""Taking damage out of a truth without inventing anything.

What cannot be trusted any more is written to a quarantine file as it is, and leaves the tables. Whatever else there was
to know about it is not guessed: a use makes keys anew from their memory's text.
"""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hmem_fast.store.durable_file import put_in_place
from hmem_fast.store.transaction import Transaction
from hmem_fast.store.verify import Problem, Text, Verified, quoted, text_as_bytes, verify

__all__ = ["Repaired", "free_name", "repair"]


@dataclass(frozen=True, slots=True)
class Repaired:
    """What `TraceStore.repair` did.

    Attributes
    ----------
    backup : str or None
        Name of the copy made before; None if there was nothing to do.
    quarantine : str or None
        Name of the file with the rows that were damaged, one JSON object a line; None if there were none.
    dropped_keys : tuple of int
        Damaged keys, which are gone.
    stale : tuple of int
        Memories that lost a key and are there. The use must encode them anew; nothing in the file says so any more.
    damaged_memories : tuple of int
        Memories that do not match their checksum; gone if that was asked for.
    problems : tuple of Problem
        What is still wrong.
    """

    backup: str | None = None
    quarantine: str | None = None
    dropped_keys: tuple[int, ...] = ()
    stale: tuple[int, ...] = ()
    damaged_memories: tuple[int, ...] = ()
    problems: tuple[Problem, ...] = ()


def repair(transaction: Transaction, folder: Path, backup: str, *, drop: bool) -> Repaired:
    """Do what `TraceStore.repair` says, inside a transaction, after the copy `backup` was made."""
    connection = transaction.connection
    _reindex(connection)
    found = verify(connection)
    damaged_keys = _ids(found, "keys", "checksum", "width")
    damaged_memories = _ids(found, "memories", "checksum", "metadata")
    strays = dict.fromkeys(  # a row can be damaged, and of nobody besides
        (p.table, p.id)
        for p in found.problems
        if p.table is not None and p.id is not None
        if p.kind == "reference" or (p.kind == "checksum" and p.table not in ("memories", "keys", "properties"))
        if not (p.table == "keys" and p.id in damaged_keys)
    )
    owners = [_int_of(connection, "keys", "memory_id", key_id) for key_id in damaged_keys]
    sources = [_int_of(connection, table, "source", row_id) for table, row_id in strays if table == "links"]

    lost = _Quarantine(connection)
    lost.add("keys", damaged_keys)
    lost.add("memories", damaged_memories)
    for memory_id in damaged_memories:
        lost.add_keys_of(memory_id)
    for table, row_id in strays:
        lost.add(table, [row_id])
    quarantine = lost.write(folder) if lost.lines else None

    connection.executemany("DELETE FROM keys WHERE key_id = ?", [(key_id,) for key_id in damaged_keys])
    for table, row_id in strays:
        connection.execute(f"DELETE FROM {quoted(table)} WHERE rowid = ?", (row_id,))  # noqa: S608 - quoted
    if drop:
        for memory_id in damaged_memories:
            transaction.delete_memory(memory_id)
    there = {memory_id for (memory_id,) in connection.execute("SELECT memory_id FROM memories")}
    stale = sorted({owner for owner in owners if owner is not None and owner in there})
    transaction.log("put", stale)
    transaction.log("link", sorted({source for source in sources if source is not None and source in there}))
    return Repaired(backup, quarantine, damaged_keys, tuple(stale), damaged_memories, verify(connection).problems)


def _reindex(connection: sqlite3.Connection) -> None:
    names = [
        name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'index' ORDER BY name")
    ]
    for name in names:
        try:
            connection.execute(f"REINDEX {quoted(name)}")
        except sqlite3.IntegrityError:
            # Two rows have what only one may have: which of them is right is not for us to say, and `verify` tells it.
            continue


def _ids(found: Verified, table: str, *kinds: str) -> tuple[int, ...]:
    return tuple(p.id for p in found.problems if p.table == table and p.kind in kinds and p.id is not None)


def _int_of(connection: sqlite3.Connection, table: str, column: str, row_id: int) -> int | None:
    """The memory that a row says it belongs to; the damage may have hit just that."""
    query = f"SELECT {column} FROM {table} WHERE rowid = ?"  # noqa: S608 - constants
    (memory_id,) = connection.execute(query, (row_id,)).fetchone()
    return memory_id if isinstance(memory_id, int) else None


class _Quarantine:
    """Rows as they stand in the file, one line of JSON each; what is no valid text is written in base64."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.lines: list[str] = []

    def add(self, table: str, row_ids: Iterable[int]) -> None:
        """Add rows by id."""
        for row_id in row_ids:
            self._add(table, f"SELECT * FROM {quoted(table)} WHERE rowid = ?", row_id)  # noqa: S608 - quoted

    def add_keys_of(self, memory_id: int) -> None:
        """Add a memory's keys."""
        self._add("keys", "SELECT * FROM keys WHERE memory_id = ? ORDER BY key_id", memory_id)

    def write(self, folder: Path) -> str:
        """Write all of it to a file of its own; gives its name."""
        name = free_name(folder, "quarantine-{}.jsonl")
        temporary = folder / f"{name}.part"
        try:
            temporary.write_text("".join(self.lines), encoding="utf-8", newline="\n")
            put_in_place(temporary, folder / name)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        return name

    def _add(self, table: str, query: str, *parameters: int) -> None:
        with text_as_bytes(self._connection):
            cursor = self._connection.execute(query, parameters)
            names = [column[0] for column in cursor.description]
            for row in cursor:
                values = {name: _to_json(value) for name, value in zip(names, row, strict=True)}
                self.lines.append(json.dumps({"table": table, "row": values}, ensure_ascii=False) + "\n")


def _to_json(value: object) -> object:
    if isinstance(value, Text):
        try:
            return value.decode()
        except UnicodeDecodeError:
            pass
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode("ascii")}
    return value


def free_name(folder: Path, pattern: str) -> str:
    """Name of a file that is not there yet: `pattern` with the first number that is free."""
    number = 1
    while (folder / pattern.format(number)).exists():
        number += 1
    return pattern.format(number)
