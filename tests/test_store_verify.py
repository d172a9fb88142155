"""Damage is found, told and taken out; what is well stays as it is."""

from __future__ import annotations

import base64
import json
import shutil
import sqlite3
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hmem_fast.errors import HmemError, InvalidValueError, ReadOnlyError, StoreCorruptError
from hmem_fast.memory import turn_table
from hmem_fast.memory.turn_table import TURN_TABLES, TurnRow
from hmem_fast.store import NewLink, Repaired, TraceStore, durable_file
from hmem_fast.store.record import KeyRecord, MemoryRecord
from stores import a_key, add, ask, die_at_statement, edit, in_child, needs_fork


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def filled(folder):
    """Ten memories with two keys each, of width 3, in two links."""
    with TraceStore(folder, use_tables=TURN_TABLES) as store:
        store.set_properties({"dim": 3})
        for i in range(10):
            memory_id = add(
                store, f"memory {i}", keys=[a_key(i), a_key(-i % 7)], external_id=f"x{i}", metadata=f'{{"i":{i}}}'
            )
            with store.transaction() as transaction:
                turn_table.insert(transaction.connection, [TurnRow(memory_id, "Ann", "s", i, None, 0)])
        with store.transaction() as transaction:
            transaction.put_links([NewLink(1, 2, "link", 1.0), NewLink(5, 6, "link", 1.0)])
    return folder


def reseal_key(folder, key_id, **fields):
    """Change a key and its checksum with it."""
    (row,) = ask(folder, f"SELECT key_id, memory_id, kind, text, vector, producer FROM keys WHERE key_id = {key_id}")
    record = KeyRecord(*row)._replace(**fields)
    edit(
        folder,
        f"DELETE FROM keys WHERE key_id = {key_id}",
        ("INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, ?)", (*tuple(record), record.checksum())),
    )


def found(folder):
    with TraceStore(folder, mode="r") as store:
        return [(p.kind, p.table, p.id) for p in store.verify().problems]


#: What is done to the file, and what is found then.
DAMAGES = {
    "text": ("UPDATE memories SET text = 'other' WHERE memory_id = 3", [("checksum", "memories", 3)]),
    "invalid UTF-8": (
        "UPDATE memories SET text = CAST(x'6162ff63' AS TEXT) WHERE memory_id = 3",
        [("checksum", "memories", 3)],
    ),
    "no text": ("UPDATE memories SET text = 17.5 WHERE memory_id = 3", [("checksum", "memories", 3)]),
    "external id": ("UPDATE memories SET external_id = NULL WHERE memory_id = 3", [("checksum", "memories", 3)]),
    "checksum": ("UPDATE memories SET checksum = 'none' WHERE memory_id = 3", [("checksum", "memories", 3)]),
    "vector": ("UPDATE keys SET vector = zeroblob(12) WHERE key_id = 4", [("checksum", "keys", 4)]),
    "vector gone": ("UPDATE keys SET vector = NULL WHERE key_id = 4", [("checksum", "keys", 4)]),
    "two keys": (
        "UPDATE keys SET kind = 'turn' WHERE key_id IN (4, 7)",
        [("checksum", "keys", 4), ("checksum", "keys", 7)],
    ),
    "a link to nowhere": (
        "UPDATE links SET target = 99 WHERE link_id = 2",
        [("checksum", "links", 2), ("reference", "links", 2)],
    ),
    "a link": ("UPDATE links SET kind = CAST(kind AS BLOB) WHERE link_id = 2", [("checksum", "links", 2)]),
    "a turn of nobody": (
        "UPDATE turns SET memory_id = 77 WHERE memory_id = 4",
        [("checksum", "turns", 77), ("reference", "turns", 77)],
    ),
    "property": ("UPDATE properties SET value = '{' WHERE name = 'dim'", [("property", "properties", None)]),
}


