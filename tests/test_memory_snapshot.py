"""Snapshots of a memory: what is opened from them, when they are written, and what happens when they are wrong."""

from __future__ import annotations

import os
import warnings
from threading import Event

import numpy as np
import pytest

from hmem_fast.errors import ReadOnlyError, SnapshotWarning, StoreIOError
from hmem_fast.memory import Memory, live_index, saver
from memories import InAProcess, answers, files, items, open_memory, rebuilt, without_snapshots


@pytest.fixture
def path(tmp_path):
    return tmp_path / "störe #1"


class TestOpening:
    def test_a_snapshot_answers_as_the_truth_does(self, path, tmp_path):
        with open_memory(path) as memory:
            ids = memory.store_many(items(300))
            memory.forget(ids[5:50:3])
            memory.update(ids[70], text="Something else on the roof.", speaker="Cleo")
            memory.flush()
            found = answers(memory)
        assert files(path)
        assert rebuilt(path, tmp_path) == found
        for mode in "rw":
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                with open_memory(path, mode) as memory:
                    assert answers(memory) == found
                    assert memory.info().speakers == ("Ann", "Ben", "Cleo")

    def test_it_reads_nothing_but_what_came_after(self, path, monkeypatch):
        with open_memory(path) as memory:
            memory.store_many(items(200))
            memory.flush()
            memory.store_many(items(3, first=200))
        read = []
        original = live_index.read_rows

        def noting(store, memory_ids, *rest):
            read.extend(memory_ids)
            return original(store, memory_ids, *rest)

        monkeypatch.setattr(live_index, "read_rows", noting)
        with open_memory(path, "r") as memory:
            assert sorted(read) == [201, 202, 203]
            assert len(memory.recall("bees", k=500)) == 203

    def test_what_happened_since_is_caught_up_with(self, path, tmp_path):
        with open_memory(path) as memory:
            ids = memory.store_many(items(100))
            memory.flush()
            memory.forget(ids[:10])
            memory.store_many(items(20, first=100))
            memory.update(ids[50], text="Bees again. On the roof of Ben.")
            found = answers(memory)
        with open_memory(path, "r") as memory:
            assert answers(memory) == found == rebuilt(path, tmp_path)

    def test_an_empty_memory_has_one_too(self, path):
        with open_memory(path) as memory:
            (memory_id,) = memory.store_many(items(1))
            memory.flush()
            memory.forget(memory_id)
            memory.flush()
        with open_memory(path, "r") as memory:
            assert len(memory) == 0
            assert not memory.recall("bees")

    def test_ready_vectors_and_a_memory_without_keys(self, path):
        with Memory.open(path, encoder=None, dim=4) as memory:
            memory.store("east", vector=np.array([1.0, 0, 0, 0]))
            memory.flush()
        with Memory.open(path, mode="r") as memory:
            assert memory.recall(np.array([0.9, 0.1, 0, 0]), k=1)[0].text == "east"


