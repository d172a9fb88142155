"""Snapshots of a memory: what is opened from them, when they are written, and what happens when they are wrong."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import warnings

import numpy as np
import pytest

import hmem_fast.memory.saver as saver
from hmem_fast.encode import HashingEncoder
from hmem_fast.errors import ReadOnlyError, SnapshotWarning
from hmem_fast.memory import Memory

ENCODER = HashingEncoder(64)
QUESTIONS = ["What did Ann say of bees?", "number 7", "the roof of Ben"]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "störe #1"


def open_memory(path, mode="w"):
    return Memory.open(path, encoder=ENCODER, mode=mode, durability="none")


def items(n, first=0):
    return [
        {
            "text": f"Number {i} has bees. And {i % 7} on the roof?",
            "speaker": ("Ann", "Ben", None)[i % 3],
            "session": ("s", "t", None)[i % 5 % 3],
        }
        for i in range(first, first + n)
    ]


def answers(memory):
    return [
        [(hit.id, hit.score) for hit in memory.recall(question, k=50, pipeline=pipeline)]
        for question in QUESTIONS
        for pipeline in ("default", "bm25", "nearest")
    ]


def files(path, prefix=""):
    return {
        file.name: file.read_bytes()
        for file in path.iterdir()
        if file.name.startswith((prefix,) if prefix else ("snapshot-", "vectors-"))
    }


def without_snapshots(path):
    for name in files(path):
        (path / name).unlink()
    return path


def rebuilt(path, tmp_path):
    """What a memory answers that knows the truth alone."""
    copy = tmp_path / "copy"
    shutil.copytree(path, copy)
    with open_memory(without_snapshots(copy), "r") as memory:
        found = answers(memory)
    shutil.rmtree(copy)
    return found


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
        original = __import__("hmem_fast.memory.live_index", fromlist=["read_rows"]).read_rows

        def noting(store, memory_ids, *rest):
            read.extend(memory_ids)
            return original(store, memory_ids, *rest)

        monkeypatch.setattr("hmem_fast.memory.live_index.read_rows", noting)
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
        from threading import Event

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
        from hmem_fast.errors import StoreIOError

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
        from hmem_fast.errors import StoreIOError

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
        from hmem_fast.errors import StoreIOError

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


class TestPurge:
    SECRET = "Wortbcfhjk is the name of the seal that Ann hid."

    def found_in(self, path):
        raw = np.float32(1).tobytes()  # whatever it is, it is in no text
        vector = ENCODER.encode([self.SECRET])[0]
        pieces = [self.SECRET.encode(), b"wortbcfhjk", b"Wortbcfhjk", b"outside-7", b"zebrafinch"]
        pieces += [vector.astype("<f4").tobytes()[i : i + 16] for i in range(0, vector.nbytes - 16, 16)]
        pieces = [piece for piece in pieces if piece.count(0) < len(piece) - 4 and piece != raw]
        return sorted(
            {name for name, data in files(path, "t").items() | files(path).items() for p in pieces if p in data}
        )

    @pytest.fixture
    def stored(self, path):
        with open_memory(path) as memory:
            memory.store_many(items(80))
            memory.store("Did you hear of Wortbcfhjk, zebrafinch?", session="x", speaker="Ben")
            memory.store(
                self.SECRET, session="x", speaker="Ann", external_id="outside-7", metadata={"bird": "zebrafinch"}
            )
            memory.store("Of the seal? Yes.", session="x", speaker="Ben")
            memory.store_many(items(80, first=80))
            memory.flush()
        assert len(self.found_in(path)) >= 2, "the search finds what is there"
        return path

    def test_nothing_is_left_in_any_file(self, stored, tmp_path):
        with open_memory(stored) as memory:
            purged = memory.purge([81, 82])
            assert purged.is_complete
            assert (purged.ids, purged.renewed, purged.remaining) == ((81, 82), (83,), ())
            assert not self.found_in(stored)
            found = answers(memory)
        assert not self.found_in(stored)
        assert found == rebuilt(stored, tmp_path)
        with open_memory(stored, "r") as memory:
            assert answers(memory) == found
            assert 81 not in memory
            assert 82 not in memory

    def test_what_was_forgotten_before_goes_too(self, stored):
        with open_memory(stored) as memory:
            memory.forget([81, 82])
            memory.flush()
        with open_memory(stored) as memory:
            assert memory.purge([81, 82]).is_complete
        assert not self.found_in(stored)

    def test_an_id_that_was_never_given_is_refused_and_nothing_happens(self, stored):
        from hmem_fast.errors import UnknownIdError

        with open_memory(stored) as memory:
            with pytest.raises(UnknownIdError, match="there never was"):
                memory.purge([82, 10_000])
            assert 82 in memory

    def test_a_reader_that_has_it_open_is_named_and_lets_go(self, stored):
        with InAProcess(stored) as reader, open_memory(stored) as memory:
            purged = memory.purge([81, 82])
            assert len(purged.held) == 1
            if sys.platform == "linux":
                assert purged.readers == (reader.pid,)
            assert not self.found_in(stored)
            reader.stdin.write("ask\n")
            reader.stdin.flush()
            assert reader.stdout.readline() == "160 found\n"
            assert memory._index.snapshots.readers() == ()

    def test_a_purge_that_was_cut_short_is_finished_by_the_next_writer(self, stored, monkeypatch):
        memory = open_memory(stored)

        def interrupted(*_, **__):
            raise KeyboardInterrupt

        monkeypatch.setattr("hmem_fast.memory.upkeep.finish_purge", interrupted)
        with pytest.raises(KeyboardInterrupt):
            memory.purge([81, 82])
        memory._store.close()
        monkeypatch.undo()
        assert self.found_in(stored)
        with open_memory(stored) as memory:
            assert 82 not in memory
        assert not self.found_in(stored)
        connection = sqlite3.connect(stored / "truth.sqlite3")
        assert connection.execute("SELECT value FROM properties WHERE name = 'purge_pending'").fetchone() == ("false",)
        connection.close()

    def test_without_room_for_a_new_snapshot_there_is_none(self, stored, monkeypatch):
        from hmem_fast.errors import StoreIOError

        def full(*args, **kwargs):
            raise StoreIOError("no space left")

        with open_memory(stored) as memory:
            monkeypatch.setattr(type(memory._index.snapshots), "write", full)
            with pytest.warns(SnapshotWarning, match="no space left"):
                assert memory.purge([81, 82]).is_complete
            assert not self.found_in(stored)
            assert not files(stored)
            monkeypatch.undo()
            memory.flush()
            found = answers(memory)
        with open_memory(stored, "r") as memory:
            assert answers(memory) == found

    def test_a_reader_lets_go_even_where_there_is_no_new_snapshot(self, stored, monkeypatch):
        from hmem_fast.errors import StoreIOError

        def full(*args, **kwargs):
            raise StoreIOError("no space left")

        with InAProcess(stored) as reader, open_memory(stored) as memory:
            monkeypatch.setattr(type(memory._index.snapshots), "write", full)
            with pytest.warns(SnapshotWarning, match="no space left"):
                purged = memory.purge([81, 82])
            assert purged.is_complete
            if sys.platform == "linux":
                assert purged.readers == (reader.pid,)
            for _ in range(2):
                reader.stdin.write("ask\n")
                reader.stdin.flush()
                assert reader.stdout.readline() == "160 found\n"
            assert memory._index.snapshots.readers() == ()
            with open_memory(stored, "r") as fresh:
                assert answers(fresh) == answers(memory)
            monkeypatch.undo()

    def test_a_plan_says_what_would_go(self, stored):
        with open_memory(stored) as memory:
            plan = memory.plan_forget(82)
            assert (plan.ids, plan.links, plan.renewed) == ((82,), 0, (83,))
            assert plan.keys == len(memory._store.keys([82]))
            assert 82 in memory

    def test_in_memory(self):
        with open_memory(":memory:") as memory:
            (memory_id,) = memory.store_many(items(1))
            assert memory.purge(memory_id).is_complete
            assert not memory.recall("bees")


class InAProcess:
    """A reader in another process, which has the memory open and answers when it is asked."""

    SCRIPT = """
import sys
from hmem_fast.encode import HashingEncoder
from hmem_fast.memory import Memory
memory = Memory.open(sys.argv[1], encoder=HashingEncoder(64), mode="r")
print("open", flush=True)
for line in sys.stdin:
    print(len(memory.recall("bees", k=1000, pipeline="bm25")), "found", flush=True)
"""

    def __init__(self, path):
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.SCRIPT, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout.readline() == "open\n"

    def __enter__(self):
        return self.process

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()
