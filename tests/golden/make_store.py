"""Made the stores in `store-v<N>/` and what they answer, with the last hmem_fast that wrote format version N.

It stands here to show what is in them, and to make those of the current format before it changes. What is there is
never made again: a newer version would write a newer format.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import numpy as np

from hmem_fast.memory import Memory
from hmem_fast.store.schema import SCHEMA_VERSION

HERE = Path(__file__).resolve().parent / f"store-v{SCHEMA_VERSION}"

TURNS = [
    {"text": "Hi Ben! How was the trip? Where did you sleep?", "speaker": "Ann", "session": "1", "time": 1700000000.0},
    {"text": "Great. We slept in a hut near the glacier.", "speaker": "Ben", "session": "1", "time": 1700000060.5},
    {"text": "I stayed home and repaired my bicycle. What did you eat?", "speaker": "Ann", "session": "1"},
    {"text": "Mostly soup and bread.", "speaker": "Ben", "session": "1", "time": 1700000180.0},
    {"text": "My sister keeps bees on the roof of her house.", "speaker": "Ben", "session": "2"},
    {
        "text": "I started at Acme as a data engineer.",
        "speaker": "Ann",
        "session": "2",
        "cues": ["Where does Ann work?", "Ann's employer"],
        "metadata": {"source": "crm", "tags": ["work", "2023"], "weight": 0.5},
        "external_id": "acme-1",
    },
    {"text": "Does the honey taste of linden? 🐝", "speaker": "Ann", "session": "2"},
    {"text": "Of chestnut, and a little of smoke.", "speaker": "Ben", "session": "2"},
    {"text": "The door code is 4711.", "metadata": {"secret": True, "none": None}, "external_id": "door"},
    {"text": "Über den Gletscher führt kein Weg.\nAber einer daneben.", "speaker": "Chloë"},
    {"text": "This will be forgotten.", "speaker": "Ann", "session": "1"},
    {"text": "So will this, in the middle of a session.", "speaker": "Ben", "session": "3"},
    {"text": "What comes after it stays.", "speaker": "Ann", "session": "3"},
    {"text": "text with a NUL \0 inside", "session": "3"},
]

QUERIES = [
    {"query": "Where was Ben in August?"},
    {"query": "Where does Ann work?", "where": {"source": "crm"}},
    {"query": "bees on the roof", "where": {"speaker": ["Ann", "Ben"], "session": "2"}},
    {"query": "hut", "where": {"time": [1700000000, 1700000100]}},
    {"query": "soup", "pipeline": "bm25"},
    {"query": "honey and smoke", "pipeline": "nearest"},
    {"query": "a way over the glacier", "pipeline": "hopfield"},
]


def make_hashing(folder: Path) -> None:
    with Memory.open(folder, encoder="hashing") as memory:
        ids = memory.store_many(TURNS)
        memory.update(ids[7], text="Of chestnut, and of smoke. Do you want a glass?", metadata={"edited": 1})
        memory.update(ids[8], external_id="front-door", cues=["How do I get in?"])
        memory.forget([ids[10], ids[11]])
        with memory._store.transaction() as transaction:
            transaction.connection.executemany(
                "INSERT INTO links VALUES (?, ?, ?)", [(ids[0], ids[1], 0.5), (ids[4], ids[6], 1.25)]
            )


def make_vectors(folder: Path) -> None:
    rows = np.random.default_rng(1).standard_normal((12, 8)).astype(np.float32)
    with Memory.open(folder, encoder=None, dim=8) as memory:
        for i, row in enumerate(rows[:9]):
            memory.store(f"point {i}", vector=row, external_id=f"p{i}", metadata={"odd": i % 2 == 1})
        several = memory.store("three ways to it", vectors=rows[9:])
        memory.update(several, vectors=rows[10:])
        memory.forget(3)


def expected(folder: Path, queries: list[dict]) -> dict:
    with Memory.open(folder, mode="r") as memory:
        records = [
            {
                **record.to_item(),
                "time": None if record.time is None else record.time.timestamp(),
                "id": record.id,
                "keys": [
                    [key.kind, key.text, key.producer, hashlib.sha256(key.vector).hexdigest()]
                    for key in memory._store.keys([record.id])
                ],
            }
            for record in memory
        ]
        recalls = []
        for asked in queries:
            query = asked["query"]
            cue = query if isinstance(query, str) else np.array(query, dtype=np.float32)
            found = memory.recall(cue, k=8, **{name: value for name, value in asked.items() if name != "query"})
            recalls.append({**asked, "hits": [[hit.id, hit.score] for hit in found]})
        with memory._store.snapshot() as connection:
            links = connection.execute("SELECT source, target, weight FROM links").fetchall()
        return {"records": records, "recalls": recalls, "links": links, "change_seq": memory._store.change_seq()}


def main() -> None:
    if HERE.exists():
        sys.exit(f"{HERE} is there already")
    answers = {}
    vector_queries = [
        {"query": row.tolist(), **options}
        for row, options in zip(
            np.random.default_rng(2).standard_normal((4, 8)).astype(np.float32),
            ({}, {"pipeline": "nearest"}, {"where": {"odd": True}}, {"pipeline": "hopfield"}),
            strict=True,
        )
    ]
    for name, make, queries in (("hashing", make_hashing, QUERIES), ("vectors", make_vectors, vector_queries)):
        folder = HERE / name
        make(folder)
        answers[name] = expected(folder, queries)
        (folder / "writer.lock").unlink()
        with closing(sqlite3.connect(folder / "truth.sqlite3")) as file:
            assert file.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    (HERE / "expected.json").write_text(json.dumps(answers, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