class TestWriting:
    def test_nothing_is_written_twice(self, path):
        with open_memory(path) as memory:
            memory.store_many(items(100))
            memory.flush()
            before = files(path)
            memory.flush()
            assert files(path) == before
            memory.store_many(items(1, first=100))
            memory.flush()
            after = files(path)
        assert len(after.keys() & before.keys()) >= 1, "the large segment stays"
        assert after != before

    def test_closing_writes_what_is_worth_it(self, path, monkeypatch):
        with open_memory(path) as memory:
            memory.store_many(items(3))
        assert not files(path)
        with open_memory(path) as memory:
            memory.store_many(items(400, first=3))
        assert files(path)

    def test_a_long_ingest_writes_in_the_background(self, path, monkeypatch):
        monkeypatch.setattr(saver, "_MUCH", 500)
        memory = open_memory(path)
        memory.store_many(items(3000))
        memory._saver._thread.join()
        assert files(path, "snapshot-")
        found = answers(memory)
        memory._store.close()  # as if it had been killed: nothing more is written
        with open_memory(path, "r") as reader:
            assert answers(reader) == found

    def test_searches_and_writes_go_on_meanwhile(self, path, monkeypatch):
        begun, go_on = Event(), Event()
        with open_memory(path) as memory:
            memory.store_many(items(100))
            write = memory._index.snapshots.write

            def slow(*args, **kwargs):
                begun.set()
                assert go_on.wait(30)
                return write(*args, **kwargs)

            monkeypatch.setattr(memory._index.snapshots, "write", slow)
            monkeypatch.setattr(saver, "_MUCH", 10)
            memory.store("One more thing, so that it begins.")
            memory.recall("bees")
            memory.store("And one more.")
            assert begun.wait(30)
            memory_id = memory.store("Written while a snapshot is written: glacier.")
            assert memory.recall("glacier", k=1)[0].id == memory_id
            go_on.set()
        with open_memory(path, "r") as memory:
            assert memory.recall("glacier", k=1)[0].id == memory_id

    def test_a_full_disk_is_not_asked_again_with_every_memory(self, path, monkeypatch):
        tries = []

        def full(*args, **kwargs):
            tries.append(1)
            raise StoreIOError("no space left")

        monkeypatch.setattr(saver, "_MUCH", 100)
        with open_memory(path) as memory:
            snapshots = type(memory._index.snapshots)
            write = snapshots.write
            monkeypatch.setattr(snapshots, "write", full)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                memory.store_many(items(300))
                for item in items(300, first=300):
                    memory.store(**item)
                    if memory._saver._thread is not None:
                        memory._saver._thread.join()
            assert 1 <= len(tries) <= 5
            monkeypatch.setattr(snapshots, "write", write)
            memory.flush()
        with open_memory(path, "r") as memory:
            assert len(memory.recall("bees", k=1000)) == 600

    def test_a_reader_never_writes(self, path):
        with open_memory(path) as memory:
            memory.store_many(items(3))
        with open_memory(path, "r") as memory:
            answers(memory)
            with pytest.raises(ReadOnlyError):
                memory.flush()
        assert not files(path)

    def test_a_store_in_memory_has_none(self):
        with open_memory(":memory:") as memory:
            memory.store_many(items(3))
            memory.flush()

    def test_a_folder_that_takes_no_file_is_told_and_loses_nothing(self, path, monkeypatch):
        def full(*args, **kwargs):
            raise StoreIOError("no space left")

        with open_memory(path) as memory:
            memory.store_many(items(600))
            monkeypatch.setattr(type(memory._index.snapshots), "write", full)
            with pytest.raises(StoreIOError):
                memory.flush()
            assert memory._index.n_unsaved >= 600
            with pytest.warns(SnapshotWarning, match="no space left"):
                memory.close()
        with open_memory(path, "r") as memory:
            assert len(memory) == 600


