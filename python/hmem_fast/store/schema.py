"""The tables, drawn and explained in docs/format.md, and how an older file becomes a current one."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Callable, Mapping, Sequence

from hmem_fast.core import row_checksum
from hmem_fast.errors import StoreCorruptError, StoreVersionError
from hmem_fast.store.change import new_stamp
from hmem_fast.store.record import damaged

__all__ = ["APPLICATION_ID", "SCHEMA_VERSION", "STORE_ID", "create", "migrate"]

#: "hmem" in ASCII; SQLite keeps it in the file's header, so that a stranger's file is told apart from ours.
APPLICATION_ID = 0x686D656D

#: Version of the file format; moves apart from the version of the package.
SCHEMA_VERSION = 3

#: The property that tells one store from all others. A copy has the same.
STORE_ID = "store_id"

_TABLES = (
    """
CREATE TABLE properties (
    name        TEXT PRIMARY KEY,
    value       TEXT NOT NULL,               -- JSON
    checksum    INTEGER NOT NULL
) WITHOUT ROWID
    """,
    """
CREATE TABLE memories (
    memory_id   INTEGER PRIMARY KEY AUTOINCREMENT,   -- never given twice
    external_id TEXT UNIQUE,
    text        TEXT NOT NULL,
    metadata    TEXT NOT NULL,               -- a JSON object
    checksum    INTEGER NOT NULL             -- CRC-32 of the row, see record.py
)
    """,
    """
CREATE TABLE keys (
    key_id      INTEGER PRIMARY KEY AUTOINCREMENT,   -- never given twice
    memory_id   INTEGER NOT NULL REFERENCES memories ON DELETE CASCADE,
    kind        TEXT NOT NULL,
    text        TEXT,                        -- what was encoded; NULL for a ready vector
    vector      BLOB,                        -- float32, little-endian; NULL while the key is stale
    producer    TEXT,                        -- backend and precision that made the vector
    checksum    INTEGER NOT NULL
)
    """,
    "CREATE INDEX keys_by_memory ON keys (memory_id, key_id)",
    """
CREATE TABLE links (
    link_id     INTEGER PRIMARY KEY AUTOINCREMENT,   -- never given twice
    source      INTEGER NOT NULL REFERENCES memories ON DELETE CASCADE,
    target      INTEGER NOT NULL REFERENCES memories ON DELETE CASCADE,
    kind        TEXT NOT NULL,               -- who made it, see docs/format.md
    weight      REAL NOT NULL,
    checksum    INTEGER NOT NULL,
    UNIQUE (source, target, kind)
)
    """,
    "CREATE INDEX links_by_target ON links (target)",
    """
CREATE TABLE changes (
    change_seq  INTEGER PRIMARY KEY AUTOINCREMENT,
    operation   TEXT NOT NULL CHECK (operation IN ('put', 'remove', 'link')),
    memory_id   INTEGER NOT NULL,            -- for 'link' the one that the link comes from
    stamp       INTEGER NOT NULL             -- drawn at random, the same in all rows of a transaction
)
    """,
)


def _to_2(connection: sqlite3.Connection) -> None:
    """Give the change log stamps, properties checksums, and the store an id."""
    # Made anew instead of altered, so that a migrated file has the very tables of a new one.
    connection.execute("ALTER TABLE changes RENAME TO changes_1")
    connection.execute(
        """
CREATE TABLE changes (
    change_seq  INTEGER PRIMARY KEY AUTOINCREMENT,
    operation   TEXT NOT NULL CHECK (operation IN ('put', 'remove')),
    memory_id   INTEGER NOT NULL,
    stamp       INTEGER NOT NULL             -- drawn at random, the same in all rows of a transaction
)
        """
    )
    connection.execute(
        "INSERT INTO changes (change_seq, operation, memory_id, stamp) "
        "SELECT change_seq, operation, memory_id, ? FROM changes_1 ORDER BY change_seq",
        (new_stamp(),),
    )
    connection.execute("DROP TABLE changes_1")
    connection.execute("ALTER TABLE properties RENAME TO properties_1")
    connection.execute(
        """
CREATE TABLE properties (
    name        TEXT PRIMARY KEY,
    value       TEXT NOT NULL,               -- JSON
    checksum    INTEGER NOT NULL
) WITHOUT ROWID
    """
    )
    connection.execute("INSERT INTO properties SELECT name, value, row_checksum(name, value) FROM properties_1")
    connection.execute("DROP TABLE properties_1")
    _name(connection)


def _to_3(connection: sqlite3.Connection) -> None:
    """Give links a kind and a checksum, and let the change log tell of them."""
    connection.execute("DROP INDEX links_by_target")
    connection.execute("ALTER TABLE links RENAME TO links_2")
    connection.execute(
        """
CREATE TABLE links (
    link_id     INTEGER PRIMARY KEY AUTOINCREMENT,   -- never given twice
    source      INTEGER NOT NULL REFERENCES memories ON DELETE CASCADE,
    target      INTEGER NOT NULL REFERENCES memories ON DELETE CASCADE,
    kind        TEXT NOT NULL,               -- who made it, see docs/format.md
    weight      REAL NOT NULL,
    checksum    INTEGER NOT NULL,
    UNIQUE (source, target, kind)
)
        """
    )
    connection.execute(
        "INSERT INTO links SELECT n, source, target, 'link', weight, row_checksum(n, source, target, 'link', weight) "
        "FROM (SELECT row_number() OVER (ORDER BY source, target) AS n, source, target, weight FROM links_2)"
    )
    connection.execute("DROP TABLE links_2")
    connection.execute("CREATE INDEX links_by_target ON links (target)")
    connection.execute("ALTER TABLE changes RENAME TO changes_2")
    connection.execute(
        """
