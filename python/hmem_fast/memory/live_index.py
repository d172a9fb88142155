"""The searchable form of a memory, which follows the truth."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection
from contextlib import suppress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmem_fast.core import TraceIndex
from hmem_fast.errors import HmemError
from hmem_fast.memory.keys import KeyRecipe
from hmem_fast.memory.name import Participants
from hmem_fast.memory.speakers import Speakers
from hmem_fast.memory.trace_rows import TraceRows, join_rows, read_rows
from hmem_fast.store import TraceStore
from hmem_fast.types import IdArray

__all__ = ["Added", "LiveIndex"]

#: Memories that are read from the truth, or put into the index, at a time.
_CHUNK = 4096

#: Memories that may wait to be put into the index until somebody asks it.
_MAX_WAITING = 256


class Added(NamedTuple):
    """Memories that a write has added: changes `before` + 1 to `change_seq` of the log are these and nothing else."""

    before: int
    change_seq: int
    rows: TraceRows


class LiveIndex:
    """Dense keys and words of all memories, and who said what.

    `catch_up` is the only way in: opening, a writer after its commits, and a reader's refresh all come through it, in
    the order of the change log. So what is found is a function of the truth alone, and never of how it came to be.
    """

    def __init__(self, store: TraceStore, recipe: KeyRecipe, dim: int) -> None:
        self.traces = TraceIndex(dim, analyzer=recipe.analyzer)
        self._store = store
        self._recipe = recipe
        self._dim = dim
        self._speakers = Speakers()
        self._change_seq = 0
        self._data_version = -1
        self._catching_up = threading.Lock()
        # What this process has written and the index has not followed yet. A count of writes tells whether it is
        # behind: one may come while others are followed.
        self._added: deque[Added] = deque()
        self._n_written = 0
        self._n_followed = 0
        self._last_written: int | None = None

    def __len__(self) -> int:
        return len(self.traces)

    @property
    def change_seq(self) -> int:
        """The last change that is in the index."""
        return self._change_seq

    @property
    def participants(self) -> Participants:
        """The distinct speakers."""
        return self._speakers.participants

    def spoken_by(self, memory_ids: IdArray, names: Collection[str]) -> NDArray[np.float64]:
        """Say for each memory whether one of these participants said it: 1 or 0."""
        return self._speakers.spoken_by(memory_ids, names)

    # What this process writes

    @property
    def is_behind(self) -> bool:
        """Whether this process has written something that the index has not followed yet."""
        return self._n_written != self._n_followed

    @property
    def n_waiting(self) -> int:
        """Number of writes that wait to be followed, those of `note_added` counted by memories."""
        return self._n_written - self._n_followed

    def note_added(self, added: Added) -> None:
        """Take what a write has just committed, so that it need not be read back."""
        self._added.append(added)
        self._last_written = added.change_seq
        self._n_written += len(added.rows.memory_ids)

    def note_written(self) -> None:
        """Hear that something was written, or may have been: it stands in the change log."""
        self._last_written = None
        self._n_written += 1

    # Following

    def refresh(self) -> None:
        """Catch up if this process or another one has committed since the last look."""
        version = self._store.data_version()
        if version != self._data_version or self.is_behind:
            self.catch_up()
            self._data_version = version

    def keep_up(self) -> None:
        """Catch up where much is waiting: a few memories at a time cost the index more than many together.

        What was written is written. If something is wrong here, it is told where the index is next asked for.
        """
        if self.n_waiting >= _MAX_WAITING:
            with suppress(HmemError):
                self.catch_up()

    def catch_up(self) -> None:
        """Bring the index to the current state of the truth."""
        with self._catching_up:
            n_written, last_written = self._n_written, self._last_written
            self._put_added()
            if last_written is None or last_written != self._change_seq:
                self._read_changes()
            self._n_followed = n_written

    def _put_added(self) -> None:
        """Put in what was written, as far as it follows on what is there."""
        while self._added:
            parts: list[Added] = []
            seq, n = self._change_seq, 0
            while self._added and self._added[0].before == seq and n < _CHUNK:
                parts.append(self._added.popleft())
                seq, n = parts[-1].change_seq, n + len(parts[-1].rows.memory_ids)
            if parts:
                self._put(join_rows([part.rows for part in parts]))
                self._change_seq = seq
            elif self._added[0].before > seq:
                return  # something else was written in between, and stands in the change log
            else:
                self._added.popleft()  # the change log had it already

    def _read_changes(self) -> None:
        """Do what the change log says."""
        with self._store.snapshot():
            change = self._store.changes_since(self._change_seq)
            first = read_rows(self._store, change.put[:_CHUNK], self._recipe, self._dim)
        gone = np.array(change.removed, dtype=np.int64)
        known = [memory_id for memory_id in change.removed if memory_id in self.traces]
        if known:
            self.traces.remove(np.array(known, dtype=np.int64))
        self._speakers.remove(gone)
        self._put(first)
        # What is changed meanwhile stands in the log behind `change`, and is read again.
        for start in range(_CHUNK, len(change.put), _CHUNK):
            self._put(read_rows(self._store, change.put[start : start + _CHUNK], self._recipe, self._dim))
        self._change_seq = change.change_seq
        # Nobody has written as far as this without the log knowing.
        while self._added and self._added[0].change_seq <= self._change_seq:
            self._added.popleft()

    def _put(self, rows: TraceRows) -> None:
        if rows.memory_ids:
            memory_ids = np.array(rows.memory_ids, dtype=np.int64)
            vectors = np.frombuffer(b"".join(rows.vectors), dtype="<f4").reshape(len(rows.vectors), self._dim)
            self.traces.put(
                memory_ids,
                np.cumsum([0, *rows.n_keys], dtype=np.int64),
                np.array(rows.key_ids, dtype=np.int64),
                vectors.astype(np.float32, copy=False),
                rows.texts,
            )
            self._speakers.put(memory_ids, rows.speakers)
