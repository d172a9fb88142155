"""A store of an older format becomes a current one as a whole, or stays what it was."""

from __future__ import annotations

import errno
import shutil
import sqlite3

import pytest

from hmem_fast.core import row_checksum
from hmem_fast.errors import StoreCorruptError, StoreIOError, StoreVersionError
from hmem_fast.memory.turn_table import TURN_MIGRATIONS, TURN_TABLES, TurnRow
from hmem_fast.store import TraceStore, durable_file, schema
from stores import GOLDEN, add, ask, die_at_statement, edit, in_child, needs_fork, tables

MEMORIES = "SELECT * FROM memories ORDER BY memory_id"
KEYS = "SELECT * FROM keys ORDER BY key_id"
TURNS = "SELECT memory_id, speaker, session, seq, time, unkeyed FROM turns ORDER BY memory_id"
LINKS = "SELECT source, target, weight FROM links ORDER BY source, target"
CHANGES = "SELECT change_seq, operation, memory_id FROM changes ORDER BY change_seq"
GIVEN = "SELECT * FROM sqlite_sequence WHERE name <> 'links' ORDER BY name"
ALL = [MEMORIES, KEYS, TURNS, LINKS, CHANGES, GIVEN]


@pytest.fixture
def old(tmp_path):
    folder = tmp_path / "old"
    shutil.copytree(GOLDEN / "store-v1" / "hashing", folder)
    return folder


def open_store(folder, mode="w"):
    return TraceStore(folder, mode=mode, use_tables=TURN_TABLES, use_migrations=TURN_MIGRATIONS)


def version_of(folder):
    return ask(folder, "PRAGMA user_version")[0][0]


def contents(folder):
    return [ask(folder, query) for query in ALL]


def test_everything_is_kept_and_the_tables_are_those_of_a_new_store(old, tmp_path):
    before = contents(old)
    open_store(old).close()
    assert version_of(old) == schema.SCHEMA_VERSION
    assert contents(old) == before
    open_store(tmp_path / "new").close()
    assert tables(old) == tables(tmp_path / "new")
    assert ask(old, "PRAGMA integrity_check") == [("ok",)]


def test_turns_and_properties_get_their_checksums(old):
    open_store(old).close()
    turns = ask(old, "SELECT memory_id, speaker, session, seq, time, unkeyed, checksum FROM turns")
    assert turns
    assert all(TurnRow(*row).checksum() == checksum for *row, checksum in turns)
    properties = ask(old, "SELECT name, value, checksum FROM properties")
    assert {name for name, _, _ in properties} > {"encoder", "dim", "recipe", "space_id"}
    assert all(row_checksum(name, value) == checksum for name, value, checksum in properties)


def test_links_get_a_kind_and_their_checksums(old):
    open_store(old).close()
    with open_store(old, mode="r") as store:
        links = store.links()
    assert links
    assert {link.kind for link in links} == {"link"}


def test_old_changes_get_a_stamp_and_the_store_an_id(old, tmp_path):
    shutil.copytree(old, tmp_path / "twin")
    with open_store(old) as store, open_store(tmp_path / "twin") as twin:
        ((stamp,),) = ask(old, "SELECT DISTINCT stamp FROM changes")
        assert 0 <= stamp < 1 << 63
        assert store.changes_since(0).stamp == stamp
        assert len(bytes.fromhex(store.store_id)) == 16
        assert store.store_id != twin.store_id
        assert store.changes_since(0).stamp != twin.changes_since(0).stamp
        store_id = store.store_id
    with open_store(old) as store:
        assert store.store_id == store_id


def test_the_backup_is_the_old_store(old, tmp_path):
    before = contents(old)
    open_store(old).close()
    saved = tmp_path / "saved"
    saved.mkdir()
    shutil.copy(old / "truth.sqlite3.v1.backup", saved / "truth.sqlite3")
    assert version_of(saved) == 1
    assert contents(saved) == before
    open_store(saved).close()
    assert contents(saved) == before


def test_a_use_without_migrations_keeps_its_tables(old):
    before = [row for row in tables(old) if row[2] == "turns"]
    TraceStore(old).close()
    assert version_of(old) == schema.SCHEMA_VERSION
    assert [row for row in tables(old) if row[2] == "turns"] == before


def test_a_reader_is_told_to_open_it_for_writing_once(old):
    with pytest.raises(StoreVersionError, match=r'format version 1, .* mode="w"'):
        open_store(old, mode="r")
    assert version_of(old) == 1
    open_store(old).close()
    open_store(old, mode="r").close()


