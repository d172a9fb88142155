"""The life of a memory: opening, closing, readers beside a writer, threads beside each other."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing

import pytest

from hmem_fast.errors import (
    ClosedError,
    ReadOnlyError,
    StoreCorruptError,
    StoreNotFoundError,
)
from hmem_fast.memory import Memory
from strategies import TALK


class TestLife:
    def test_closed_is_closed(self, tmp_path):
        memory = Memory.open(tmp_path / "m", encoder="hashing")
        memory.close()
        memory.close()
        for use in (lambda: memory.store("x"), lambda: memory.recall("x"), lambda: len(memory), memory.info):
            with pytest.raises(ClosedError):
                use()

    def test_reading_needs_a_store(self, tmp_path):
        with pytest.raises(StoreNotFoundError):
            Memory.open(tmp_path / "none", mode="r")
        assert not (tmp_path / "none").exists()

    @pytest.mark.parametrize(
        ("change", "complaint"),
        [("UPDATE memories SET text = 'other'", "checksum"), ("DELETE FROM turns", "turns is missing")],
    )
    def test_a_file_edited_by_hand_is_noticed(self, tmp_path, change, complaint):
        with Memory.open(tmp_path / "m", encoder="hashing") as memory:
            memory_id = memory.store("Bees dance.")
            with closing(sqlite3.connect(tmp_path / "m" / "truth.sqlite3")) as file, file:
                file.execute(change)
            for read in (lambda: memory.recall("bees"), lambda: memory.get(memory_id)):
                with pytest.raises(StoreCorruptError, match=f"memory {memory_id}: .*{complaint}"):
                    read()

    def test_a_reader_follows_the_writer_and_cannot_write(self, tmp_path):
        with Memory.open(tmp_path / "m", encoder="hashing") as writer, Memory.open(tmp_path / "m", mode="r") as reader:
            assert list(reader.recall("bees")) == []
            ids = writer.store_many(TALK)
            assert reader.recall("bees", k=1)[0].id == ids[4]
            writer.forget(ids[4])
            assert ids[4] not in [hit.id for hit in reader.recall("bees", k=9)]
            for write in (
                lambda: reader.store("x"),
                lambda: reader.forget(ids[0]),
                lambda: reader.update(ids[0], text="x"),
            ):
                with pytest.raises(ReadOnlyError):
                    write()

    def test_closing_beside_recalls_is_told_and_crashes_nothing(self, tmp_path):
        for _ in range(5):
            memory = Memory.open(tmp_path / "m", encoder="hashing")
            memory.store_many(TALK)
            ended = []

            def ask(memory=memory, ended=ended):
                try:
                    while True:
                        memory.recall("bees", k=50)
                except ClosedError:
                    ended.append("told")

            threads = [threading.Thread(target=ask) for _ in range(2)]
            for thread in threads:
                thread.start()
            memory.close()
            for thread in threads:
                thread.join()
            assert ended == ["told", "told"]

    def test_recalls_beside_changes_find_only_what_fits(self, tmp_path):
        with Memory.open(tmp_path / "m", encoder="hashing", durability="none") as memory:
            ids = memory.store_many(
                {"text": f"note {i} about bees", "speaker": f"s{i % 3}", "session": "s"} for i in range(60)
            )
            done = threading.Event()
            errors = []

            def ask(options):
                try:
                    while not done.is_set():
                        for hit in memory.recall("a note about bees", k=30, **options):
                            assert hit.speaker == "s1" or "where" not in options
                except BaseException as error:  # noqa: BLE001 - handed to the main thread
                    errors.append(error)

            asked = [{"where": {"speaker": "s1"}}, {"explain": True}, {"pipeline": "hopfield"}]
            threads = [threading.Thread(target=ask, args=(options,)) for options in asked]
            for thread in threads:
                thread.start()
            for turn, memory_id in enumerate(ids * 3):
                memory.update(memory_id, speaker=f"s{turn % 3}", text=f"note {turn} about bees")
            memory.forget(ids)
            done.set()
            for thread in threads:
                thread.join()
            assert errors == []

    def test_info_tells_what_is_held(self, talk):
        info = talk.info()
        assert (info.memories, info.sessions, info.speakers) == (6, 2, ("Ann", "Ben"))
        assert info.encoder == "hashing"
        assert info.keys > 6
        assert info.disk_bytes > 0
        assert info.index_bytes > 0

    def test_repr_tells_the_essentials(self, talk):
        assert "memories=6" in repr(talk)
        assert "hashing" in repr(talk)

    def test_threads_store_forget_and_recall_at_once(self, memory):
        errors = []

        def work(number):
            try:
                for i in range(15):
                    memory_id = memory.store(f"note {i} of thread {number} about bees", session=str(number))
                    hits = memory.recall("bees", k=5)
                    assert all("bees" in hit.text for hit in hits)
                    if i % 3 == 0:
                        memory.forget(memory_id)
            except BaseException as error:  # noqa: BLE001 - handed to the main thread
                errors.append(error)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert len(memory) == 4 * 10