class TestVerify:
    def test_a_store_that_is_well(self, filled):
        with TraceStore(filled, mode="r") as store:
            heard = []
            verified = store.verify(progress=lambda done, total: heard.append((done, total)))
            assert verified.ok
            assert verified.problems == ()
            assert (verified.memories, verified.keys, verified.links, verified.changes) == (10, 20, 2, 12)
            assert heard == [(30, 30)]

    def test_an_empty_store_and_one_in_memory_are_well(self, folder):
        with TraceStore(folder) as store, TraceStore(None) as in_memory:
            add(in_memory, "a")
            assert store.verify().ok
            assert in_memory.verify().ok

    @pytest.mark.parametrize("name", DAMAGES)
    def test_damage_is_found_and_named(self, filled, name):
        statement, expected = DAMAGES[name]
        edit(filled, statement)
        assert found(filled) == expected
        with TraceStore(filled, mode="r") as store:
            for problem in store.verify().problems:
                assert problem.text
                assert problem.id is None or str(problem.id) in problem.text

    def test_a_vector_of_another_width(self, filled):
        reseal_key(filled, 5, vector=b"\0" * 16)
        assert found(filled) == [("width", "keys", 5)]
        edit(filled, "DELETE FROM properties WHERE name = 'dim'")
        assert found(filled) == [], "without a width there is nothing to compare with"

    @pytest.mark.parametrize("metadata", ["[1]", "{", "", '"text"'])
    def test_metadata_that_is_no_object(self, filled, metadata):
        record = MemoryRecord(3, "x2", "memory 2", metadata)
        edit(
            filled,
            ("UPDATE memories SET metadata = ?, checksum = ? WHERE memory_id = 3", (metadata, record.checksum())),
        )
        assert found(filled) == [("metadata", "memories", 3)]

    def test_a_key_of_nobody(self, filled):
        reseal_key(filled, 5, memory_id=99)
        assert found(filled) == [("reference", "keys", 5)]

    def test_an_index_that_does_not_fit_its_table(self, filled):
        break_index(filled)
        problems = found(filled)
        assert problems
        assert {kind for kind, _, _ in problems} == {"file"}

    @given(at=st.integers(0), byte=st.integers(1, 255))
    def test_no_flipped_byte_is_harmful_and_unnoticed(self, at, byte, tmp_path_factory):
        """Either something is told, or everything that is read is what was written."""
        folder = tmp_path_factory.mktemp("flipped") / "store"
        with TraceStore(folder) as store:
            store.set_properties({"dim": 3})
            for i in range(8):
                add(store, f"memory {i}", external_id=f"x{i}", keys=[a_key(i)])
            ids = store.memory_ids()
            written = store.memories(ids), store.keys(ids)
        file = folder / "truth.sqlite3"
        content = bytearray(file.read_bytes())
        content[at % len(content)] ^= byte
        file.write_bytes(content)
        try:
            with TraceStore(folder, mode="r") as store:
                told = not store.verify().ok
                read = store.memories(store.memory_ids()), store.keys(store.memory_ids())
        except (HmemError, sqlite3.DatabaseError):
            return  # refused, or raised where it is read
        assert told or read == written


def test_a_declaration_of_bytes_is_damage(filled, folder):
    edit(
        folder,
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET sql = CAST(sql AS BLOB) WHERE name = 'links_by_target'",
    )
    with pytest.raises(StoreCorruptError, match="missing, or declared otherwise"), TraceStore(folder, mode="r"):
        pass


def break_index(folder):
    """Make the index of external ids lie, by the trick of declaring it otherwise for a moment."""
    edit(
        folder,
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET sql = 'CREATE INDEX keys_by_memory ON keys (memory_id, key_id) WHERE key_id > 1000' "
        "WHERE name = 'keys_by_memory'",
    )
    edit(folder, "REINDEX keys_by_memory")
    edit(
        folder,
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET sql = 'CREATE INDEX keys_by_memory ON keys (memory_id, key_id)' "
        "WHERE name = 'keys_by_memory'",
    )


