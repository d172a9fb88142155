"""Snapshots of an index that is derived from a store: opened, written and tidied up.

What is in the files, and how they come and go, is drawn in docs/snapshot.md. All of it can be thrown away: whatever
is wrong with a snapshot is told in a warning, and the index is built from the truth.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from pathlib import Path

from hmem_fast.core import OpenedSnapshot, SnapshotFolder, SnapshotInfo, TraceIndex
from hmem_fast.errors import SnapshotError, SnapshotWarning, StoreIOError
from hmem_fast.store.durable_file import sync
from hmem_fast.store.mapped import processes_with_removed
from hmem_fast.store.trace_store import TraceStore

__all__ = ["Snapshots"]


class Snapshots:
    """The snapshots of one kind of index over one store.

    Parameters
    ----------
    store : TraceStore
        A store in a folder.
    recipe : mapping
        All that decides what the index makes of the truth, as JSON can hold it: a snapshot that was made by another
        recipe is not used.
    """

    def __init__(self, store: TraceStore, recipe: Mapping[str, object]) -> None:
        assert store.path is not None
        self._path = store.path
        made_from = {"store_id": store.store_id, "recipe": recipe}
        fingerprint = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).digest()
        self._folder = SnapshotFolder(store.path, fingerprint)

    def newest(self) -> SnapshotInfo | None:
        """What the newest snapshot holds, read from its manifest alone; None where there is none that can be used."""
        try:
            return self._folder.newest()
        except (SnapshotError, StoreIOError):
            return None  # told when it is opened

    def open(self, like: TraceIndex) -> OpenedSnapshot | None:
        """Open the newest snapshot as an index with the parameters of `like`.

        None where there is none; where there is one that cannot be used, a `SnapshotWarning` says why.
        """
        try:
            opened = self._folder.open(like)
        except (SnapshotError, StoreIOError) as error:
            self.refuse(str(error))
            return None
        return opened

    def refuse(self, why: str) -> None:
        """Warn that the index is built from the truth."""
        warnings.warn(
            f"{self._path}: {why}. The index is built from the truth, which takes longer; nothing is lost",
            SnapshotWarning,
            stacklevel=2,
        )

    def write(self, index: TraceIndex, *, change_seq: int, stamp: int, extra: bytes) -> SnapshotInfo:
        """Write what an index holds, as far as it stands in no file yet; then drop what nobody needs any more.

        Raises
        ------
        StoreIOError
            If it cannot be written; the snapshots that are there stay.
        """
        info = self._folder.write(index, change_seq=change_seq, stamp=stamp, extra=extra)
        self._folder.remove_unused()
        return info

    def remove_others(self) -> list[str]:
        """Remove all but the newest snapshot from the folder, even where other processes have them open.

        Returns
        -------
        list of str
            Names of those that others still have open: what was in them is gone from the folder, not from there.
        """
        return self._folder.remove_unused(at_once=True)

    def remove_all(self) -> list[str]:
        """Remove every snapshot; gives the names of files that cannot be removed."""
        self._folder = SnapshotFolder(self._path, self._folder.fingerprint)  # it must not count on what is gone
        kept = []
        for file in self._files():
            try:
                file.unlink(missing_ok=True)
            except OSError:
                kept.append(file.name)
        sync(self._path)
        return kept

    def is_there(self, generation: int) -> bool:
        """Whether a snapshot is still in the folder."""
        return (self._path / f"snapshot-{generation:08}").exists()

    def readers(self) -> tuple[int, ...]:
        """Process ids of others that have files of snapshots open that are gone from the folder. See `mapped`."""
        return processes_with_removed(self._path, "vectors-")

    def nbytes(self) -> int:
        """Bytes in the files of all snapshots."""
        return sum(file.stat().st_size for file in self._files())

    def _files(self) -> list[Path]:
        return sorted(file for pattern in ("snapshot-*", "vectors-*") for file in self._path.glob(pattern))