CREATE TABLE changes (
    change_seq  INTEGER PRIMARY KEY AUTOINCREMENT,
    operation   TEXT NOT NULL CHECK (operation IN ('put', 'remove', 'link')),
    memory_id   INTEGER NOT NULL,            -- for 'link' the one that the link comes from
    stamp       INTEGER NOT NULL             -- drawn at random, the same in all rows of a transaction
)
        """
    )
    connection.execute("INSERT INTO changes SELECT * FROM changes_2 ORDER BY change_seq")
    connection.execute("DROP TABLE changes_2")


# Entry v takes a file from version v to v + 1. What an entry writes never changes once a version is out.
_MIGRATIONS: dict[int, Callable[[sqlite3.Connection], None]] = {1: _to_2, 2: _to_3}


def create(connection: sqlite3.Connection, use_tables: Sequence[str]) -> None:
    """Make the tables in an empty file, those of the use (`use_tables`, one statement each) among them.

    Runs inside the transaction that the caller has opened, as all functions here do.
    """
    for statement in (*_TABLES, *use_tables):
        connection.execute(statement)
    _name(connection)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def version_of(connection: sqlite3.Connection) -> int:
    """Read the version of a file; 0 means that it is empty.

    Raises
    ------
    StoreCorruptError
        If the file is somebody else's database.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and application != APPLICATION_ID:
        raise StoreCorruptError("this SQLite file is not a hmem_fast store")
    return int(version)


def check_tables(connection: sqlite3.Connection, use_tables: Sequence[str]) -> None:
    """Refuse a file whose tables and indexes are not declared as `create` declares them.

    SQLite reads their declarations from the file and keeps no checksum of them.

    Raises
    ------
    StoreCorruptError
        If one is missing or declared otherwise.
    """
    # A flipped bit can make bytes of a text.
    texts = connection.execute("SELECT sql FROM sqlite_master WHERE typeof(sql) = 'text'")
    declared = {_in_one_line(sql) for (sql,) in texts}
    for statement in (*_TABLES, *use_tables):
        if _in_one_line(statement) not in declared:
            what = " ".join(statement.split()[1:3]).lower()
            raise StoreCorruptError(f"{what}: missing, or declared otherwise; the file was damaged or edited by hand")


def _in_one_line(statement: str) -> str:
    return " ".join(statement.split())


def store_id_of(connection: sqlite3.Connection) -> str:
    """Read the id of a store of the current version.

    Raises
    ------
    StoreCorruptError
        If it is missing or damaged.
    """
    row = connection.execute("SELECT value, checksum FROM properties WHERE name = ?", (STORE_ID,)).fetchone()
    if row is None:
        raise StoreCorruptError(f"property {STORE_ID}: missing; the file was damaged or edited by hand")
    return str(load_property(STORE_ID, *row))


def load_property(name: str, value: str, checksum: int) -> object:
    """Read the value of a property.

    Raises
    ------
    StoreCorruptError
        If it does not match its checksum, or is no JSON.
    """
    if row_checksum(name, value) != checksum:
        raise damaged(f"property {name}")
    try:
        read: object = json.loads(value)
    except ValueError:
        raise StoreCorruptError(f"property {name}: no JSON; the file was damaged or edited by hand") from None
    return read


def check_version(version: int, *, write: bool) -> None:
    """Refuse a file that a newer hmem_fast has written, and an older one where it cannot be migrated."""
    if version > SCHEMA_VERSION:
        raise StoreVersionError(
            f"the store has format version {version}, this hmem_fast reads up to {SCHEMA_VERSION}; "
            "install a newer hmem_fast"
        )
    if 0 < version < SCHEMA_VERSION and not write:
        raise StoreVersionError(
            f"the store has format version {version}, this hmem_fast reads version {SCHEMA_VERSION}; "
            'open it once with mode="w", which migrates it'
        )


def migrate(connection: sqlite3.Connection, version: int, use_migrations: Mapping[int, Sequence[str]]) -> None:
    """Bring a file from `version` to the current one: at each step the store's tables, then those of the use.

    Statements may use ``row_checksum(field, …)``.
    """
    connection.create_function("row_checksum", -1, row_checksum, deterministic=True)
    for step in range(version, SCHEMA_VERSION):
        _MIGRATIONS[step](connection)
        for statement in use_migrations.get(step, ()):
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _name(connection: sqlite3.Connection) -> None:
    set_property(connection, STORE_ID, secrets.token_hex(16))


def set_property(connection: sqlite3.Connection, name: str, value: object) -> None:
    """Write a property, as JSON."""
    written = json.dumps(value, ensure_ascii=False, allow_nan=False)
    connection.execute(
        "INSERT OR REPLACE INTO properties (name, value, checksum) VALUES (?, ?, ?)",
        (name, written, row_checksum(name, written)),
    )
