"""What is searched: the dense keys, the words and the speakers of all memories up to one change of the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hmem_fast.core import TraceIndex
from hmem_fast.memory.speakers import Speakers
from hmem_fast.memory.trace_rows import TraceRows

__all__ = ["DERIVED_VERSION", "Derived", "Frozen"]

#: Raised whenever the same truth would come out otherwise: other words, other keys, other codes.
DERIVED_VERSION = 1


class Frozen(NamedTuple):
    """What was searched at one moment."""

    traces: TraceIndex
    speakers: bytes
    change_seq: int
    stamp: int
    n_unsaved: int


class Derived:
    """An index with its speakers, and how far it has followed. One thread changes it, any number search it."""

    def __init__(self, traces: TraceIndex, speakers: Speakers | None = None) -> None:
        self.traces = traces
        self.speakers = speakers or Speakers()
        #: The last change of the log that is in it, and the stamp that stands beside that change.
        self.change_seq = 0
        self.stamp = 0
        #: Keys that were put in or taken out since it was opened from a snapshot, or given to one.
        self.n_unsaved = 0
        #: The snapshot it was opened from.
        self.generation: int | None = None

    def put(self, rows: TraceRows) -> None:
        """Put memories in, replacing those that are there."""
        if not rows.memory_ids:
            return
        memory_ids = np.array(rows.memory_ids, dtype=np.int64)
        n_keys = len(rows.vectors)
        vectors = np.frombuffer(b"".join(rows.vectors), dtype="<f4").reshape(n_keys, self.traces.dim)
        self.traces.put(
            memory_ids,
            np.cumsum([0, *rows.n_keys], dtype=np.int64),
            np.array(rows.key_ids, dtype=np.int64),
            vectors.astype(np.float32, copy=False),
            rows.texts,
        )
        self.speakers.put(memory_ids, rows.speakers)
        self.n_unsaved += max(n_keys, len(memory_ids))

    def remove(self, memory_ids: Sequence[int]) -> None:
        """Take memories out; those that are not there are passed over."""
        known = np.array([memory_id for memory_id in memory_ids if memory_id in self.traces], dtype=np.int64)
        if len(known):
            self.traces.remove(known)
            self.speakers.remove(known)
            self.n_unsaved += len(known)

    def frozen(self) -> Frozen:
        """Give it as it is now, and count what is unsaved anew."""
        frozen = Frozen(self.traces.copy(), self.speakers.to_bytes(), self.change_seq, self.stamp, self.n_unsaved)
        self.n_unsaved = 0
        return frozen