def quarantined(folder, name):
    return [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").splitlines()]


class TestRepair:
    def test_where_all_is_well_nothing_happens(self, filled):
        before = sorted(path.name for path in filled.iterdir())
        with TraceStore(filled) as store:
            seq = store.change_seq()
            assert store.repair() == Repaired()
            assert store.change_seq() == seq
        assert sorted(path.name for path in filled.iterdir()) == before

    def test_damaged_keys_leave_and_their_memories_are_named(self, filled):
        lost = ask(filled, "SELECT * FROM keys WHERE key_id = 4")[0]
        edit(filled, "UPDATE keys SET kind = 'turn' WHERE key_id IN (4, 7)")
        reseal_key(filled, 5, vector=b"\xff" * 16)
        with TraceStore(filled) as store:
            seen = store.changes_since(0)
            repaired = store.repair()
            assert repaired.dropped_keys == (4, 5, 7)
            assert repaired.stale == (2, 3, 4)
            assert repaired.damaged_memories == ()
            assert repaired.problems == ()
            assert store.changes_since(seen.change_seq, seen.stamp).put == (2, 3, 4)
            assert [key.key_id for key in store.keys([2, 3, 4])] == [3, 6, 8]
            assert store.count() == 10
            assert store.verify().ok
        rows = quarantined(filled, repaired.quarantine)
        assert [(row["table"], row["row"]["key_id"]) for row in rows] == [("keys", 4), ("keys", 5), ("keys", 7)]
        assert rows[0]["row"]["text"] == lost[3]
        assert base64.b64decode(rows[0]["row"]["vector"]["base64"]) == lost[4]

    @pytest.mark.parametrize("drop", [False, True])
    def test_damaged_memories_go_only_when_that_is_asked_for(self, filled, drop):
        edit(filled, "UPDATE memories SET text = CAST(x'6162ff63' AS TEXT) WHERE memory_id = 5")
        with TraceStore(filled) as store:
            with pytest.raises(StoreCorruptError):
                store.memories([5])
            seq = store.change_seq()
            repaired = store.repair(drop=drop)
            assert repaired.damaged_memories == (5,)
            assert bool(repaired.problems) != drop
            assert store.count() == (9 if drop else 10)
            assert store.changes_since(seq).removed == ((5,) if drop else ())
            assert ask(filled, "SELECT count(*) FROM links") == [(1 if drop else 2,)]
            assert store.verify().ok == drop
        rows = quarantined(filled, repaired.quarantine)
        assert [row["table"] for row in rows] == ["memories", "keys", "keys"]
        assert base64.b64decode(rows[0]["row"]["text"]["base64"]) == b"ab\xffc"
        assert rows[0]["row"]["external_id"] == "x4"

    def test_the_source_of_a_damaged_link_is_told_of(self, filled):
        edit(filled, DAMAGES["a link"][0])
        with TraceStore(filled) as store:
            seq = store.change_seq()
            assert store.repair().problems == ()
            change = store.changes_since(seq)
            assert (change.put, change.removed, change.linked) == ((), (), (5,))
            assert [link[1:3] for link in store.links()] == [(1, 2)]

    def test_what_belongs_to_nobody_leaves(self, filled):
        reseal_key(filled, 5, memory_id=99)
        edit(filled, DAMAGES["a link to nowhere"][0], DAMAGES["a turn of nobody"][0])
        edit(filled, "UPDATE keys SET memory_id = 98 WHERE key_id = 9")  # damaged as well, and told of once
        with TraceStore(filled) as store:
            repaired = store.repair()
            assert repaired.problems == ()
            assert repaired.dropped_keys == (9,)
            assert repaired.stale == ()
            assert store.verify().ok
            assert len(store.keys(store.memory_ids())) == 18
        assert sorted(row["table"] for row in quarantined(filled, repaired.quarantine)) == [
            "keys",
            "keys",
            "links",
            "turns",
        ]
        assert ask(filled, "SELECT source, target FROM links") == [(1, 2)]
        assert ask(filled, "SELECT count(*) FROM turns") == [(9,)]

    def test_indexes_are_built_anew(self, filled):
        break_index(filled)
        with TraceStore(filled) as store:
            assert store.keys([3]) == []
            repaired = store.repair()
            assert repaired == Repaired(backup="truth.sqlite3.repair-1.backup")
            assert [key.key_id for key in store.keys([3])] == [5, 6]
            assert store.verify().ok

    def test_the_copy_is_the_store_as_it_was(self, filled, tmp_path):
        edit(filled, DAMAGES["text"][0])
        dump = [ask(filled, f"SELECT * FROM {table}") for table in ("memories", "keys", "changes", "turns")]
        with TraceStore(filled) as store:
            first = store.repair()
            second = store.repair(drop=True)
        assert (first.backup, second.backup) == ("truth.sqlite3.repair-1.backup", "truth.sqlite3.repair-2.backup")
        assert (first.quarantine, second.quarantine) == ("quarantine-1.jsonl", "quarantine-2.jsonl")
        saved = tmp_path / "saved"
        saved.mkdir()
        (filled / first.backup).rename(saved / "truth.sqlite3")
        assert [ask(saved, f"SELECT * FROM {table}") for table in ("memories", "keys", "changes", "turns")] == dump

    @pytest.mark.parametrize("flushes", [0, 1, 2, 3], ids=["copy", "its name", "quarantine", "its name too"])
    def test_a_repair_that_fails_changes_nothing(self, filled, monkeypatch, flushes):
        """The disk is full when the copy or the quarantine file is to be brought to it."""
        edit(filled, DAMAGES["two keys"][0])
        before = ask(filled, "SELECT * FROM keys")
        left = [flushes]

        def full(_):
            if left[0] == 0:
                raise OSError(28, "No space left on device")
            left[0] -= 1

        with TraceStore(filled) as store:
            with monkeypatch.context() as patched:
                patched.setattr(durable_file, "_flush", full)
                with pytest.raises(OSError, match="No space"):
                    store.repair()
            assert ask(filled, "SELECT * FROM keys") == before
            assert not list(filled.glob("*.part"))
            assert store.repair().dropped_keys == (4, 7)

    @needs_fork
    def test_killed_at_any_statement_it_is_repaired_or_not(self, filled, tmp_path):
        edit(filled, DAMAGES["two keys"][0], DAMAGES["text"][0])
        damaged = ask(filled, "SELECT * FROM keys")
        repaired_keys = [row for row in damaged if row[0] not in (4, 7)]

        def repair_and_die(folder, at):
            die_at_statement(at)
            TraceStore(folder).repair()

        states = []
        for n in range(1000):
            folder = tmp_path / str(n)
            shutil.copytree(filled, folder)
            if in_child(lambda folder=folder, n=n: repair_and_die(folder, n)) == 0:
                break
            states.append(ask(folder, "SELECT * FROM keys"))
            assert states[-1] in (damaged, repaired_keys)
            if states[-1] == repaired_keys:
                assert len(quarantined(folder, "quarantine-1.jsonl")) == 5
            with TraceStore(folder) as store:
                store.repair()
            assert ask(folder, "SELECT * FROM keys") == repaired_keys
        assert damaged in states

    def test_a_file_that_sqlite_cannot_read_is_left_alone(self, filled):
        ((root,),) = ask(filled, "SELECT rootpage FROM sqlite_master WHERE name = 'keys'")
        ((page,),) = ask(filled, "PRAGMA page_size")
        content = bytearray((filled / "truth.sqlite3").read_bytes())
        content[(root - 1) * page : root * page] = b"\xab" * page
        (filled / "truth.sqlite3").write_bytes(content)
        with TraceStore(filled) as store:
            problems = store.verify().problems
            assert ("file", "keys") in [(p.kind, p.table) for p in problems]
            with pytest.raises(StoreCorruptError):
                store.repair(drop=True)
            assert store.count() == 10
        assert zlib.crc32((filled / "truth.sqlite3").read_bytes()) == zlib.crc32(content)

    def test_it_needs_a_writer_and_a_file(self, filled):
        with TraceStore(filled, mode="r") as reader, pytest.raises(ReadOnlyError):
            reader.repair()
        with TraceStore(None) as store, pytest.raises(InvalidValueError, match="in memory"):
            store.repair()

    @given(st.sets(st.sampled_from(sorted(DAMAGES)), min_size=1), st.booleans())
    def test_any_mixture_of_damage(self, tmp_path_factory, names, drop):
        folder = tmp_path_factory.mktemp("mixture") / "store"
        with TraceStore(folder, use_tables=TURN_TABLES) as store:
            store.set_properties({"dim": 3})
            for i in range(10):
                memory_id = add(store, f"memory {i}", keys=[a_key(i), a_key(i)], external_id=f"x{i}")
                with store.transaction() as transaction:
                    turn_table.insert(transaction.connection, [TurnRow(memory_id, None, None, 0, None, 0)])
        edit(folder, *(DAMAGES[name][0] for name in sorted(names)))
        with TraceStore(folder) as store:
            before = store.verify().problems
            repaired = store.repair(drop=drop)
            left = [p for p in before if p.kind == "property" or (p.table == "memories" and not drop)]
            assert list(repaired.problems) == list(store.verify().problems) == left
            whole = [i for i in store.memory_ids() if i not in repaired.damaged_memories]
            assert np.array_equal(sorted(store.memories(whole)), whole)
            assert set(repaired.stale) <= set(store.memory_ids())
