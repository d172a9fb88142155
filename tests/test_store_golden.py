"""Stores that older versions wrote are opened, and answer as they did."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from hmem_fast.memory import Memory

GOLDEN = Path(__file__).resolve().parent / "golden"
VERSIONS = ("store-v1", "store-v2")


@pytest.fixture(params=[(version, name) for version in VERSIONS for name in ("hashing", "vectors")], ids="-".join)
def golden(request, tmp_path):
    """A copy of a store, and what it held and answered when it was made."""
    version, name = request.param
    expected = json.loads((GOLDEN / version / "expected.json").read_text(encoding="utf-8"))
    shutil.copytree(GOLDEN / version / name, tmp_path / name)
    return tmp_path / name, expected[name]


def check(memory, expected):
    records = list(memory)
    assert [record.id for record in records] == [record["id"] for record in expected["records"]]
    for record, wanted in zip(records, expected["records"], strict=True):
        time = None if record.time is None else record.time.timestamp()
        keys = [
            [key.kind, key.text, key.producer, hashlib.sha256(key.vector).hexdigest()]
            for key in memory._store.keys([record.id])
        ]
        held = {**record.to_item(), "cues": list(record.cues), "time": time, "id": record.id, "keys": keys}
        assert {name: held[name] for name in wanted} == wanted
        if record.external_id is not None:
            assert memory.id_of(record.external_id) == record.id
    for asked in expected["recalls"]:
        options = {name: value for name, value in asked.items() if name not in ("query", "hits")}
        query = asked["query"] if isinstance(asked["query"], str) else np.array(asked["query"], dtype=np.float32)
        hits = memory.recall(query, k=8, **options)
        assert [hit.id for hit in hits] == [memory_id for memory_id, _ in asked["hits"]]
        # Settling is computed in float32 since these stores were made; it was in float64.
        within = 1e-6 if options.get("pipeline") == "hopfield" else 1e-9
        scores = [score for _, score in asked["hits"]]
        assert [hit.score for hit in hits] == pytest.approx(scores, rel=within, abs=within)
    with memory._store.snapshot() as connection:
        links = connection.execute("SELECT source, target, weight FROM links").fetchall()
    assert [list(link) for link in links] == expected["links"]
    assert memory._store.change_seq() == expected["change_seq"]


def test_an_older_store_holds_and_answers_what_it_did(golden):
    folder, expected = golden
    with Memory.open(folder) as memory:
        check(memory, expected)
        with Memory.open(folder, mode="r") as reader:
            check(reader, expected)
    with Memory.open(folder) as memory:
        check(memory, expected)


def test_an_older_store_goes_on(golden):
    folder, expected = golden
    with Memory.open(folder) as memory:
        given = {"vector": np.ones(8)} if folder.name == "vectors" else {"session": "1"}
        memory_id = memory.store("Written by a newer version.", **given)
        held = [record["id"] for record in expected["records"]]
        assert memory_id > max(held)
        memory.forget(held[0])
        assert [record.id for record in memory] == [*held[1:], memory_id]
