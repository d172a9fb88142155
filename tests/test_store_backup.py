"""Copies of a store that is in use: whole, of one moment, or not there at all."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hmem_fast.errors import ClosedError, InvalidValueError, StoreIOError, StoreLockedError, StoreNotFoundError
from hmem_fast.store import TraceStore, durable_file
from stores import a_key, add, in_child, needs_fork


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def target(tmp_path):
    return tmp_path / "saved" / "deeper"


def fill(store, n=40):
    """About 150 KB a memory, so that a copy takes several steps."""
    for i in range(n):
        add(store, f"memory {i} " + "x" * 150_000, keys=[a_key(seed=i)])


def contents(store):
    ids = store.memory_ids()
    return store.memories(ids), store.keys(ids), store.properties(), store.store_id, store.changes_since(0)


def is_no_store(folder):
    with pytest.raises(StoreNotFoundError):
        TraceStore(folder, mode="r")
    return True


@pytest.mark.parametrize("mode", ["w", "r"])
def test_a_backup_is_the_store(folder, target, mode):
    with TraceStore(folder) as store:
        store.set_properties({"a": 1})
        fill(store)
        heard = []
        with TraceStore(folder, mode="r") if mode == "r" else store as source:
            source.backup(target, progress=lambda done, total: heard.append((done, total)))
            expected = contents(source)
    assert heard == sorted(heard)
    assert len(heard) > 1
    assert heard[-1][0] == heard[-1][1] > 0
    assert sorted(path.name for path in target.iterdir()) == ["truth.sqlite3", "writer.lock"]
    with TraceStore(target, mode="r") as copy:
        assert contents(copy) == expected
        assert copy.verify().ok
    with TraceStore(target) as copy:
        add(copy, "goes on")


def test_a_store_in_memory_is_saved(target):
    with TraceStore(None) as store:
        fill(store, 3)
        store.backup(target)
        with TraceStore(target, mode="r") as copy:
            assert contents(copy) == contents(store)


def test_an_empty_store_is_saved(folder, target):
    with TraceStore(folder) as store:
        store.backup(os.fsencode(target))
    with TraceStore(target, mode="r") as copy:
        assert copy.count() == 0


def test_what_is_written_meanwhile_is_not_in_it_and_is_not_kept_waiting(folder, target):
    with TraceStore(folder) as store:
        fill(store)
        expected = contents(store)
        written = []

        def write(done, total):
            written.append(add(store, f"written meanwhile, at {done} of {total} pages"))

        store.backup(target, progress=write)
        assert len(written) > 1
        assert store.memories(written).keys() == set(written)
        with TraceStore(target, mode="r") as copy:
            assert contents(copy) == expected


def test_another_process_may_write_while_a_reader_saves(folder, target):
    code = """
import sys
from hmem_fast.store import TraceStore
with TraceStore(sys.argv[1]) as store:
    number = 0
    while True:
        with store.transaction() as transaction:
            for _ in range(2):
                transaction.insert_memory(f"{number} " + "x" * 50_000)
        number += 1
        print(number, flush=True)
"""
    with TraceStore(folder) as store:
        fill(store, 20)
    writer = subprocess.Popen([sys.executable, "-c", code, folder], stdout=subprocess.PIPE, text=True)
    try:
        assert writer.stdout.readline() == "1\n"
        with TraceStore(folder, mode="r") as reader:
            for i in range(3):
                reader.backup(target / str(i))
    finally:
        writer.kill()
        writer.communicate()
    counts = []
    for i in range(3):
        with TraceStore(target / str(i), mode="r") as copy:
            assert copy.verify().ok
            counts.append(copy.count() - 20)
    assert all(count % 2 == 0 for count in counts), "transactions are in it as a whole"
    assert counts == sorted(counts)
    assert counts[0] >= 2


@pytest.mark.parametrize("left", ["truth.sqlite3", "truth.sqlite3-wal"])
def test_a_folder_with_a_store_is_refused(folder, target, left):
    target.mkdir(parents=True)
    (target / left).write_bytes(b"precious")
    with TraceStore(folder) as store, pytest.raises(InvalidValueError, match=f"holds {left}"):
        store.backup(target)
    assert (target / left).read_bytes() == b"precious"


def test_a_folder_that_is_being_written_or_is_a_file_is_refused(folder, tmp_path):
    with TraceStore(folder) as store:
        with pytest.raises(StoreLockedError):
            store.backup(folder)
        with TraceStore(tmp_path / "other"), pytest.raises(StoreLockedError):
            store.backup(tmp_path / "other")
        (tmp_path / "file").write_text("a file")
        with pytest.raises(InvalidValueError, match="got a file"):
            store.backup(tmp_path / "file")


def test_an_interrupted_backup_leaves_nothing_that_looks_like_a_store(folder, target):
    def interrupt(done, total):
        raise KeyboardInterrupt

    with TraceStore(folder) as store:
        fill(store)
        with pytest.raises(KeyboardInterrupt):
            store.backup(target, progress=interrupt)
        assert [path.name for path in target.iterdir()] == ["writer.lock"]
        assert is_no_store(target)
        store.backup(target)
        with TraceStore(target, mode="r") as copy:
            assert copy.count() == 40


@pytest.mark.parametrize("step", ["flush", "replace"])
def test_a_backup_that_fails_at_the_end_leaves_nothing(folder, target, monkeypatch, step):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with TraceStore(folder) as store:
        fill(store, 2)
        with monkeypatch.context() as patched:
            patched.setattr(*{"flush": (durable_file, "_flush"), "replace": (Path, "replace")}[step], full)
            with pytest.raises(OSError, match="No space"):
                store.backup(target)
        assert [path.name for path in target.iterdir()] == ["writer.lock"]


@needs_fork
def test_a_full_disk_leaves_nothing(folder, target):
    resource = pytest.importorskip("resource")
    with TraceStore(folder) as store:
        fill(store, 5)

    def with_little_room():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 19, 1 << 19))
        with pytest.raises(StoreIOError):
            TraceStore(folder, mode="r").backup(target)

    assert in_child(with_little_room) == 0
    assert [path.name for path in target.iterdir()] == ["writer.lock"]


@needs_fork
def test_killed_in_the_middle_it_is_no_store_and_the_next_one_succeeds(folder, target):
    with TraceStore(folder) as store:
        fill(store)
    kill = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # noqa: E731 - a name for what happens
    assert in_child(lambda: TraceStore(folder, mode="r").backup(target, progress=kill)) == -signal.SIGKILL
    assert (target / "truth.sqlite3.part").exists()
    assert is_no_store(target)
    with TraceStore(folder, mode="r") as store:
        store.backup(target)
        assert not (target / "truth.sqlite3.part").exists()
        with TraceStore(target, mode="r") as copy:
            assert contents(copy) == contents(store)


def test_closed_is_closed(folder, target):
    store = TraceStore(folder)
    store.close()
    with pytest.raises(ClosedError):
        store.backup(target)
    assert not target.exists()
