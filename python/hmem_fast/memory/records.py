"""Reading memories back from the truth."""

from __future__ import annotations

from collections.abc import Iterable

from hmem_fast.memory import turn_table
from hmem_fast.memory.result import Hit, Record
from hmem_fast.memory.turn import from_seconds
from hmem_fast.memory.turn_table import TurnRow
from hmem_fast.store import TraceStore
from hmem_fast.store.record import MemoryRecord, load_metadata

__all__ = ["read_records", "to_hit"]


def read_records(store: TraceStore, memory_ids: Iterable[int]) -> dict[int, Record]:
    """Read memories by id, as they are at one moment; ids that are not there are left out."""
    memory_ids = list(memory_ids)
    with store.snapshot() as connection:
        found = turn_table.read_with_memories(connection, memory_ids)
        cues: dict[int, list[str]] = {}
        for memory_id, cue in store.key_texts(memory_ids, "cue"):
            cues.setdefault(memory_id, []).append(cue)
    return {
        memory_id: Record(
            id=memory_id,
            text=memory.text,
            speaker=turn.speaker,
            session=turn.session,
            time=None if turn.time is None else from_seconds(turn.time),
            metadata=load_metadata(memory.metadata),
            external_id=memory.external_id,
            cues=tuple(cues.get(memory_id, ())),
            unkeyed=turn.unkeyed,
        )
        for memory_id, (memory, turn) in found.items()
    }


def to_hit(memory: MemoryRecord, turn: TurnRow, score: float) -> Hit:
    """Give a memory that was recalled."""
    return Hit(
        id=memory.memory_id,
        text=memory.text,
        score=score,
        speaker=turn.speaker,
        session=turn.session,
        time=None if turn.time is None else from_seconds(turn.time),
        metadata=load_metadata(memory.metadata),
        external_id=memory.external_id,
    )
