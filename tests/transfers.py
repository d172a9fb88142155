"""What tests of copies and exports share."""

from __future__ import annotations

import hashlib
import json

import numpy as np

from hmem_fast.encode import HashingEncoder
from hmem_fast.memory import Memory
from stores import ask, edit
from strategies import TALK

QUERIES = ["What did Ann do?", "bees on the roof of Ben", "when glacier", "Acme", "repaired"]


class FragileEncoder(HashingEncoder):
    """Encodes, until it is broken."""

    broken = False

    def encode(self, texts):
        if self.broken:
            raise OSError("the model is gone")
        return super().encode(texts)


def make_memory(path):
    """A memory of two conversations, with links, metadata, a time, an update, and odd texts."""
    with Memory.open(path, encoder="hashing:16") as memory:
        memory.store_many(TALK)
        memory.store("Acme moved.", metadata={"ä": [1.5, None, "…"]}, time=1.25, external_id="é", cues=["Who moved?"])
        memory.update(2, text="Great, we slept in a tent. Why do you ask?")
        memory.forget(memory.store("gone"))
        memory.store("Line\nbreaks\u2028and\u0085more \x00 \U0001f41d", speaker=" ", session="")
        memory.link_many([(1, 2, 0.5), (2, 1, 1e-300)])
        memory.link_turns()
    return path


def answers(memory, vectors=()):
    """All hits and scores of some questions, by every pipeline."""
    pipelines = ("default", "nearest", "bm25") if memory.info().encoder or memory._slot.makes_keys else ("bm25",)
    asked = [(query, pipeline) for query in QUERIES for pipeline in pipelines]
    asked += [(np.asarray(vector), "nearest") for vector in vectors]
    return [
        [(hit.id, hit.score) for hit in memory.recall(query, k=1000, pipeline=pipeline)] for query, pipeline in asked
    ]


def contents(folder):
    """Every row but those of the change log, and what decides how they are searched."""
    tables = {name: sorted(ask(folder, f"SELECT * FROM {name}"), key=repr) for name in ("memories", "keys", "turns")}
    tables["links"] = ask(folder, "SELECT source, target, kind, weight FROM links ORDER BY 1, 2, 3")
    tables["given"] = ask(
        folder, "SELECT name, seq FROM sqlite_sequence WHERE name NOT IN ('changes', 'links') ORDER BY name"
    )
    named = "('encoder', 'space_id', 'dim', 'recipe')"
    tables["properties"] = ask(folder, f"SELECT name, value FROM properties WHERE name IN {named} ORDER BY name")
    return tables


def sign(folder):
    """Let the manifest of an export agree with files that were changed by hand."""
    manifest = json.loads((folder / "export.json").read_text(encoding="utf-8"))
    for name in manifest["files"]:
        raw = (folder / name).read_bytes()
        manifest["files"][name] = {"bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
    (folder / "export.json").write_text(json.dumps(manifest), encoding="utf-8")


__all__ = ["QUERIES", "FragileEncoder", "answers", "ask", "contents", "edit", "make_memory", "sign"]
