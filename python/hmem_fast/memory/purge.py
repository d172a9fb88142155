"""Making memories vanish for good: from the truth, its log and backups, the indexes and the snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hmem_fast.errors import StoreIOError
from hmem_fast.memory.live_index import LiveIndex
from hmem_fast.memory.saver import Saver, warn_unsaved
from hmem_fast.store import TraceStore

__all__ = ["PURGE_PENDING", "Purged", "finish_purge"]

#: Property of a store in which a purge was begun and not finished.
PURGE_PENDING = "purge_pending"


@dataclass(frozen=True, slots=True)
class Purged:
    """What a purge did.

    Attributes
    ----------
    ids : tuple of int
        The memories that were to vanish.
    renewed : tuple of int
        Their neighbours, whose keys and words were made anew without them.
    is_complete : bool
        Whether no file of the folder holds anything of them any more.
    remaining : tuple of str
        Where something may be left, and why; empty if `is_complete`. `Memory.purge` again, with the same ids, when the
        reason is gone.
    held : tuple of str
        Old snapshots that other processes still have open. They are gone from the folder, and those processes let go of
        them with their next recall.
    readers : tuple of int
        Ids of these processes; known on Linux alone, and only of processes that this user may look at.
    removed_files : tuple of str
        Backups that held them too, and were removed.
    """

    ids: tuple[int, ...]
    renewed: tuple[int, ...]
    is_complete: bool
    remaining: tuple[str, ...]
    held: tuple[str, ...]
    readers: tuple[int, ...]
    removed_files: tuple[str, ...]


def finish_purge(
    store: TraceStore,
    index: LiveIndex,
    saver: Saver,
    *,
    ids: Sequence[int] = (),
    renewed: Sequence[int] = (),
    wait_seconds: float = 5.0,
) -> Purged:
    """Wipe out what is left of memories that are deleted from the truth's tables already.

    Readers that keep the log are waited for as long as `wait_seconds`.
    """
    index.compact()
    erased = store.erase(wait_seconds=wait_seconds)
    remaining = list(erased.remaining)
    held: list[str] = []
    readers: tuple[int, ...] = ()
    if index.snapshots is not None:
        try:
            saver.save(anew=True)
            held = index.snapshots.remove_others()
        except StoreIOError as error:
            # Rather no snapshot than one that holds them.
            remaining += [f"{name}: cannot be removed" for name in index.snapshots.remove_all()]
            warn_unsaved(error)
        readers = index.snapshots.readers()
    is_complete = erased.is_complete and not remaining
    if is_complete:
        store.set_properties({PURGE_PENDING: False})
    return Purged(
        ids=tuple(ids),
        renewed=tuple(renewed),
        is_complete=is_complete,
        remaining=tuple(remaining),
        held=tuple(held),
        readers=readers,
        removed_files=erased.removed_files,
    )
