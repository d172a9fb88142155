"""What is purged is in no file any more, whoever has it open."""

from __future__ import annotations

import sqlite3
import sys

import numpy as np
import pytest

from hmem_fast.errors import SnapshotWarning, StoreIOError, UnknownIdError
from memories import ENCODER, InAProcess, answers, files, items, open_memory, rebuilt


@pytest.fixture
def path(tmp_path):
    return tmp_path / "störe #1"


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

    def test_a_speaker_who_said_nothing_else_is_in_no_file_either(self, path):
        with open_memory(path) as memory:
            memory.store_many(items(80))
            memory.store("Bees again.", speaker="Zuleika Dobson")
            memory.store_many(items(80, first=80))
            memory.flush()
            assert b"Zuleika" in b"".join(files(path, "snapshot-").values())
            assert memory.purge(81).is_complete
            assert not [file for file in path.iterdir() if b"zuleika" in file.read_bytes().lower()]
            found, people = answers(memory), memory.info().speakers
        with open_memory(path, "r") as memory:
            assert answers(memory) == found
            assert memory.info().speakers == people == ("Ann", "Ben")

    def test_what_was_forgotten_before_goes_too(self, stored):
        with open_memory(stored) as memory:
            memory.forget([81, 82])
            memory.flush()
        with open_memory(stored) as memory:
            assert memory.purge([81, 82]).is_complete
        assert not self.found_in(stored)

    def test_an_id_that_was_never_given_is_refused_and_nothing_happens(self, stored):
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
