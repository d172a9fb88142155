"""After erasing, no byte of what was deleted is found in any file of the store."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from hmem_fast.errors import InvalidValueError, ReadOnlyError, StoreIOError
from hmem_fast.memory.turn_table import TURN_MIGRATIONS, TURN_TABLES
from hmem_fast.store import MemoryRecord, TraceStore, connection
from stores import GOLDEN, a_key, add, ask, delete, edit, in_child, needs_fork

DIM = 96


class Secret:
    """One memory with everything that a memory can have, and what to look for when it is gone."""

    def __init__(self, number, words=20):
        self.text = " ".join(f"secret{number}text{i:05}" for i in range(words))
        self.metadata = f'{{"note":"secret{number}metadata"}}'
        self.external_id = f"secret{number}external"
        self.keys = [a_key(seed=number * 100 + i, dim=DIM, text=f"secret{number}key{i}") for i in range(4)]

    def store(self, store):
        return add(store, self.text, keys=self.keys, metadata=self.metadata, external_id=self.external_id)

    def traces(self):
        """Every 16 bytes of a vector, and every piece of text that is this memory's alone."""
        found = {self.metadata.encode()[8:-1], self.external_id.encode(), *self.text.encode().split()}
        for key in self.keys:
            raw = key.vector
            found |= {key.text.encode(), *(raw[i : i + 16] for i in range(len(raw) - 15))}
        return found


def found_in(folder, secret):
    """What of a secret is found in which file."""
    traces = secret.traces()
    hits = set()
    for path in folder.rglob("*"):
        if not path.is_file():
            continue
        content = path.read_bytes()
        by_length = {}
        for trace in traces:
            by_length.setdefault(len(trace), set()).add(trace)
        # Every window of the file is looked up in the set, instead of every trace in the file.
        for length, wanted in by_length.items():
            if any(content[i : i + length] in wanted for i in range(len(content) - length + 1)):
                hits.add(path.name)
    return hits


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "store"


def fill(store, n=60):
    for i in range(n):
        add(store, f"other memory {i}", keys=[a_key(seed=10_000 + i, dim=DIM)], external_id=f"other{i}")


def check_kept(store, n=60):
    assert [record.text for record in store.memories(store.memory_ids()).values()] == [
        f"other memory {i}" for i in range(n)
    ]
    for i, key in enumerate(store.keys(store.memory_ids())):
        assert key.vector == a_key(seed=10_000 + i, dim=DIM).vector


def test_the_search_finds_what_is_there(folder):
    secret = Secret(1)
    with TraceStore(folder) as store:
        secret.store(store)
        assert found_in(folder, secret) == {"truth.sqlite3-wal"}
    assert found_in(folder, secret) == {"truth.sqlite3"}


@pytest.mark.parametrize("words", [20, 3000], ids=["short", "long text on overflow pages"])
@pytest.mark.parametrize("durability", ["power", "none"])
def test_nothing_is_left_of_what_was_deleted(folder, words, durability):
    with TraceStore(folder, durability=durability) as store:
        secrets = [Secret(number, words) for number in range(5)]
        ids = []
        for secret in secrets:
            ids.append(secret.store(store))
            fill(store, 0)
        fill(store)
        for memory_id in ids:
            delete(store, memory_id)
        erased = store.erase()
        assert erased.is_complete
        assert erased.remaining == ()
        assert [found_in(folder, secret) for secret in secrets] == [set()] * 5
        assert 0 < erased.bytes_after < erased.bytes_before
        check_kept(store)
    with TraceStore(folder) as store:
        check_kept(store)
        assert store.verify().ok
    assert [found_in(folder, secret) for secret in secrets] == [set()] * 5


def test_an_earlier_plain_delete_and_what_updates_replaced_go_too(folder):
    """Deleted by another program, without secure_delete; and replaced, not deleted."""
    plain, replaced = Secret(1), Secret(2)
    with TraceStore(folder) as store:
        memory_id = plain.store(store)
        changed = replaced.store(store)
        fill(store)
    edit(
        folder,
        "PRAGMA foreign_keys = ON",
        "PRAGMA secure_delete = OFF",
        f"DELETE FROM memories WHERE memory_id = {memory_id}",
    )
    assert found_in(folder, plain)
    with TraceStore(folder) as store:
        with store.transaction() as transaction:
            transaction.update_memory(MemoryRecord(changed, None, "plain", "{}"))
            transaction.delete_keys(changed, ["cue"])
        assert store.erase().is_complete
        assert found_in(folder, plain) == found_in(folder, replaced) == set()
        assert store.memories([changed])[changed].text == "plain"


def test_what_is_deleted_is_overwritten_at_once(folder, monkeypatch):
    """Without erasing: the log aside, the file itself holds zeros where the deleted memory was."""

    def connect(uri, plain=connection._connect):
        made = plain(uri)
        made.execute("PRAGMA secure_delete = OFF")  # as most builds of SQLite have it; Debian's has it on
        return made

    monkeypatch.setattr(connection, "_connect", connect)
    secret = Secret(1)
    with TraceStore(folder) as store:
        memory_id = secret.store(store)
    assert found_in(folder, secret) == {"truth.sqlite3"}
    with TraceStore(folder) as store:
        delete(store, memory_id)
    assert found_in(folder, secret) == set()


