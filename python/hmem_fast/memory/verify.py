"""Looking for damage: in the truth, and in what is searched, which must be what the truth makes of it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hmem_fast.errors import SnapshotWarning, StoreLockedError, StoreNotFoundError
from hmem_fast.memory import turn_table
from hmem_fast.memory.derived import Frozen
from hmem_fast.memory.keys import KeyRecipe
from hmem_fast.memory.live_index import LiveIndex
from hmem_fast.memory.speakers import Speakers
from hmem_fast.memory.trace_rows import TraceRows, read_rows
from hmem_fast.store import Problem, Progress, TraceStore, Verified
from hmem_fast.types import IdArray

__all__ = ["turn_problems", "verify_memory", "verify_open"]

Mask = NDArray[np.bool_]

#: Memories that are compared together.
_CHUNK = 256

#: Differences that are told; more say nothing new.
_MAX_DIFFERENCES = 1000

#: How often a reader looks for a moment in which nobody writes.
_ATTEMPTS = 50


def verify_memory(path: str | os.PathLike[str], progress: Progress | None = None) -> Verified:
    """Look for damage in the memory at `path`, even in one that cannot be opened. See `Memory.verify`.

    Raises
    ------
    StoreNotFoundError, StoreVersionError
        If there is none, or one of another format version.
    StoreCorruptError
        If SQLite does not take the file for a database, or the store has no id.
    """
    with TraceStore(Path(os.fsdecode(path)), mode="r") as store:
        found = _verify_truth(store, progress)
        if not found.ok:
            return found
        properties = store.properties()
        if not properties:
            raise StoreNotFoundError(f"path: the store at {store.path} was never finished")
        recipe = KeyRecipe.from_json(properties["recipe"])
        live = LiveIndex(store, recipe, properties["dim"])
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", SnapshotWarning)
            live.open()
        problems = [
            Problem("index", None, None, str(warning.message))
            for warning in told
            if issubclass(warning.category, SnapshotWarning)
        ]
        problems += _index_problems(
            store, live, recipe=recipe, dim=properties["dim"], writing=nullcontext(), progress=progress
        )
    return replace(found, problems=(*found.problems, *problems))


def verify_open(
    store: TraceStore,
    live: LiveIndex,
    *,
    recipe: KeyRecipe,
    dim: int,
    writing: AbstractContextManager[object],
    progress: Progress | None,
) -> Verified:
    """Do what `Memory.verify` says. While `writing` is held, this process writes nothing."""
    found = _verify_truth(store, progress)
    if not found.ok:
        return found
    problems = _index_problems(store, live, recipe=recipe, dim=dim, writing=writing, progress=progress)
    return replace(found, problems=tuple(problems))


def turn_problems(store: TraceStore) -> list[Problem]:
    """Memories that have lost their row in the table of turns."""
    with store.snapshot() as connection:
        missing = turn_table.missing(connection)
    return [
        Problem("reference", "turns", memory_id, f"memory {memory_id}: its row in the table of turns is missing")
        for memory_id in missing
    ]


def _verify_truth(store: TraceStore, progress: Progress | None) -> Verified:
    found = store.verify(progress)
    if any(problem.kind == "file" for problem in found.problems):
        return found  # what SQLite says of other tables is not to be trusted
    return replace(found, problems=(*found.problems, *turn_problems(store)))


def _index_problems(
    store: TraceStore,
    live: LiveIndex,
    *,
    recipe: KeyRecipe,
    dim: int,
    writing: AbstractContextManager[object],
    progress: Progress | None,
) -> Iterator[Problem]:
    """Say where the index differs from one that is made anew beside it."""
    fresh = LiveIndex(store, recipe, dim)
    fresh.catch_up()  # never from a snapshot
    ours, theirs = _at_one_moment(live, fresh, writing)

    def read(memory_ids: list[int]) -> TraceRows:
        return read_rows(store, memory_ids, recipe, dim)

    return islice(_differences(ours, theirs, read, progress), _MAX_DIFFERENCES)


def _at_one_moment(live: LiveIndex, fresh: LiveIndex, writing: AbstractContextManager[object]) -> tuple[Frozen, Frozen]:
    with writing:
        for _ in range(_ATTEMPTS):
            live.refresh()
            fresh.catch_up()
            frozen = []
            for index in (live, fresh):
                kept = index.frozen()
                index.not_saved(kept)  # nothing was saved
                frozen.append(kept)
            if frozen[0].change_seq == frozen[1].change_seq:
                return frozen[0], frozen[1]
    raise StoreLockedError("the index cannot be compared while another process writes all the time; try again")


def _differences(
    live: Frozen, fresh: Frozen, read: Callable[[list[int]], TraceRows], progress: Progress | None
) -> Iterator[Problem]:
    there, wanted = np.asarray(live.traces.ids), np.asarray(fresh.traces.ids)
    for memory_id in np.setdiff1d(there, wanted).tolist():
        yield Problem("index", None, memory_id, f"memory {memory_id}: it is in the index, and not in the truth")
    for memory_id in np.setdiff1d(wanted, there).tolist():
        yield Problem("index", None, memory_id, f"memory {memory_id}: it is missing in the index")
    both = np.intersect1d(there, wanted)
    said_by = Speakers.from_bytes(live.speakers), Speakers.from_bytes(fresh.speakers)
    for start in range(0, len(both), _CHUNK):
        chunk = both[start : start + _CHUNK]
        # What is read here may be newer than both indexes. It only says what they are asked.
        rows = read(chunk.tolist())
        yield from _told(chunk, _other_vectors(live, fresh, chunk), "other keys or vectors")
        yield from _told(chunk, _other_words(live, fresh, chunk, rows), "other words")
        yield from _told(chunk, _other_speakers(*said_by, chunk, rows), "another speaker")
        if progress is not None:
            progress(start + len(chunk), len(both))


def _told(chunk: IdArray, differs: Mask, what: str) -> Iterator[Problem]:
    for memory_id in chunk[differs].tolist():
        yield Problem("index", None, memory_id, f"memory {memory_id}: the index has {what} than the truth")


def _other_vectors(live: Frozen, fresh: Frozen, chunk: IdArray) -> Mask:
    ours, theirs = live.traces.vectors(chunk), fresh.traces.vectors(chunk)
    differs = np.zeros(len(chunk), dtype=np.bool_)
    if _same_bits(ours[0], theirs[0]) and _same_bits(ours[1], theirs[1]) and _same_bits(ours[2], theirs[2]):
        return differs
    for position in range(len(chunk)):
        # Offsets of the memories' keys, the keys' ids, the vectors.
        (our_ids, our_rows), (their_ids, their_rows) = (
            (key_ids[offsets[position] : offsets[position + 1]], rows[offsets[position] : offsets[position + 1]])
            for offsets, key_ids, rows in (ours, theirs)
        )
        differs[position] = not (_same_bits(our_ids, their_ids) and _same_bits(our_rows, their_rows))
    return differs


def _same_bits(a: NDArray[np.generic], b: NDArray[np.generic]) -> bool:
    return a.shape == b.shape and a.tobytes() == b.tobytes()


def _other_words(live: Frozen, fresh: Frozen, chunk: IdArray, rows: TraceRows) -> Mask:
    terms = sorted({term for text in rows.texts for term in fresh.traces.analyze(text)})
    ours, theirs = live.traces.word_scores(terms, chunk), fresh.traces.word_scores(terms, chunk)
    differs: Mask = np.asarray(np.not_equal(ours.view(np.int64), theirs.view(np.int64)).any(axis=1))
    return differs


def _other_speakers(live: Speakers, fresh: Speakers, chunk: IdArray, rows: TraceRows) -> Mask:
    everybody = {*live.participants.names, *fresh.participants.names}
    differs: Mask = np.not_equal(live.spoken_by(chunk, everybody), fresh.spoken_by(chunk, everybody))
    for name in sorted({speaker for speaker in rows.speakers if speaker is not None}):
        differs |= live.spoken_by(chunk, [name]) != fresh.spoken_by(chunk, [name])
    return differs
