"""Others at the same file: what is locked, being made or being recovered is never called damaged."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import pytest

from hmem_fast.errors import StoreCorruptError, StoreIOError, StoreLockedError
from hmem_fast.store import TraceStore, connection
from hmem_fast.store.connection import Connection
from stores import add, in_child, needs_fork

NOBODY = 65534


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "store"


def sqlite_error(name, kind=sqlite3.OperationalError):
    error = kind("what SQLite said")
    error.sqlite_errorname = name
    return error


class TestNames:
    @pytest.mark.parametrize(
        ("name", "told"),
        [
            ("SQLITE_BUSY", StoreLockedError),
            ("SQLITE_BUSY_RECOVERY", StoreLockedError),
            ("SQLITE_BUSY_SNAPSHOT", StoreLockedError),
            ("SQLITE_BUSY_TIMEOUT", StoreLockedError),
            ("SQLITE_LOCKED", StoreLockedError),
            ("SQLITE_LOCKED_SHAREDCACHE", StoreLockedError),
            ("SQLITE_PROTOCOL", StoreLockedError),
            ("SQLITE_CANTOPEN", StoreIOError),
            ("SQLITE_IOERR_READ", StoreIOError),
            ("SQLITE_IOERR_SHORT_READ", StoreIOError),
            ("SQLITE_FULL", StoreIOError),
            ("SQLITE_READONLY_RECOVERY", StoreIOError),
            ("SQLITE_READONLY_DBMOVED", StoreIOError),
            ("SQLITE_CORRUPT", StoreCorruptError),
            ("SQLITE_CORRUPT_VTAB", StoreCorruptError),
            ("SQLITE_NOTADB", StoreCorruptError),
        ],
    )
    def test_each_error_is_what_it_is(self, folder, name, told):
        with TraceStore(folder) as store, pytest.raises(told), store._reader.bare():
            raise sqlite_error(name)

    def test_a_mistake_in_a_statement_stays_what_it_is(self, folder):
        with TraceStore(folder) as store:
            with pytest.raises(sqlite3.OperationalError, match="no such table"), store.snapshot() as reading:
                reading.execute("SELECT * FROM missing")
            assert store.count() == 0

    def test_text_that_is_no_utf8_is_damage(self, folder):
        with TraceStore(folder) as store:
            with pytest.raises(StoreCorruptError, match="UTF-8"), store.snapshot() as reading:
                reading.execute("SELECT CAST(x'ff' AS TEXT)").fetchone()
            assert store.count() == 0


class TestWaiting:
    @pytest.mark.parametrize("name", ["SQLITE_CANTOPEN", "SQLITE_PROTOCOL", "SQLITE_READONLY_RECOVERY"])
    def test_what_passes_is_waited_for(self, folder, monkeypatch, name):
        left = [3]

        def begin(made, statement, plain=connection._begin):
            if left[0]:
                left[0] -= 1
                raise sqlite_error(name)
            plain(made, statement)

        with TraceStore(folder) as store:
            add(store, "a")
            monkeypatch.setattr(connection, "_begin", begin)
            assert store.count() == 1
            assert left == [0]

    def test_what_does_not_pass_is_told(self, folder, monkeypatch):
        def begin(*_):
            raise sqlite_error("SQLITE_CANTOPEN")

        monkeypatch.setattr(connection, "_PASSING_SECONDS", 0.05)
        with TraceStore(folder) as store:
            with monkeypatch.context() as patched:
                patched.setattr(connection, "_begin", begin)
                with pytest.raises(StoreIOError):
                    store.count()
            assert store.count() == 0

    def test_another_programs_lock_is_a_lock(self, folder, monkeypatch):
        monkeypatch.setattr(connection, "BUSY_TIMEOUT_SECONDS", 0.1)
        with TraceStore(folder) as store, closing(sqlite3.connect(folder / "truth.sqlite3")) as other:
            add(store, "a")
            other.isolation_level = None
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreLockedError, match="locked for more than"):
                add(store, "b")
            assert store.count() == 1
            other.execute("ROLLBACK")
            add(store, "b")
            assert store.count() == 2

    def test_a_snapshot_is_of_the_moment_it_began(self, folder):
        with TraceStore(folder) as store, store.snapshot(), TraceStore(folder, mode="r") as reader:
            with reader.snapshot():
                add(store, "committed before the first question, after the beginning")
                assert reader.count() == 0
            assert reader.count() == 1


def read_then_write(reader, folder, failing=None):
    assert reader.count() == 1
    with TraceStore(folder) as writer:
        add(writer, "b")
    if failing is not None:
        raise failing


class TestFrozen:
    """A folder that the reader may not write: the file is read as if it could not change."""

    @pytest.fixture
    def frozen(self, folder, monkeypatch):
        with TraceStore(folder) as store:
            add(store, "a")
        monkeypatch.setattr(os, "access", lambda *_: False)
        with TraceStore(folder, mode="r") as reader:
            yield reader

    def test_a_file_that_changes_while_it_is_read_is_read_again(self, folder, frozen):
        with pytest.raises(StoreLockedError, match="try again"), frozen.snapshot():
            read_then_write(frozen, folder)
        assert frozen.count() == 2

    def test_what_looks_damaged_because_it_changed_is_not_called_so(self, folder, frozen):
        with pytest.raises(StoreLockedError), frozen.snapshot():
            read_then_write(frozen, folder, failing=sqlite_error("SQLITE_CORRUPT", sqlite3.DatabaseError))
        assert frozen.count() == 2

    def test_damage_in_a_file_that_stays_is_damage(self, frozen):
        with pytest.raises(StoreCorruptError), frozen.snapshot():
            raise sqlite_error("SQLITE_CORRUPT", sqlite3.DatabaseError)

    def test_a_writer_that_comes_does_not_disturb_what_was_read(self, folder, frozen):
        with frozen.snapshot():
            assert frozen.count() == 1
            writer = TraceStore(folder)
            assert frozen.count() == 1
        with writer:
            add(writer, "b")
            assert frozen.count() == 2

    def test_a_file_that_is_gone_for_a_while(self, folder, frozen):
        moved = folder.rename(folder.with_name("moved"))
        for _ in range(2):
            with pytest.raises(StoreIOError):
                frozen.count()
        moved.rename(folder)
        assert frozen.count() == 1


@needs_fork
class TestReadOnlyFolders:
    """Real ones, read by a user who may not write them."""

    @pytest.fixture
    def public(self):
        with tempfile.TemporaryDirectory() as parent:
            Path(parent).chmod(0o755)
            yield Path(parent) / "store"
            (Path(parent) / "store").chmod(0o755)

    def read(self, folder, expected):
        """Read all texts in a child that may not write; `expected` may be an exception."""

        def act():
            if os.geteuid() == 0:
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            assert not os.access(folder, os.W_OK)
            if isinstance(expected, list):
                with TraceStore(folder, mode="r") as reader:
                    assert [m.text for m in reader.memories(reader.memory_ids()).values()] == expected
            else:
                with pytest.raises(expected, match="left a log"):
                    TraceStore(folder, mode="r")

        for path in folder.iterdir():
            path.chmod(0o644)
        folder.chmod(0o555)
        assert in_child(act) == 0
        folder.chmod(0o755)

    def left_by_a_killed_writer(self, folder):
        def act():
            store = TraceStore(folder)
            add(store, "a")
            store._writer._connection.execute("PRAGMA wal_checkpoint")
            add(store, "b")
            os.kill(os.getpid(), signal.SIGKILL)

        assert in_child(act) == -signal.SIGKILL
        assert (folder / "truth.sqlite3-wal").stat().st_size > 0

    def test_a_store_that_was_closed(self, public):
        with TraceStore(public) as store:
            add(store, "a")
        self.read(public, ["a"])

    def test_the_log_of_a_killed_writer_is_read(self, public):
        self.left_by_a_killed_writer(public)
        self.read(public, ["a", "b"])

    def test_a_log_that_cannot_be_read_is_told_of_and_nothing_is_left_out(self, public):
        """Without its index a log is no use where none can be made; reading past it would lose what was committed."""
        self.left_by_a_killed_writer(public)
        (public / "truth.sqlite3-shm").unlink()
        self.read(public, StoreIOError)
        with TraceStore(public, mode="r") as reader:
            assert reader.count() == 2

    def test_an_empty_log_holds_nothing(self, public):
        with TraceStore(public) as store:
            add(store, "a")
        (public / "truth.sqlite3-wal").touch()
        self.read(public, ["a"])

    def test_beside_a_writer(self, public):
        with TraceStore(public) as store:
            add(store, "a")
            for path in public.iterdir():
                path.chmod(0o644)
            self.read(public, ["a"])
            add(store, "b")
            self.read(public, ["a", "b"])


WRITER = """
import os, sys
from hmem_fast.store import TraceStore
die = sys.argv[2] == "die"
for number in range(100000):
    store = TraceStore(sys.argv[1], durability="process")
    for _ in range(3):
        with store.transaction() as transaction:
            for _ in range(2):
                transaction.insert_memory("x" * 3000)
    print(number, flush=True)
    if die:
        os._exit(9)
    store.close()