def test_backups_are_removed_and_named(tmp_path):
    folder = tmp_path / "old"
    shutil.copytree(GOLDEN / "store-v1" / "hashing", folder)
    with TraceStore(folder, use_tables=TURN_TABLES, use_migrations=TURN_MIGRATIONS) as store:
        forgotten = store.memories([2])[2].text.encode()
        (folder / "truth.sqlite3.repair-1.backup.part").write_bytes(forgotten)
        (folder / "quarantine-1.jsonl").write_text("{}\n")
        delete(store, 2)
        erased = store.erase()
        assert erased.removed_files == ("truth.sqlite3.repair-1.backup.part", "truth.sqlite3.v1.backup")
        assert erased.kept_files == ("quarantine-1.jsonl",)
        assert erased.is_complete
        assert not [path for path in folder.iterdir() if path.is_file() and forgotten in path.read_bytes()]


READER = """
import sys
from hmem_fast.store import TraceStore
with TraceStore(sys.argv[1], mode="r") as store:
    with store.snapshot() as connection:
        print(store.count(), flush=True)
        sys.stdin.readline()
        print(store.count(), flush=True)
    print(store.count(), flush=True)
    sys.stdin.readline()
"""


def test_a_reader_in_the_middle_of_something_is_told_of_and_a_second_call_finishes(folder):
    secret = Secret(1)
    with TraceStore(folder) as store:
        memory_id = secret.store(store)
        reader = subprocess.Popen(
            [sys.executable, "-c", READER, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        try:
            assert reader.stdout.readline() == "1\n"
            delete(store, memory_id)
            erased = store.erase(wait_seconds=0.3)
            assert not erased.is_complete
            assert "a reader" in erased.remaining[0]
            assert found_in(folder, secret)
            add(store, "the writer goes on")
            reader.stdin.write("\n")
            assert reader.stdout.readline() == "1\n", "the reader still sees its moment"
            assert reader.stdout.readline() == "1\n"
            # It is still open, but in the middle of nothing.
            assert store.erase(wait_seconds=30).is_complete
            assert found_in(folder, secret) == set()
        finally:
            reader.communicate("\n")
        assert reader.returncode == 0
        assert store.erase().is_complete


def test_a_reader_that_is_done_soon_is_waited_for(folder):
    secret = Secret(1)
    with TraceStore(folder) as store:
        memory_id = secret.store(store)
        code = READER.replace("sys.stdin.readline()\n        print", "__import__('time').sleep(0.5)\n        print", 1)
        reader = subprocess.Popen(
            [sys.executable, "-c", code, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        try:
            assert reader.stdout.readline() == "1\n"
            delete(store, memory_id)
            assert store.erase(wait_seconds=60).is_complete
            assert found_in(folder, secret) == set()
        finally:
            reader.communicate("\n")


@needs_fork
def test_a_disk_that_is_full_loses_nothing(folder):
    resource = pytest.importorskip("resource")
    with TraceStore(folder) as store:
        fill(store)
        delete(store, *store.memory_ids()[:1])

    def with_little_room():
        size = (folder / "truth.sqlite3").stat().st_size
        store = TraceStore(folder)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2))
        with pytest.raises(StoreIOError):
            store.erase()
        os._exit(0)

    assert in_child(with_little_room) == 0
    with TraceStore(folder) as store:
        assert store.count() == 59
        assert store.verify().ok
        assert store.erase().is_complete


@needs_fork
def test_killed_in_the_middle_nothing_is_lost_and_the_next_call_finishes(folder):
    """The process dies after a few steps of SQLite's, some more, and so on, until it comes through."""
    secret = Secret(1)
    with TraceStore(folder, durability="process") as store:
        fill(store)
        memory_id = secret.store(store)
        delete(store, memory_id)
        kept = store.changes_since(0)

    def erase_and_die(after):
        store = TraceStore(folder, durability="process")
        store._writer._connection.set_progress_handler(lambda: os.kill(os.getpid(), signal.SIGKILL), after)
        store.erase()

    kills = 0
    for after in range(20, 1_000_000, 40):
        if in_child(lambda after=after: erase_and_die(after)) == 0:
            break
        kills += 1
        with TraceStore(folder) as store:
            check_kept(store)
            assert store.verify().ok
            assert store.changes_since(0) == kept
    assert kills > 5
    with TraceStore(folder) as store:
        assert store.erase().is_complete
    assert found_in(folder, secret) == set()


def test_in_memory_there_is_nothing_but_pages(folder):
    with TraceStore(None) as store:
        delete(store, Secret(1, words=3000).store(store))
        erased = store.erase()
        assert erased.is_complete
        assert erased.bytes_after < erased.bytes_before


def test_it_stands_outside_of_transactions_and_needs_a_writer(folder):
    with TraceStore(folder) as store:
        with pytest.raises(InvalidValueError, match="inside a transaction"), store.transaction():
            store.erase()
        with TraceStore(folder, mode="r") as reader, pytest.raises(ReadOnlyError):
            reader.erase()
        assert store.erase().is_complete


def test_ids_and_changes_go_on_after_erasing(folder):
    with TraceStore(folder) as store:
        first = add(store, "a")
        seen = store.changes_since(0)
        delete(store, first)
        store.erase()
        second = add(store, "b")
        assert second > first
        change = store.changes_since(seen.change_seq, seen.stamp)
        assert (change.put, change.removed, change.restart) == ((second,), (first,), False)
        assert ask(folder, "SELECT count(*) FROM changes") == [(3,)]
        assert np.array_equal(store.memory_ids(), [second])
