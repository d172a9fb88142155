"""Damage is found and named, and mended as far as anything can."""

from __future__ import annotations

import json
from contextlib import suppress

import numpy as np
import pytest

from hmem_fast.errors import InvalidValueError, ReadOnlyError, StoreCorruptError, StoreNotFoundError
from hmem_fast.memory import Memory, repair_memory, verify_memory
from hmem_fast.memory.turn_table import TurnRow
from hmem_fast.memory.writer import Writer
from hmem_fast.store import KeyRecord, MemoryRecord
from strategies import TALK
from transfers import FragileEncoder, answers, ask, contents, edit


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "m"
    with Memory.open(path, encoder="hashing:16") as memory:
        memory.store_many(TALK)
        memory.store("Acme moved.", cues=["Who moved?"])
        memory.link(1, 2, 0.5)
    return path


@pytest.fixture
def sound(folder):
    """What the memory answers while it is sound."""
    with Memory.open(folder, mode="r") as memory:
        return answers(memory)


def problems(found):
    return {(problem.kind, problem.table, problem.id) for problem in found.problems}


@pytest.mark.parametrize("mode", ["r", "w"])
def test_a_sound_memory_has_no_problem(folder, mode):
    calls = []
    with Memory.open(folder, mode=mode) as memory:
        found = memory.verify(progress=lambda *call: calls.append(call))
    assert found.ok
    assert found == verify_memory(folder)
    assert (found.memories, found.links, found.changes) == (7, 1, 8)
    assert found.keys == len(ask(folder, "SELECT 1 FROM keys"))
    assert calls[-1] == (7, 7)


def test_a_memory_in_ram_can_be_verified_and_not_repaired(talk):
    assert talk.verify().ok
    if talk.info().path is None:
        with pytest.raises(InvalidValueError, match="memory"):
            talk.repair()


def test_verifying_goes_on_beside_writes(folder):
    with Memory.open(folder) as memory, Memory.open(folder, mode="r") as reader:
        for one in (memory, reader):
            assert one.verify(progress=lambda *_: memory.store("meanwhile Acme", speaker="Cy")).ok


# The truth