"""

READER = """
import sys, time
from hmem_fast.store import TraceStore
from hmem_fast.errors import StoreNotFoundError
opened, until = 0, time.monotonic() + float(sys.argv[2])
last = 0
while time.monotonic() < until:
    try:
        with TraceStore(sys.argv[1], mode="r") as store, store.snapshot():
            n = store.count()
            assert n % 2 == 0 and n >= last, (n, last)
            assert len(store.memories(store.memory_ids()[:20])) == min(n, 20)
            last = n
            opened += 1
    except StoreNotFoundError:
        assert last == 0
print(opened)
"""


@pytest.mark.slow
@pytest.mark.parametrize("end", ["close", "die"])
def test_readers_come_and_go_while_writers_do(folder, end):
    """The log is made, recovered and taken away all the time, from before the store is there; readers see only whole
    transactions and no error."""
    readers = [
        subprocess.Popen([sys.executable, "-c", READER, folder, "4"], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    until = time.monotonic() + 4
    lives = 0
    while time.monotonic() < until:
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, folder, end], stdout=subprocess.PIPE, text=True, bufsize=1
        )
        try:
            while time.monotonic() < until and writer.stdout.readline():
                lives += 1
        finally:
            writer.kill()
            writer.communicate()
    printed = [reader.communicate()[0] for reader in readers]
    assert [reader.returncode for reader in readers] == [0, 0, 0]
    assert all(int(opened) > 0 for opened in printed)
    assert lives > 1
    with TraceStore(folder) as store:
        assert store.count() >= 6 * lives
        assert store.verify().ok


def test_a_connection_in_memory_is_never_frozen(monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with Connection(None, write=True).transaction() as made:
        assert made.execute("SELECT 1").fetchone() == (1,)
