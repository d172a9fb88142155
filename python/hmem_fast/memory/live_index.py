"""The searchable form of a memory, which follows the truth."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection
from contextlib import suppress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmem_fast.core import Graph, TraceIndex
from hmem_fast.errors import HmemError
from hmem_fast.memory.derived import DERIVED_VERSION, Derived, Frozen
from hmem_fast.memory.entity_graph import EntityGraph
from hmem_fast.memory.keys import KeyRecipe
from hmem_fast.memory.link_graph import LinkGraph
from hmem_fast.memory.name import Participants
from hmem_fast.memory.speakers import Speakers
from hmem_fast.memory.trace_rows import TraceRows, join_rows, read_rows
from hmem_fast.store import Snapshots, TraceStore
from hmem_fast.types import IdArray

__all__ = ["Added", "LiveIndex"]

#: Memories that are read from the truth, or put into the index, at a time.
_CHUNK = 4096

#: Memories that may wait to be put into the index until somebody asks it.
_MAX_WAITING = 256

#: Keys of its own at which a reader looks for a newer snapshot, whose memory it shares with others.
_MANY_OWN = 8192


class Added(NamedTuple):
    """Memories that a write has added: changes `before` + 1 to `change_seq` of the log are these and nothing else."""

    before: int
    change_seq: int
    stamp: int
    rows: TraceRows


class LiveIndex:
    """Dense keys and words of all memories, and who said what.

    `catch_up` is the only way in: opening, a writer after its commits, and a reader's refresh all come through it, in
    the order of the change log. So what is found is a function of the truth alone, and never of how it came to be.
    """

    def __init__(self, store: TraceStore, recipe: KeyRecipe, dim: int) -> None:
        self._store = store
        self._recipe = recipe
        self._dim = dim
        self._derived = Derived(self._new_traces())
        made_by = {"version": DERIVED_VERSION, "dim": dim, **recipe.to_json()}
        #: None for a store in memory, which has no folder to keep them in.
        self.snapshots = None if store.path is None else Snapshots(store, made_by)
        self._entities = EntityGraph()
        self._links = LinkGraph()
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
    def traces(self) -> TraceIndex:
        """Keys and words. Hold on to it while one question is answered: it may be replaced by another."""
        return self._derived.traces

    @property
    def change_seq(self) -> int:
        """The last change that is in the index."""
        return self._derived.change_seq

    @property
    def participants(self) -> Participants:
        """The distinct speakers."""
        return self._derived.speakers.participants

    def spoken_by(self, memory_ids: IdArray, names: Collection[str]) -> NDArray[np.float64]:
        """Say for each memory whether one of these participants said it: 1 or 0."""
        return self._derived.speakers.spoken_by(memory_ids, names)

    def entities(self) -> Graph:
        """Memories and what they name, as a graph; made when it is first asked for."""
        return self._entities.follow(self._store)

    def links(self) -> Graph:
        """Memories and the links between them, as a graph; made when it is first asked for."""
        return self._links.follow(self._store)

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

    def open(self) -> None:
        """Begin with the newest snapshot, if there is one that can be used, and catch up from there."""
        self._open_snapshot()
        self.refresh()

    def refresh(self) -> None:
        """Catch up if this process or another one has committed since the last look."""
        version = self._store.data_version()
        if version != self._data_version or self.is_behind:
            if self._store.mode == "r":
                self._move()
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
            derived = self._derived
            self._put_added(derived)
            if last_written is None or last_written != derived.change_seq:
                derived = self._read_changes(derived)
            self._derived = derived
            self._n_followed = n_written

    def _put_added(self, derived: Derived) -> None:
        """Put in what was written, as far as it follows on what is there."""
        while self._added:
            parts: list[Added] = []
            seq, n = derived.change_seq, 0
            while self._added and self._added[0].before == seq and n < _CHUNK:
                parts.append(self._added.popleft())
                seq, n = parts[-1].change_seq, n + len(parts[-1].rows.memory_ids)
            if parts:
                derived.put(join_rows([part.rows for part in parts]))
                derived.change_seq, derived.stamp = seq, parts[-1].stamp
            elif self._added[0].before > seq:
                return  # something else was written in between, and stands in the change log
            else:
                self._added.popleft()  # the change log had it already

    def _read_changes(self, derived: Derived) -> Derived:
        """Do what the change log says, to `derived` or, if that belongs to another history, to a new one."""
        with self._store.snapshot():
            change = self._store.changes_since(derived.change_seq, derived.stamp)
            first = read_rows(self._store, change.put[:_CHUNK], self._recipe, self._dim)
        if change.restart:
            if self.snapshots is not None:
                self.snapshots.refuse(
                    f"the index has change {derived.change_seq}, which the truth does not have; "
                    "was an older copy of it put back?"
                )
            derived = Derived(self._new_traces())
        derived.remove(change.removed)
        derived.put(first)
        # What is changed meanwhile stands in the log behind `change`, and is read again.
        for start in range(_CHUNK, len(change.put), _CHUNK):
            derived.put(read_rows(self._store, change.put[start : start + _CHUNK], self._recipe, self._dim))
        derived.change_seq, derived.stamp = change.change_seq, change.stamp
        return derived

    # Snapshots

    def _open_snapshot(self) -> bool:
        """Go on from the newest snapshot; all that is missing in it is caught up with before anybody sees it.

        False where there is none that can be used.
        """
        opened = None if self.snapshots is None else self.snapshots.open(self._new_traces())
        if opened is None:
            return False
        assert self.snapshots is not None
        try:
            speakers = Speakers.from_bytes(opened.extra)
        except ValueError as error:
            self.snapshots.refuse(f"snapshot {opened.info.generation}: {error}")
            return False
        derived = Derived(opened.index, speakers)
        derived.change_seq, derived.stamp = opened.info.change_seq, opened.info.stamp
        derived.generation = opened.info.generation
        with self._catching_up:
            self._derived = self._read_changes(derived)
        return True

    def _move(self) -> None:
        """Let a reader go on from a newer snapshot, where that is worth it or its own was taken away."""
        derived = self._derived
        if self.snapshots is None:
            return
        if derived.generation is None or self.snapshots.is_there(derived.generation):
            if self._is_worth_moving(self.snapshots):
                self._open_snapshot()
        elif not self._open_snapshot():
            # Something in it is to vanish, and there is no other: keep what is left of it.
            self.catch_up()
            with self._catching_up:
                derived.traces.compact()
                derived.generation = None

    def _is_worth_moving(self, snapshots: Snapshots) -> bool:
        """Whether a reader holds, or would have to make, much that a newer snapshot has ready for all readers."""
        derived = self._derived
        behind = self._store.pending(derived.change_seq)
        if behind + derived.n_unsaved < _MANY_OWN:
            return False
        newest = snapshots.newest()
        # At least half of it: what is not in the snapshot must be read from the truth again.
        missing = derived.change_seq + behind - newest.change_seq if newest is not None else behind
        return newest is not None and missing < (behind + derived.n_unsaved) // 2

    @property
    def n_unsaved(self) -> int:
        """Keys that stand in no snapshot, nor in one that is being written."""
        return self._derived.n_unsaved

    def compact(self) -> None:
        """Catch up, and keep nothing of what was removed or replaced."""
        self.refresh()
        with self._catching_up:
            self._derived.traces.compact()

    def rebuild(self) -> None:
        """Throw away what is there, and all snapshots, and make it from the truth."""
        if self.snapshots is not None:
            self.snapshots.remove_all()
        with self._catching_up:
            self._derived = self._read_changes(Derived(self._new_traces()))

    def frozen(self) -> Frozen:
        """Give what is searched now, to be written to a snapshot while this goes on; begin to count anew."""
        with self._catching_up:
            return self._derived.frozen()

    def not_saved(self, frozen: Frozen) -> None:
        """Hear that it could not be written."""
        with self._catching_up:
            self._derived.n_unsaved += frozen.n_unsaved

    def _new_traces(self) -> TraceIndex:
        return TraceIndex(self._dim, analyzer=self._recipe.analyzer)
