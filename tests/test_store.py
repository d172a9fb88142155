"""The durable truth: transactions, change log, lock, checksums, readers."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading

import numpy as np
import pytest

from hmem_fast.errors import (
    ClosedError,
    DuplicateIdError,
    InvalidValueError,
    ReadOnlyError,
    StoreCorruptError,
    StoreLockedError,
    StoreNotFoundError,
    StoreVersionError,
    UnknownIdError,
)
from hmem_fast.store import MemoryRecord, NewKey, TraceStore

KEY = NewKey("cue", "a cue", np.arange(3, dtype="<f4").tobytes(), "test")


@pytest.fixture
def folder(tmp_path):
    # Characters that mean something in a URI, and none of ASCII's.
    return tmp_path / "störe #1 50%?"


def add(store, text, **fields):
    with store.transaction() as transaction:
        memory_id = transaction.insert_memory(text, **fields)
        transaction.insert_keys(memory_id, [KEY])
    return memory_id


def edit_file(folder, statement, *parameters):
    with sqlite3.connect(folder / "truth.sqlite3") as connection:
        connection.execute(statement, parameters)
    connection.close()


class TestTransactions:
    @pytest.mark.parametrize("in_memory", [True, False])
    def test_what_is_written_is_read_back(self, folder, in_memory):
        with TraceStore(None if in_memory else folder) as store:
            memory_id = add(store, "text with \0 NUL and 🐝", metadata='{"a":1}', external_id="x")
            assert store.memories([memory_id, 99]) == {
                memory_id: MemoryRecord(memory_id, "x", "text with \0 NUL and 🐝", '{"a":1}')
            }
            (key,) = store.keys([memory_id])
            assert (key.kind, key.text, key.producer) == ("cue", "a cue", "test")
            assert np.frombuffer(key.vector, "<f4").tolist() == [0, 1, 2]
            assert store.id_of("x") == memory_id
            assert store.id_of("y") is None

    def test_an_exception_inside_undoes_all_of_it(self, folder):
        with TraceStore(folder) as store:

            def write_and_fail():
                with store.transaction() as transaction:
                    transaction.insert_memory("never")
                    raise RuntimeError("half way")

            with pytest.raises(RuntimeError, match="half way"):
                write_and_fail()
            assert store.count() == 0
            assert store.change_seq() == 0
            assert add(store, "after") == 1

    def test_ids_are_never_given_twice(self, folder):
        with TraceStore(folder) as store:
            first = add(store, "a")
            (first_key,) = store.keys([first])
            with store.transaction() as transaction:
                transaction.delete_memory(first)
        with TraceStore(folder) as store:
            second = add(store, "b")
            assert second > first
            assert store.keys([second])[0].key_id > first_key.key_id

    def test_deleting_a_memory_takes_its_keys(self, folder):
        with TraceStore(folder) as store:
            memory_id = add(store, "a")
            with store.transaction() as transaction:
                transaction.delete_memory(memory_id)
            assert store.keys([memory_id]) == []

    def test_external_ids_are_unique(self, folder):
        with TraceStore(folder) as store:
            add(store, "a", external_id="x")
            with pytest.raises(DuplicateIdError, match="external_id: 'x'"):
                add(store, "b", external_id="x")
            assert store.count() == 1

    def test_unknown_memories_cannot_be_changed(self, folder):
        with TraceStore(folder) as store:
            with pytest.raises(UnknownIdError, match="7"), store.transaction() as transaction:
                transaction.delete_memory(7)
            with pytest.raises(UnknownIdError, match="7"), store.transaction() as transaction:
                transaction.update_memory(MemoryRecord(7, None, "", "{}"))


class TestChangeLog:
    def test_it_sums_up_what_still_matters(self, folder):
        with TraceStore(folder) as store:
            a, b, c = (add(store, text) for text in "abc")
            seen = store.change_seq()
            with store.transaction() as transaction:
                transaction.update_memory(MemoryRecord(a, None, "a2", "{}"))
                transaction.delete_memory(b)
                transaction.log("put", [c])
            d = add(store, "d")
            change = store.changes_since(seen)
            assert (change.put, change.removed) == ((a, c, d), (b,))
            assert change.change_seq == store.change_seq()
            assert store.changes_since(change.change_seq).put == ()

    def test_from_the_beginning_it_gives_everything_that_is_there(self, folder):
        with TraceStore(folder) as store:
            a, b = add(store, "a"), add(store, "b")
            with store.transaction() as transaction:
                transaction.delete_memory(a)
            assert store.changes_since(0).put == (b,)


class TestProcesses:
    def test_a_second_writer_is_refused_with_the_owners_process_id(self, folder):
        with TraceStore(folder), pytest.raises(StoreLockedError, match=f"process {os.getpid()} is the writer"):
            TraceStore(folder)
        TraceStore(folder).close()

    def test_the_lock_goes_with_the_process_that_held_it(self, folder):
        code = "import sys, os; from hmem_fast.store import TraceStore; s = TraceStore(sys.argv[1]); os._exit(0)"
        subprocess.run([sys.executable, "-c", code, str(folder)], check=True)
        TraceStore(folder).close()

    def test_a_reader_sees_what_was_committed_and_nothing_else(self, folder):
        with TraceStore(folder) as writer, TraceStore(folder, mode="r") as reader:
            version = reader.data_version()
            with writer.transaction() as transaction:
                transaction.insert_memory("a")
                assert reader.count() == 0
            assert reader.count() == 1
            assert reader.data_version() != version

    def test_a_reader_cannot_write(self, folder):
        TraceStore(folder).close()
        with (
            TraceStore(folder, mode="r") as reader,
            pytest.raises(ReadOnlyError, match='mode="w"'),
            reader.transaction(),
        ):
            pass

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
    def test_use_after_a_fork_is_refused_and_the_lock_stays_with_the_parent(self, folder):
        store = TraceStore(folder)
        child = os.fork()
        if child == 0:
            try:
                store.count()
            except ClosedError:
                os._exit(0)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        with pytest.raises(StoreLockedError):
            TraceStore(folder)
        store.close()

    def test_threads_share_a_store(self, folder):
        with TraceStore(folder, durability="none") as store:
            threads = [threading.Thread(target=lambda: [add(store, "x") for _ in range(20)]) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert store.count() == 80


class TestInterrupts:
    """An interrupt may fall between any two instructions; the next use must find everything in order."""

    @pytest.mark.parametrize("in_memory", [True, False])
    def test_a_transaction_that_was_left_open_is_undone(self, folder, in_memory):
        with TraceStore(None if in_memory else folder) as store:
            add(store, "kept")
            for connection in {store._writer, store._reader}:
                connection._connection.execute("BEGIN")
            assert store.count() == 1
            add(store, "also kept")
            assert store.count() == 2

    @pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers that interrupt")
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # one may fall into a destructor
    def test_interrupts_at_random_leave_a_working_store(self, folder):
        class Interrupt(BaseException):
            pass

        def interrupt(*_):
            raise Interrupt

        with TraceStore(folder, durability="none") as store:
            kept = 0
            before = signal.signal(signal.SIGALRM, interrupt)
            try:
                for i in range(300):
                    try:
                        # Again every 50 ms: an interrupt that falls into a destructor is swallowed.
                        signal.setitimer(signal.ITIMER_REAL, 0.00002 * (1 + i % 40), 0.05)
                        while True:
                            add(store, "x")
                            kept += 1
                            store.count()
                    except Interrupt:
                        signal.setitimer(signal.ITIMER_REAL, 0)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, before)
            assert store.count() >= kept
            add(store, "last")
            assert store.memories(store.memory_ids()).keys() == set(store.memory_ids())


class TestOpening:
    def test_a_reader_of_a_store_that_was_never_made(self, folder):
        folder.mkdir()
        (folder / "truth.sqlite3").touch()
        with pytest.raises(StoreNotFoundError, match="never finished"):
            TraceStore(folder, mode="r")

    def test_a_failed_opening_gives_the_lock_up(self, folder, monkeypatch):
        def full(*_):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(os, "write", full)
            with pytest.raises(OSError, match="No space"):
                TraceStore(folder)
        TraceStore(folder).close()

    def test_a_reader_that_may_not_write_beside_the_file_follows_it_all_the_same(self, folder, monkeypatch):
        with TraceStore(folder) as store:
            add(store, "a")
        monkeypatch.setattr(os, "access", lambda *_: False)
        with TraceStore(folder, mode="r") as reader:
            version = reader.data_version()
            assert reader.count() == 1
            with TraceStore(folder) as writer:
                add(writer, "b")
                assert reader.count() == 2
            assert reader.count() == 2
            assert reader.data_version() != version

    def test_a_reader_needs_a_store(self, folder):
        with pytest.raises(StoreNotFoundError, match="no hmem_fast store"):
            TraceStore(folder, mode="r")
        assert not folder.exists()

    def test_a_file_where_a_folder_should_be(self, folder):
        folder.write_text("a file")
        with pytest.raises(InvalidValueError, match="wanted a folder"):
            TraceStore(folder)

    def test_a_foreign_database_is_left_alone(self, folder):
        folder.mkdir()
        edit_file(folder, "CREATE TABLE other (x)")
        before = (folder / "truth.sqlite3").read_bytes()
        with pytest.raises(StoreCorruptError, match="not a hmem_fast store"):
            TraceStore(folder)
        assert (folder / "truth.sqlite3").read_bytes() == before

    def test_a_file_that_is_no_database(self, folder):
        folder.mkdir()
        (folder / "truth.sqlite3").write_bytes(b"no database at all" * 1000)
        with pytest.raises(StoreCorruptError):
            TraceStore(folder)

    def test_a_newer_format_is_refused(self, folder):
        TraceStore(folder).close()
        edit_file(folder, "PRAGMA user_version = 999")
        for mode in ("w", "r"):
            with pytest.raises(StoreVersionError, match="version 999"):
                TraceStore(folder, mode=mode)

    @pytest.mark.parametrize(
        ("table", "change"),
        [
            ("memories", "text = 'other'"),
            ("memories", "metadata = '{\"a\":2}'"),
            ("keys", "vector = zeroblob(12)"),
            ("keys", "kind = 'turn'"),
        ],
    )
    def test_a_row_edited_by_hand_is_noticed(self, folder, table, change):
        with TraceStore(folder) as store:
            memory_id = add(store, "text")
        edit_file(folder, f"UPDATE {table} SET {change}")
        with TraceStore(folder) as store, pytest.raises(StoreCorruptError, match="checksum"):
            store.memories([memory_id]), store.keys([memory_id])

    def test_a_read_only_folder_opens_for_reading(self, folder):
        with TraceStore(folder) as store:
            add(store, "a")
        folder.chmod(0o555)
        try:
            with TraceStore(folder, mode="r") as reader:
                assert reader.count() == 1
        finally:
            folder.chmod(0o755)

    def test_a_copied_folder_is_a_store(self, folder, tmp_path):
        with TraceStore(folder) as store:
            add(store, "a")
        shutil.copytree(folder, tmp_path / "copy")
        with TraceStore(tmp_path / "copy") as copy:
            assert copy.count() == 1

    @pytest.mark.parametrize(("argument", "value"), [("mode", "x"), ("durability", "maybe")])
    def test_wrong_options_are_named(self, folder, argument, value):
        with pytest.raises(InvalidValueError, match=f"{argument}: wanted"):
            TraceStore(folder, **{argument: value})

    def test_closed_is_closed(self, folder):
        store = TraceStore(folder)
        store.close()
        store.close()
        with pytest.raises(ClosedError, match="closed"):
            store.count()

    @pytest.mark.parametrize(("durability", "synchronous"), [("power", 2), ("process", 1), ("none", 0)])
    def test_durability_reaches_sqlite(self, folder, durability, synchronous):
        with TraceStore(folder, durability=durability) as store, store.transaction() as transaction:
            assert transaction.connection.execute("PRAGMA synchronous").fetchone() == (synchronous,)
            assert transaction.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)

    def test_properties_keep_their_types(self, folder):
        with TraceStore(folder) as store:
            store.set_properties({"a": None, "b": [1, "zwei"], "c": {"d": True}})
        with TraceStore(folder) as store:
            assert store.properties() == {"a": None, "b": [1, "zwei"], "c": {"d": True}}