DAMAGE = {
    "text": ("UPDATE memories SET text = 'x' WHERE memory_id = 2", ("checksum", "memories", 2)),
    "metadata": ("UPDATE memories SET metadata = '[' WHERE memory_id = 2", ("checksum", "memories", 2)),
    "vector": ("UPDATE keys SET vector = zeroblob(64) WHERE key_id = 3", ("checksum", "keys", 3)),
    "width": ("UPDATE keys SET vector = zeroblob(7) WHERE key_id = 3", ("checksum", "keys", 3)),
    "key's memory": ("UPDATE keys SET memory_id = 99 WHERE key_id = 3", ("reference", "keys", 3)),
    "turn": ("DELETE FROM turns WHERE memory_id = 2", ("reference", "turns", 2)),
    "speaker": ("UPDATE turns SET speaker = 'Zed' WHERE memory_id = 2", ("checksum", "turns", 2)),
    "turn of nothing": ("INSERT INTO turns VALUES (99, NULL, NULL, 0, NULL, 0, 0)", ("reference", "turns", 99)),
    "link": ("INSERT INTO links VALUES (7, 1, 99, 'link', 1, 0)", ("reference", "links", 7)),
    "weight of a link": ("UPDATE links SET weight = 2", ("checksum", "links", 1)),
    "dim": ("UPDATE properties SET value = '{' WHERE name = 'dim'", ("property", "properties", None)),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_named(folder, name):
    statement, problem = DAMAGE[name]
    edit(folder, statement)
    found = verify_memory(folder)
    assert problem in problems(found)
    assert not found.ok


@pytest.mark.parametrize("name", sorted(DAMAGE.keys() - {"dim"}))
def test_damage_is_mended(folder, sound, name):
    statement, (_, table, row_id) = DAMAGE[name]
    edit(folder, statement)
    before = ask(folder, "SELECT * FROM memories ORDER BY memory_id")
    repaired = repair_memory(folder, drop=True)
    assert repaired.ok
    assert verify_memory(folder).ok
    there = [record for record in before if record[0] not in repaired.dropped]
    assert ask(folder, "SELECT * FROM memories ORDER BY memory_id") == there
    if table == "memories":
        assert repaired.dropped == (row_id,)
    if table == "turns" and row_id == 2:
        assert repaired.restored_turns == (2,)
        with Memory.open(folder) as memory:
            assert (memory.get(2).speaker, memory.get(2).session) == (None, None)
    if table == "keys" and name != "key's memory":  # then nobody knows any more whose it was
        assert repaired.dropped_keys == (row_id,)
        assert len(repaired.renewed) == 1
    if name in {"vector", "width", "turn of nothing", "link", "weight of a link"}:
        with Memory.open(folder) as memory:
            ours = answers(memory)
        assert [[hit for hit, _ in asked] for asked in ours] == [[hit for hit, _ in asked] for asked in sound]
        scores = [[score for _, score in asked] for asked in ours]
        assert scores == [pytest.approx([score for _, score in asked], rel=1e-12) for asked in sound]
    if repaired.backup is not None:
        assert (folder / repaired.backup).exists()


def test_a_dropped_memory_leaves_its_neighbours_as_if_it_had_never_been(folder, tmp_path):
    edit(folder, "UPDATE memories SET text = 'Who?' WHERE memory_id = 3")
    kept = repair_memory(folder)
    assert (kept.damaged, kept.dropped, kept.ok) == ((3,), (), False)
    with Memory.open(folder) as memory, pytest.raises(StoreCorruptError, match="memory 3"):
        memory.get(3)
    assert repair_memory(folder, drop=True).dropped == (3,)
    with Memory.open(folder) as memory, Memory.open(tmp_path / "pure", encoder="hashing:16") as pure:
        pure.store_many(record.to_item() for record in memory)
        ids = [record.id for record in memory]
        for ours, theirs in zip(answers(memory), answers(pure), strict=True):
            assert [ids.index(hit) + 1 for hit, _ in ours] == [hit for hit, _ in theirs]
            # Sums run over ids, and these are others.
            assert [score for _, score in ours] == pytest.approx([score for _, score in theirs], rel=1e-12)
    lines = [json.loads(line) for line in (folder / "quarantine-1.jsonl").read_text().splitlines()]
    assert {"Who?"} == {line["row"]["text"] for line in lines if line["table"] == "memories"}


def test_lost_keys_wait_for_an_encoder_that_is_not_at_hand(tmp_path):
    encoder = FragileEncoder(16)
    with Memory.open(tmp_path / "m", encoder=encoder) as memory:
        memory.store_many(TALK)
        sound = answers(memory)
        edit(tmp_path / "m", "UPDATE keys SET vector = zeroblob(64) WHERE memory_id IN (2, 5)")
        encoder.broken = True
        repaired = memory.repair()
        assert repaired.renewed == repaired.stale == (2, 5)
        assert repaired.ok
        assert memory.info().stale_keys > 0
        encoder.broken = False
        assert memory.renew() == 2
        ours = answers(memory)
    assert [[hit for hit, _ in asked] for asked in ours] == [[hit for hit, _ in asked] for asked in sound]


def test_ready_vectors_that_are_lost_are_told(tmp_path):
    with Memory.open(tmp_path / "m", encoder=None, dim=3) as memory:
        memory.store_many({"text": f"bees {i}", "vector": np.eye(3)[i]} for i in range(3))
        edit(tmp_path / "m", "UPDATE keys SET vector = zeroblob(12) WHERE key_id = 2")
        repaired = memory.repair()
        assert repaired.without_vectors == (2,)
        assert (repaired.renewed, repaired.stale) == ((), ())
        assert memory.recall("bees", k=5, pipeline="bm25")[1].id == 2
        memory.update(2, vector=np.eye(3)[1])
        assert memory.recall(np.eye(3)[1], k=1)[0].id == 2


def test_a_repair_that_was_cut_short_is_finished_by_the_next(folder, sound, monkeypatch):
    edit(folder, "UPDATE keys SET vector = zeroblob(64) WHERE memory_id = 2")

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Writer, "make_keys", interrupted)
        with pytest.raises(KeyboardInterrupt):
            repair_memory(folder)
    assert repair_memory(folder).renewed == (2,)
    with Memory.open(folder) as memory:
        assert [[hit for hit, _ in asked] for asked in answers(memory)] == [[h for h, _ in asked] for asked in sound]
    assert repair_memory(folder).renewed == ()


