"""Reading memories back from the truth."""

from __future__ import annotations

from collections.abc import Sequence

from hmem_fast.memory import turn_table
from hmem_fast.memory.result import Record
from hmem_fast.memory.turn import from_seconds
from hmem_fast.store import TraceStore
from hmem_fast.store.record import load_metadata

__all__ = ["read_records"]


def read_records(store: TraceStore, memory_ids: Sequence[int], *, with_cues: bool) -> dict[int, Record]:
    """Read memories by id, as they are at one moment; ids that are not there are left out."""
    with store.snapshot() as connection:
        memories = store.memories(memory_ids)
        turns = turn_table.read(connection, memory_ids)
        cues: dict[int, list[str]] = {}
        for memory_id, cue in store.key_texts(memory_ids, "cue") if with_cues else ():
            cues.setdefault(memory_id, []).append(cue)
    return {
        memory_id: Record(
            id=memory_id,
            text=memory.text,
            speaker=turns[memory_id].speaker,
            session=turns[memory_id].session,
            time=None if (seconds := turns[memory_id].time) is None else from_seconds(seconds),
            metadata=load_metadata(memory.metadata),
            external_id=memory.external_id,
            cues=tuple(cues.get(memory_id, ())),
            unkeyed=turns[memory_id].unkeyed,
        )
        for memory_id, memory in memories.items()
    }