def test_a_newer_file_is_left_as_it_is(old):
    edit(old, f"PRAGMA user_version = {schema.SCHEMA_VERSION + 1}")
    before = (old / "truth.sqlite3").read_bytes()
    for mode in ("r", "w"):
        with pytest.raises(StoreVersionError, match="install a newer hmem_fast"):
            open_store(old, mode=mode)
    assert (old / "truth.sqlite3").read_bytes() == before
    assert not list(old.glob("*.backup"))


def test_a_store_that_lost_its_id_is_damaged(tmp_path):
    open_store(tmp_path / "s").close()
    edit(tmp_path / "s", "DELETE FROM properties WHERE name = 'store_id'")
    with pytest.raises(StoreCorruptError, match="store_id"):
        open_store(tmp_path / "s")


@needs_fork
def test_killed_at_any_statement_it_is_either_the_old_store_or_the_new_one(old, tmp_path):
    """The process is killed before the first statement, the second, and so on, until it comes through."""
    before = contents(old)
    versions = []
    for n in range(1000):
        folder = tmp_path / str(n)
        shutil.copytree(old, folder)
        if in_child(lambda folder=folder, n=n: _open_and_die(folder, n)) == 0:
            break
        versions.append(version_of(folder))
        assert contents(folder) == before
        with open_store(folder) as store:
            assert store.changes_since(0).put == tuple(row[0] for row in before[0])
        assert version_of(folder) == schema.SCHEMA_VERSION
        assert contents(folder) == before
        assert not list(folder.glob("*.part"))
    assert versions == sorted(versions)
    assert {1, schema.SCHEMA_VERSION} == set(versions)


def _open_and_die(folder, at):
    die_at_statement(at)
    open_store(folder)


@needs_fork
def test_a_disk_that_is_full_while_backing_up_leaves_the_old_store(old):
    resource = pytest.importorskip("resource")
    before = contents(old)

    def with_little_room():
        # No file may grow beyond that: the copy ends in the middle.
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
        with pytest.raises(StoreIOError):
            open_store(old)

    assert in_child(with_little_room) == 0
    assert version_of(old) == 1
    assert contents(old) == before
    assert not list(old.glob("*backup*"))
    open_store(old).close()
    assert contents(old) == before


def test_a_backup_that_does_not_reach_the_disk_stops_the_migration(old, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(durable_file, "_flush", full)
        with pytest.raises(OSError, match="No space"):
            open_store(old)
    assert version_of(old) == 1
    assert not list(old.glob("*backup*"))


def test_a_migration_that_fails_changes_nothing(old, monkeypatch):
    before, declared = contents(old), tables(old)
    real = schema._MIGRATIONS[1]

    def fail_at_the_end(connection):
        real(connection)
        raise RuntimeError("half way")

    with monkeypatch.context() as patched:
        patched.setitem(schema._MIGRATIONS, 1, fail_at_the_end)
        with pytest.raises(RuntimeError, match="half way"):
            open_store(old)
    assert (version_of(old), contents(old), tables(old)) == (1, before, declared)
    with open_store(old) as store:
        add(store, "goes on")


@pytest.mark.parametrize(
    ("condition", "index"),
    [("speaker = ?", "turns_by_speaker"), ("speaker IN (?, ?)", "turns_by_speaker"), ("time >= ?", "turns_by_time")],
)
def test_filters_use_the_partial_indexes(old, condition, index):
    with open_store(old) as store, store.snapshot() as connection:
        plan = connection.execute(
            f"EXPLAIN QUERY PLAN SELECT memory_id FROM turns WHERE {condition}", ("x",) * condition.count("?")
        ).fetchall()
        assert any(index in row[3] for row in plan), plan


def test_rows_without_a_speaker_or_a_time_cost_no_place_in_the_indexes(tmp_path):
    with open_store(tmp_path / "s") as store, store.transaction() as transaction:
        for i in range(2000):
            memory_id = transaction.insert_memory(f"text {i}")
            transaction.connection.execute("INSERT INTO turns VALUES (?, NULL, NULL, 0, NULL, 0, 0)", (memory_id,))
    try:
        pages = dict(ask(tmp_path / "s", "SELECT name, count(*) FROM dbstat GROUP BY name"))
    except sqlite3.OperationalError:
        pytest.skip("this SQLite cannot count the pages of an index")
    assert pages["turns_by_speaker"] == pages["turns_by_time"] == 1
