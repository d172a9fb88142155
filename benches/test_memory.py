"""How long storing and recalling take at 1,000 and 20,000 memories; every answer is checked.

The hashing encoder stands in for a model, so that the memory is timed and not the encoder.
"""

from __future__ import annotations

import itertools
import zlib

import numpy as np
import pytest

from benches.peers.real_rows import encoded
from hmem_fast.errors import HmemError
from hmem_fast.evaluate.data_folder import data_folder
from hmem_fast.evaluate.texts import read_texts, sentences
from hmem_fast.memory import Memory

SIZES = [1_000, 20_000]


def items(texts, size):
    """Conversations of ten turns between two speakers."""
    return [
        {"text": text, "session": str(i // 10), "speaker": ("Ann", "Ben")[i % 2]} for i, text in enumerate(texts[:size])
    ]


@pytest.fixture(scope="module", params=SIZES)
def memory(request, texts, tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / str(request.param)
    with Memory.open(path, encoder="hashing", durability="none") as memory:
        memory.store_many(items(texts, request.param))
        yield memory


@pytest.mark.parametrize("pipeline", ["default", "nearest", "bm25", "hopfield"])
def test_recall(benchmark, memory, texts, pipeline):
    wanted = texts[777]
    assert benchmark(memory.recall, wanted, k=10, pipeline=pipeline)[0].text == wanted


def test_recall_with_a_filter(benchmark, memory, texts):
    hits = benchmark(memory.recall, texts[777], k=10, where={"speaker": "Ben", "session": [str(i) for i in range(90)]})
    assert hits[0].text == texts[777]
    assert {hit.speaker for hit in hits} == {"Ben"}


def test_recall_of_a_ready_vector(benchmark, memory, texts):
    from hmem_fast.encode import HashingEncoder

    vector = HashingEncoder().encode([texts[777]])[0]
    assert benchmark(memory.recall, vector, k=10)[0].text == texts[777]


class Clustered:
    """Vectors that lie as those of sentences do: around topics, around texts within a topic; one text, one vector."""

    dim = 384
    space_id = "clustered"
    producer = "clustered"

    def encode(self, texts):
        """Give unit vectors."""
        rows = []
        for text in texts:
            centre, own = (np.random.default_rng(zlib.crc32(part.encode())) for part in (text[:7], text))
            rows.append(centre.standard_normal(self.dim) + 1.2 * own.standard_normal(self.dim) + 0.3)
        vectors = np.array(rows, dtype=np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def memory_of_many_keys(texts):
    """20,000 memories with three keys each, and a ready question."""
    with Memory.open(":memory:", encoder=Clustered()) as memory:
        memory.store_many({**item, "cues": [f"{item['text']}?", f"{item['text']}!"]} for item in items(texts, 20_000))
        assert memory.info().keys >= 60_000
        yield memory


def test_recall_of_many_keys(benchmark, memory_of_many_keys, texts):
    vector = Clustered().encode([texts[777]])[0]
    assert benchmark(memory_of_many_keys.recall, vector, k=10)[0].text == texts[777]


class LookedUp:
    """Vectors of texts that were encoded before; a text that was not takes the vector of another."""

    dim = 384
    space_id = "looked-up"
    producer = "looked-up"

    def __init__(self, texts, vectors):
        self._row_of = {text: row for row, text in enumerate(texts)}
        self._vectors = vectors

    def encode(self, texts):
        """Look vectors up."""
        return self._vectors[[self._row_of.get(text, zlib.crc32(text.encode()) % len(self._row_of)) for text in texts]]


@pytest.fixture(scope="module")
def memory_of_real_keys():
    """20,000 memories under three sentences each that follow each other, and texts to ask with, some of each source.

    The vectors are MiniLM's. They come from the cache of `benches.peers`, where making them takes minutes.
    """
    try:
        texts, _ = read_texts(data_folder())
        encoder = LookedUp(texts, encoded(texts))
    except (FileNotFoundError, HmemError) as missing:
        pytest.skip(f"no vectors of real texts: {missing}")
    alone = [text for text in texts if sentences(text) == [text]]
    kept = [text for i, text in enumerate(alone) if i % 200][:60_000]
    with Memory.open(":memory:", encoder=encoder) as memory:
        memory.store_many(
            {"text": a, "cues": [b, c]} for a, b, c in zip(kept[::3], kept[1::3], kept[2::3], strict=True)
        )
        assert len(memory) == 20_000
        assert memory.info().keys >= 60_000
        yield memory, encoder, kept, alone[::200]


@pytest.mark.parametrize("kind", ["vector", "text"])
def test_recall_of_many_real_keys(benchmark, memory_of_real_keys, kind):
    """Each call asks something else, so that no part of the memory is at hand because it was just read.

    A text's encoding is a look-up, so what is timed is all of a recall but the encoder.
    """
    memory, encoder, kept, questions = memory_of_real_keys
    vectors = encoder.encode(questions)
    asked = itertools.cycle(vectors if kind == "vector" else questions)
    benchmark.pedantic(lambda: memory.recall(next(asked), k=10), rounds=len(questions), iterations=1, warmup_rounds=20)
    nearest = memory.recall(vectors[0], k=10, pipeline="nearest")
    best = (encoder.encode(kept) @ vectors[0]).reshape(-1, 3).max(axis=1).argsort()[::-1][:10]
    assert {hit.text for hit in nearest} == {kept[3 * row] for row in best}
    assert memory.recall(kept[999] if kind == "text" else encoder.encode([kept[999]])[0], k=1)[0].text == kept[999]


def test_store_one_more(benchmark, memory, texts):
    new = iter(range(10**9))
    memory_id = benchmark(lambda: memory.store(f"{texts[-1]} number {next(new)}", session="bench", speaker="Ann"))
    assert memory.get(memory_id).text.startswith(texts[-1])


@pytest.mark.parametrize("size", SIZES)
def test_store_many(benchmark, texts, tmp_path, size):
    paths = (tmp_path / str(i) for i in range(100))

    def fill():
        with Memory.open(next(paths), encoder="hashing") as memory:
            return len(memory.store_many(items(texts, size)))

    assert benchmark.pedantic(fill, rounds=3) == size


@pytest.mark.parametrize("size", SIZES)
def test_open(benchmark, texts, tmp_path, size):
    with Memory.open(tmp_path / "m", encoder="hashing", durability="none") as memory:
        memory.store_many(items(texts, size))

    def opened():
        with Memory.open(tmp_path / "m", mode="r") as memory:
            return len(memory)

    assert benchmark.pedantic(opened, rounds=3) == size
