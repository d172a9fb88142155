"""The searchable form of a memory, which follows the truth."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from hmem_fast.core import TraceIndex
from hmem_fast.memory import turn_table
from hmem_fast.memory.keys import KeyRecipe, with_speaker
from hmem_fast.memory.name import Participants
from hmem_fast.store import TraceStore
from hmem_fast.store.record import load_vector
from hmem_fast.types import FloatArray, IdArray

__all__ = ["LiveIndex"]

#: Memories that are read from the truth at a time.
_CHUNK = 4096


class LiveIndex:
    """Dense keys and words of all memories, and who said what.

    `catch_up` is the only way in: opening, a writer after its commit, and a reader's refresh all come through it. So
    what is found is a function of the truth alone, and never of how it came to be.
    """

    def __init__(self, store: TraceStore, recipe: KeyRecipe, dim: int) -> None:
        self.traces = TraceIndex(dim, analyzer=recipe.analyzer)
        self._store = store
        self._recipe = recipe
        self._dim = dim
        #: The distinct speakers. Replaced, never changed: searches may be reading it.
        self.participants = Participants()
        #: Whether a write ended before the index followed it.
        self.is_behind = False
        self._speaker_of: dict[int, str] = {}
        self._turns_by_speaker: Counter[str] = Counter()
        self._change_seq = 0
        self._data_version = -1
        self._catching_up = threading.Lock()

    def __len__(self) -> int:
        return len(self.traces)

    @property
    def change_seq(self) -> int:
        """The last change that is in the index."""
        return self._change_seq

    def spoken_by(self, memory_ids: IdArray, names: Collection[str]) -> NDArray[np.float64]:
        """Say for each memory whether one of these participants said it: 1 or 0."""
        if not names:
            return np.zeros(len(memory_ids))
        speaker_of = self._speaker_of.get
        return np.array([speaker_of(memory_id) in names for memory_id in memory_ids.tolist()], dtype=np.float64)

    def refresh(self) -> None:
        """Catch up if another process has committed since the last look."""
        version = self._store.data_version()
        if version != self._data_version or self.is_behind:
            self.catch_up()
            self._data_version = version

    def catch_up(self) -> None:
        """Bring the index to the current state of the truth."""
        with self._catching_up, self._store.snapshot():
            change = self._store.changes_since(self._change_seq)
            known = [memory_id for memory_id in change.removed if memory_id in self.traces]
            if known:
                self.traces.remove(np.array(known, dtype=np.int64))
            for memory_id in change.removed:
                self._set_speaker(memory_id, None)
            for start in range(0, len(change.put), _CHUNK):
                self._put(change.put[start : start + _CHUNK])
            if len(self._turns_by_speaker) != len(self.participants.names) or any(
                name not in self._turns_by_speaker for name in self.participants.names
            ):
                self.participants = Participants(self._turns_by_speaker)
            self._change_seq = change.change_seq
            self.is_behind = False

    def _put(self, memory_ids: tuple[int, ...]) -> None:
        with self._store.snapshot() as connection:
            turns = turn_table.read(connection, memory_ids)
            windows = turn_table.windows(connection, memory_ids, self._recipe.window_turns)
        keys = self._store.keys(memory_ids)
        live = [key for key in keys if key.vector is not None]
        n_keys = Counter(key.memory_id for key in live)
        cues: dict[int, list[str]] = {}
        for key in keys:
            if key.kind == "cue" and key.text is not None:
                cues.setdefault(key.memory_id, []).append(key.text)
        vectors: FloatArray = np.empty((len(live), self._dim), dtype=np.float32)
        for row, key in enumerate(live):
            assert key.vector is not None
            vectors[row] = load_vector(key.vector)
        self.traces.put(
            np.array(memory_ids, dtype=np.int64),
            np.cumsum([0, *(n_keys[memory_id] for memory_id in memory_ids)], dtype=np.int64),
            np.array([key.key_id for key in live], dtype=np.int64),
            vectors,
            [
                "\n".join([*(with_speaker(*turn) for turn in windows[memory_id]), *cues.get(memory_id, ())])
                for memory_id in memory_ids
            ],
        )
        for memory_id in memory_ids:
            self._set_speaker(memory_id, turns[memory_id].speaker)

    def _set_speaker(self, memory_id: int, speaker: str | None) -> None:
        before = self._speaker_of.pop(memory_id, None)
        if before is not None:
            self._turns_by_speaker[before] -= 1
            if not self._turns_by_speaker[before]:
                del self._turns_by_speaker[before]
        if speaker is not None:
            self._speaker_of[memory_id] = speaker
            self._turns_by_speaker[speaker] += 1