class TestDamage:
    @pytest.fixture
    def stored(self, path):
        with open_memory(path) as memory:
            memory.store_many(items(300))
            memory.flush()
        return path

    @pytest.mark.parametrize("prefix", ["snapshot-", "vectors-"])
    @pytest.mark.parametrize("damage", ["flip", "cut", "empty", "gone"])
    def test_whatever_is_wrong_it_is_made_anew(self, stored, tmp_path, prefix, damage):
        name = max(files(stored, prefix))
        file = stored / name
        raw = bytearray(file.read_bytes())
        if damage == "flip":
            raw[len(raw) // 2] ^= 1
            file.write_bytes(raw)
        elif damage == "cut":
            file.write_bytes(raw[:-1])
        elif damage == "empty":
            file.write_bytes(b"")
        else:
            file.unlink()
        expected = rebuilt(stored, tmp_path)
        if (prefix, damage) == ("snapshot-", "gone"):
            with open_memory(stored, "r") as memory:
                assert answers(memory) == expected
            return
        with pytest.warns(SnapshotWarning, match="nothing is lost"), open_memory(stored, "r") as memory:
            assert answers(memory) == expected
        with pytest.warns(SnapshotWarning), open_memory(stored) as memory:
            assert answers(memory) == expected
        with warnings.catch_warnings():  # the writer has made a new one
            warnings.simplefilter("error")
            with open_memory(stored, "r") as memory:
                assert answers(memory) == expected

    def test_one_that_cannot_be_read_is_told_too(self, stored, tmp_path, monkeypatch):
        expected = rebuilt(stored, tmp_path)

        class Closed:
            def __init__(self, path, fingerprint):
                pass

            def open(self, like):
                raise StoreIOError("permission denied")

        monkeypatch.setattr("hmem_fast.store.snapshots.SnapshotFolder", Closed)
        with pytest.warns(SnapshotWarning, match="permission denied"):
            memory = open_memory(stored, "r")
        with memory:
            assert answers(memory) == expected

    def test_a_snapshot_of_another_store_is_not_used(self, stored, tmp_path):
        with open_memory(tmp_path / "other") as memory:
            memory.store("Something else.")
        for name, raw in files(stored).items():
            (tmp_path / "other" / name).write_bytes(raw)
        with pytest.warns(SnapshotWarning, match="fingerprint"), open_memory(tmp_path / "other", "r") as memory:
            assert [hit.text for hit in memory.recall("bees")] == ["Something else."]

    def test_an_older_truth_that_was_put_back_wins(self, stored, tmp_path):
        old = (stored / "truth.sqlite3").read_bytes()
        with open_memory(stored) as memory:
            memory.store_many(items(200, first=300))
            memory.flush()
        (stored / "truth.sqlite3").write_bytes(old)
        with pytest.warns(SnapshotWarning, match="older copy"):
            memory = open_memory(stored, "r")
        with memory:
            assert len(memory) == len(memory.recall("bees", k=1000)) == 300
            assert answers(memory) == rebuilt(stored, tmp_path)

    def test_another_future_of_an_older_truth_is_told_apart(self, stored, tmp_path):
        old = (stored / "truth.sqlite3").read_bytes()
        with open_memory(stored) as memory:
            memory.store("One future.")
            memory.flush()
        (stored / "truth.sqlite3").write_bytes(old)
        after = files(stored)
        with open_memory(without_snapshots(stored)) as memory:
            memory.store("Another future, of as many changes.")
        for name, raw in after.items():
            (stored / name).write_bytes(raw)
        with pytest.warns(SnapshotWarning, match="older copy"):
            memory = open_memory(stored, "r")
        with memory:
            assert memory.recall("Another future", k=1)[0].text == "Another future, of as many changes."
            assert answers(memory) == rebuilt(stored, tmp_path)


class TestReaders:
    def test_a_reader_follows_through_snapshots(self, path, tmp_path, monkeypatch):
        monkeypatch.setattr("hmem_fast.memory.live_index._MANY_OWN", 100)
        with open_memory(path) as memory:
            memory.store_many(items(50))
            memory.flush()
            with open_memory(path, "r") as reader:
                generation = reader._index._derived.generation
                for first in range(50, 650, 60):
                    memory.store_many(items(60, first=first))
                    assert answers(reader) == answers(memory)
                    memory.flush()
                memory.store("And the last.")
                assert answers(reader) == answers(memory) == rebuilt(path, tmp_path)
                assert reader._index._derived.generation > generation, "it went on from a newer snapshot"
                assert reader._index._derived.n_unsaved < 300

    def test_old_snapshots_stay_until_their_reader_is_gone(self, path):
        with open_memory(path) as memory:
            memory.store_many(items(50))
            memory.flush()
            (first,) = files(path, "snapshot-")
            with InAProcess(path) as reader:
                memory.store_many(items(50, first=50))
                memory.flush()
                assert first in files(path)
                reader.kill()
                reader.wait()
            memory.store_many(items(50, first=100))
            memory.flush()
            assert len(files(path, "snapshot-")) == 1
            assert first not in files(path)

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
    def test_a_child_does_not_write_its_parents_snapshot(self, path):
        memory = open_memory(path)
        memory.store_many(items(600))
        child = os.fork()
        if child == 0:
            memory.close()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert status == 0
        assert not files(path)
        memory.close()
        assert files(path)
