"""Live equals rebuilt: whatever happened to a memory, it answers like a fresh one made from the same truth.

Snapshots are written and opened on the way, a reader follows all along, and writers end without a word, as if killed
(`crash.py` kills real ones).
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hmem_fast.encode import HashingEncoder
from hmem_fast.errors import UnknownIdError
from hmem_fast.memory import Memory, SpreadPipeline
from hmem_fast.store import Snapshots

WORDS = ["bees", "glacier", "soup", "Ann", "Ben", "bicycle", "roof", "when", "because", "Acme"]
sentences = st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(" ".join)
texts = st.lists(st.tuples(sentences, st.sampled_from(".?!")).map("".join), min_size=1, max_size=4).map(" ".join)
speakers = st.sampled_from([None, "Ann", "Ben"])
sessions = st.sampled_from([None, "s1", "s2"])
cues = st.lists(sentences, max_size=2)
picks = st.integers(0, 1 << 30)

QUERIES = ["What did Ann do?", "bees on the roof of Ben", "when glacier", "Acme"]
ENCODER = HashingEncoder(32)


class MemoryMachine(RuleBasedStateMachine):
    """Stores, changes, forgets, writes snapshots and reopens; a plain dict knows what must be there."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "m"
        self.memory = self.open()
        self.reader = self.open(mode="r")
        self.contents = {}
        self.links = {}

    def open(self, mode="w"):
        return Memory.open(self.path, encoder=ENCODER, mode=mode, durability="none")

    def teardown(self):
        self.reader.close()
        self.memory.close()
        self.folder.cleanup()

    def pick(self, number):
        return sorted(self.contents)[number % len(self.contents)]

    @rule(text=texts, speaker=speakers, session=sessions, cues=cues)
    def store(self, text, speaker, session, cues):
        memory_id = self.memory.store(text, speaker=speaker, session=session, cues=cues)
        assert memory_id > max(self.contents, default=0)
        self.contents[memory_id] = (text, speaker, session)

    @rule(items=st.lists(st.tuples(texts, speakers, sessions), max_size=6))
    def store_many(self, items):
        ids = self.memory.store_many({"text": t, "speaker": p, "session": s} for t, p, s in items)
        self.contents.update(zip(ids, items, strict=True))

    @precondition(lambda self: self.contents)
    @rule(number=picks, text=texts, speaker=speakers)
    def update(self, number, text, speaker):
        memory_id = self.pick(number)
        self.memory.update(memory_id, text=text, speaker=speaker)
        self.contents[memory_id] = (text, speaker, self.contents[memory_id][2])

    @precondition(lambda self: self.contents)
    @rule(numbers=st.lists(picks, min_size=1, max_size=3))
    def forget(self, numbers):
        gone = {self.pick(number) for number in numbers}
        self.memory.forget(gone)
        for memory_id in gone:
            del self.contents[memory_id]
        self.drop_links(gone)

    @precondition(lambda self: len(self.contents) > 1)
    @rule(pairs=st.lists(st.tuples(picks, picks), min_size=1, max_size=3), weight=st.integers(1, 9))
    def link(self, pairs, weight):
        chosen = {(self.pick(a), self.pick(b)): weight for a, b in pairs if self.pick(a) != self.pick(b)}
        self.memory.link_many((*pair, weight) for pair in chosen)
        self.links.update(chosen)

    @precondition(lambda self: self.links)
    @rule(number=picks)
    def unlink(self, number):
        pair = sorted(self.links)[number % len(self.links)]
        self.memory.unlink(*pair)
        del self.links[pair]

    def drop_links(self, gone):
        self.links = {pair: weight for pair, weight in self.links.items() if not gone & set(pair)}

    @precondition(lambda self: self.contents)
    @rule(number=picks)
    def forgetting_what_is_not_there_changes_nothing(self, number):
        with pytest.raises(UnknownIdError):
            self.memory.forget([self.pick(number), 1 << 40])

    @precondition(lambda self: self.contents)
    @rule(numbers=st.lists(picks, min_size=1, max_size=2))
    def purge(self, numbers):
        gone = {self.pick(number) for number in numbers}
        texts = [self.contents.pop(memory_id)[0] for memory_id in gone]
        self.drop_links(gone)
        assert self.memory.purge(gone).is_complete
        self.search_files_for(texts)

    def search_files_for(self, texts):
        left = "\n".join(text for text, _, _ in self.contents.values())
        for file in Path(self.path).iterdir():
            found = file.read_bytes()
            assert not [text for text in texts if text not in left and len(text) > 20 and text.encode() in found]

    @rule()
    def flush(self):
        self.memory.flush()

    @rule()
    def reopen(self):
        self.memory.close()
        self.memory = self.open()

    @rule()
    def end_without_a_word(self):
        """The store loses its writer, and the indexes that it had in memory are gone."""
        self.memory._store.close()
        self.memory = self.open()

    @rule()
    def another_reader(self):
        self.reader.close()
        self.reader = self.open(mode="r")

    @invariant()
    def holds_what_it_should(self):
        held = {record.id: (record.text, record.speaker, record.session) for record in self.memory}
        assert held == self.contents

    @invariant()
    def answers_like_a_fresh_one(self):
        with patch.object(Snapshots, "open", return_value=None), self.open(mode="r") as fresh:
            for query in QUERIES:
                for pipeline in ("default", "bm25", "nearest", SpreadPipeline(candidates=4, reached=4)):
                    rebuilt = [(hit.id, hit.score) for hit in fresh.recall(query, k=1000, pipeline=pipeline)]
                    for memory in (self.memory, self.reader):
                        live = memory.recall(query, k=1000, pipeline=pipeline)
                        assert [(hit.id, hit.score) for hit in live] == rebuilt
            assert self.memory.info().keys == fresh.info().keys

    @invariant()
    def leads_where_links_lead(self):
        for memory_id in self.contents:
            led_to = {target: weight for (source, target), weight in self.links.items() if source == memory_id}
            for memory in (self.memory, self.reader):
                chain = memory.chain(memory_id, hops=1, alternatives=len(self.contents))
                reached = {}
                for hop in chain:
                    reached = {hop.hit.id: hop.hit.score, **{other.id: other.share for other in hop.alternatives}}
                total = sum(led_to.values())
                assert reached == pytest.approx({i: weight / total for i, weight in led_to.items()}, abs=0.05)

    @invariant()
    def derived_keys_are_those_of_a_memory_that_never_knew_anything_else(self):
        """The keys of each turn, as if only what is there now had ever been stored, in this order."""
        with Memory.open(":memory:", encoder=ENCODER) as pure:
            pure.store_many(record.to_item() for record in self.memory)
            for ours, theirs in zip(self.memory, pure, strict=True):
                assert keys_of(self.memory, ours.id) == keys_of(pure, theirs.id)


def keys_of(memory, memory_id):
    keys = memory._store.keys([memory_id])
    assert all(key.vector is not None for key in keys)
    return [(key.kind, key.text, np.frombuffer(key.vector, "<f4").tolist()) for key in keys]


TestMemoryMachine = MemoryMachine.TestCase
TestMemoryMachine.settings = settings(max_examples=40, stateful_step_count=25)