def test_what_cannot_be_mended_is_left_alone(folder, tmp_path):
    edit(folder, DAMAGE["dim"][0])
    before = (folder / "truth.sqlite3").read_bytes()
    with pytest.raises(StoreCorruptError, match="property"):
        repair_memory(folder)
    assert (folder / "truth.sqlite3").read_bytes() == before
    for act in (verify_memory, repair_memory):
        with pytest.raises(StoreNotFoundError):
            act(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_a_file_whose_structure_is_damaged_is_told(folder):
    file = folder / "truth.sqlite3"
    raw = bytearray(file.read_bytes())
    raw[4096 * 2 : 4096 * 6] = b"\xab" * (4096 * 4)
    file.write_bytes(raw)
    with suppress(StoreCorruptError):
        found = verify_memory(folder)
        assert "file" in {problem.kind for problem in found.problems}
    with pytest.raises(StoreCorruptError):
        repair_memory(folder)


def test_a_reader_repairs_nothing(folder):
    with Memory.open(folder, mode="r") as memory, pytest.raises(ReadOnlyError):
        memory.repair()


# The index


def rewritten(memory_id, text):
    record = MemoryRecord(memory_id, None, text, "{}")
    return ("UPDATE memories SET text = ?, checksum = ? WHERE memory_id = ?", (text, record.checksum(), memory_id))


def other_vector(folder, key_id):
    (row,) = ask(folder, f"SELECT key_id, memory_id, kind, text, vector, producer FROM keys WHERE key_id = {key_id}")
    vector = np.roll(np.frombuffer(row[4], "<f4"), 1).tobytes()
    record = KeyRecord(*row)._replace(vector=vector)
    return ("UPDATE keys SET vector = ?, checksum = ? WHERE key_id = ?", (vector, record.checksum(), key_id))


def said_by(folder, memory_id, speaker):
    columns = "memory_id, speaker, session, seq, time, unkeyed"
    (row,) = ask(folder, f"SELECT {columns} FROM turns WHERE memory_id = {memory_id}")
    checksum = TurnRow(*row)._replace(speaker=speaker).checksum()
    return ("UPDATE turns SET speaker = ?, checksum = ? WHERE memory_id = ?", (speaker, checksum, memory_id))


UNSEEN = {
    "words": lambda _: rewritten(7, "Zebra crossing."),
    "speaker": lambda folder: said_by(folder, 7, None),
    "another speaker": lambda folder: said_by(folder, 7, "Cy"),
    "vector": lambda folder: other_vector(
        folder, ask(folder, "SELECT min(key_id) FROM keys WHERE memory_id = 7")[0][0]
    ),
    "key": lambda _: "DELETE FROM keys WHERE memory_id = 7 AND kind <> 'cue'",
}


@pytest.mark.parametrize("name", ["words", "speaker", "another speaker", "vector", "key"])
def test_an_index_that_is_not_what_the_truth_makes_of_it_is_found_and_made_anew(tmp_path, name):
    folder = tmp_path / "m"
    with Memory.open(folder, encoder="hashing:16") as memory:
        memory.store_many([*TALK, {"text": "Acme moved.", "speaker": "Dee", "cues": ["Who moved?"]}])
        assert memory.verify().ok
        edit(folder, UNSEEN[name](folder))  # sound rows, and nothing in the change log
        assert ("index", None, 7) in problems(memory.verify())
        assert memory.repair().ok
        assert memory.verify().ok
        with Memory.open(folder, mode="r") as fresh:
            assert answers(memory) == answers(fresh)


def test_memories_that_only_the_index_or_only_the_truth_has_are_found(folder):
    with Memory.open(folder) as memory:
        memory.recall("Acme")
        edit(
            folder,
            "PRAGMA foreign_keys = ON",
            "DELETE FROM memories WHERE memory_id = 6",
            (
                "INSERT INTO memories VALUES (20, NULL, 'new', '{}', ?)",
                (MemoryRecord(20, None, "new", "{}").checksum(),),
            ),
            (
                "INSERT INTO turns VALUES (20, NULL, NULL, 0, NULL, 0, ?)",
                (TurnRow(20, None, None, 0, None, 0).checksum(),),
            ),
        )
        assert {("index", None, 6), ("index", None, 20)} <= problems(memory.verify())
        memory.repair()
        assert memory.verify().ok


def test_a_snapshot_is_compared_with_the_truth(tmp_path):
    folder = tmp_path / "m"
    with Memory.open(folder, encoder="hashing:16") as memory:
        memory.store_many(TALK)
        memory.flush()
    assert memory_files(folder, "snapshot-*")
    edit(folder, rewritten(5, "Zebra crossing."))
    assert ("index", None, 5) in problems(verify_memory(folder))
    assert repair_memory(folder).ok
    assert verify_memory(folder).ok


def test_a_damaged_snapshot_is_a_problem_and_repair_takes_it_away(tmp_path):
    folder = tmp_path / "m"
    with Memory.open(folder, encoder="hashing:16") as memory:
        memory.store_many(TALK)
        memory.flush()
    for file in memory_files(folder, "snapshot-*"):
        raw = bytearray(file.read_bytes())
        raw[len(raw) // 2] ^= 0xFF
        file.write_bytes(raw)
    assert ("index", None, None) in problems(verify_memory(folder))
    before = contents(folder)
    assert repair_memory(folder).ok
    assert verify_memory(folder).ok
    assert contents(folder) == before


def memory_files(folder, pattern):
    return sorted(folder.glob(pattern))
