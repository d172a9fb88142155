"""The store serves any use: here one that keeps words under vectors, with a table and snapshots of its own."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from hmem_fast.core import TraceIndex
from hmem_fast.errors import SnapshotWarning
from hmem_fast.store import NewKey, Snapshots, TraceStore

DIM = 8
TABLES = (
    "CREATE TABLE words (memory_id INTEGER PRIMARY KEY REFERENCES memories ON DELETE CASCADE, word TEXT NOT NULL)",
)


class WordBook:
    """One word a vector; what is searched follows the change log, from a snapshot on where there is one."""

    def __init__(self, folder, mode="w", recipe=None):
        self.store = TraceStore(folder, mode=mode, use_tables=TABLES)
        self.snapshots = Snapshots(self.store, recipe or {"dim": DIM})
        self.n_read = 0
        opened = self.snapshots.open(TraceIndex(DIM))
        self.index, self.change_seq, self.stamp = TraceIndex(DIM), 0, 0
        if opened is not None:
            self.index, self.change_seq, self.stamp = opened.index, opened.info.change_seq, opened.info.stamp
            assert opened.extra == b"words"
        self.catch_up()

    def learn(self, word, vector):
        with self.store.transaction() as transaction:
            memory_id = transaction.insert_memory(word)
            transaction.insert_keys(memory_id, [NewKey("word", None, vector.astype("<f4").tobytes(), "test")])
            transaction.connection.execute("INSERT INTO words VALUES (?, ?)", (memory_id, word))
        return memory_id

    def catch_up(self):
        change = self.store.changes_since(self.change_seq, self.stamp)
        if change.restart:
            self.index = TraceIndex(DIM)
        known = [memory_id for memory_id in change.removed if memory_id in self.index]
        self.index.remove(np.array(known, dtype=np.int64))
        keys = self.store.keys(change.put)
        self.index.put(
            np.array([key.memory_id for key in keys], dtype=np.int64),
            np.arange(len(keys) + 1),
            np.array([key.key_id for key in keys], dtype=np.int64),
            np.array([np.frombuffer(key.vector, "<f4") for key in keys]).reshape(-1, DIM).astype(np.float32),
            ["" for _ in keys],
        )
        self.n_read += len(keys)
        self.change_seq, self.stamp = change.change_seq, change.stamp

    def save(self):
        return self.snapshots.write(self.index, change_seq=self.change_seq, stamp=self.stamp, extra=b"words")

    def recognise(self, vector):
        found = self.index.candidates(vector.astype(np.float32), None, n=1)
        with self.store.snapshot() as connection:
            query = "SELECT word FROM words WHERE memory_id = ?"
            return connection.execute(query, (int(found.ids[0]),)).fetchone()[0]


@pytest.fixture
def vectors():
    return np.random.default_rng(0).standard_normal((50, DIM))


def test_another_use_keeps_its_table_and_its_snapshots(tmp_path, vectors):
    book = WordBook(tmp_path)
    for i, vector in enumerate(vectors[:40]):
        book.learn(f"word {i}", vector)
    book.catch_up()
    info = book.save()
    assert (info.memories, info.keys, info.change_seq) == (40, 40, 40)
    with book.store.transaction() as transaction:
        transaction.delete_memory(3)
    book.learn("word 40", vectors[40])
    book.store.close()
    for mode in "rw":
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            again = WordBook(tmp_path, mode)
        assert again.n_read == 1, "only what came after the snapshot is read"
        assert len(again.index) == 40
        assert again.recognise(vectors[40]) == "word 40"
        assert again.recognise(vectors[17]) == "word 17"
        assert again.store.plan_forget([5]).key_ids == (5,)
        again.store.close()


def test_another_recipe_is_another_index(tmp_path, vectors):
    book = WordBook(tmp_path)
    book.learn("a word", vectors[0])
    book.catch_up()
    book.save()
    book.store.close()
    with pytest.warns(SnapshotWarning, match="fingerprint"):
        again = WordBook(tmp_path, recipe={"dim": DIM, "version": 2})
    assert (again.n_read, again.recognise(vectors[0])) == (1, "a word")
    again.store.close()


def test_what_is_erased_is_in_no_file_of_another_use_either(tmp_path, vectors):
    book = WordBook(tmp_path)
    for i, vector in enumerate(vectors):
        book.learn(f"secret{i:03}", vector)
    book.catch_up()
    book.save()
    with book.store.transaction() as transaction:
        transaction.delete_memory(7)
    book.catch_up()
    book.index.compact()
    assert book.store.erase().is_complete
    book.save()
    assert book.snapshots.remove_others() == []
    raw = vectors[6].astype("<f4").tobytes()
    for file in tmp_path.iterdir():
        content = file.read_bytes()
        assert b"secret006" not in content
        assert raw not in content
    assert book.recognise(vectors[7]) == "secret007"
    book.store.close()
