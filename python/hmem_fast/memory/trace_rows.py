"""What the index takes of a memory, read back from the truth or as the writer has it at hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

from hmem_fast.errors import StoreCorruptError
from hmem_fast.memory import turn_table
from hmem_fast.memory.keys import KeyRecipe, with_speaker
from hmem_fast.store import TraceStore

__all__ = ["TraceRows", "join_rows", "read_rows", "words_of"]

Window = Iterable[tuple[str | None, str]]


class TraceRows(NamedTuple):
    """Keys, words and speakers of some memories, by ascending id."""

    memory_ids: Sequence[int]
    n_keys: Sequence[int]
    """How many keys each memory has."""
    key_ids: Sequence[int]
    """Of all keys, memory by memory."""
    vectors: Sequence[bytes]
    """(dim,) float32, little-endian, for each key."""
    texts: Sequence[str]
    """The words by which each memory is found."""
    speakers: Sequence[str | None]


def words_of(window: Window, cues: Iterable[str]) -> str:
    """Join what a memory is found by in words: the last turns of its session up to itself, and its cues."""
    return "\n".join([*(with_speaker(*turn) for turn in window), *cues])


def read_rows(store: TraceStore, memory_ids: Iterable[int], recipe: KeyRecipe, dim: int) -> TraceRows:
    """Read memories from the truth, as they are at one moment; ids that are not there are left out.

    Raises
    ------
    StoreCorruptError
        If a key does not match its checksum, or is not `dim` wide.
    """
    with store.snapshot() as connection:
        turns = turn_table.read(connection, memory_ids)
        there = sorted(turns)
        windows = turn_table.windows(connection, there, recipe.window_turns)
        keys = store.keys(there)
    live = [key for key in keys if key.vector is not None]
    for key in live:
        if key.vector is not None and len(key.vector) != 4 * dim:
            raise StoreCorruptError(f"key {key.key_id}: wanted {dim} numbers, got {len(key.vector)} bytes")
    n_keys = Counter(key.memory_id for key in live)
    cues: dict[int, list[str]] = {}
    for key in keys:
        if key.kind == "cue" and key.text is not None:
            cues.setdefault(key.memory_id, []).append(key.text)
    return TraceRows(
        memory_ids=there,
        n_keys=[n_keys[memory_id] for memory_id in there],
        key_ids=[key.key_id for key in live],
        vectors=[key.vector for key in live if key.vector is not None],
        texts=[words_of(windows[memory_id], cues.get(memory_id, ())) for memory_id in there],
        speakers=[turns[memory_id].speaker for memory_id in there],
    )


def join_rows(parts: Sequence[TraceRows]) -> TraceRows:
    """Put rows of several writes together; the ids of each part are above those of the one before it."""
    return TraceRows(*(list(chain.from_iterable(column)) for column in zip(*parts, strict=True)))
