"""What is done to a memory as a whole: wiping out, copying, exporting, looking for damage and mending it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hmem_fast.memory import turn_table
from hmem_fast.memory.encoder_slot import EncoderSlot
from hmem_fast.memory.keys import KeyRecipe
from hmem_fast.memory.live_index import LiveIndex
from hmem_fast.memory.purge import PURGE_PENDING, Purged, finish_purge
from hmem_fast.memory.reader import RANKING_VERSION
from hmem_fast.memory.result import StoreInfo
from hmem_fast.memory.saver import Saver
from hmem_fast.memory.transfer_export import Exported, export_store
from hmem_fast.memory.turn import check_ids
from hmem_fast.memory.upkeep_repair import Repaired, repair_open
from hmem_fast.memory.upkeep_sizes import sizes_of
from hmem_fast.memory.verify import verify_open
from hmem_fast.memory.writer import Writer
from hmem_fast.store import Progress, TraceStore, Verified
from hmem_fast.store.schema import SCHEMA_VERSION

__all__ = ["Upkeep"]


class Upkeep:
    """The half of a `Memory` that keeps it well."""

    def __init__(self, store: TraceStore, index: LiveIndex, slot: EncoderSlot, recipe: KeyRecipe) -> None:
        self._store = store
        self._index = index
        self._slot = slot
        self._recipe = recipe
        self._writer = Writer(store, slot, recipe)
        self._saver = Saver(index)
        self._writing = threading.RLock()

    def info(self) -> StoreInfo:
        """Sum up what the memory holds and how it is kept."""
        self._follow()
        with self._store.snapshot() as connection:
            n_keys, n_stale = connection.execute("SELECT count(*), count(*) - count(vector) FROM keys").fetchone()
            unkeyed, n_sessions = turn_table.count(connection)
            producers = connection.execute(
                "SELECT DISTINCT producer FROM keys WHERE producer NOTNULL ORDER BY 1"
            ).fetchall()
            n_memories, change_seq = self._store.count(), self._store.change_seq()
            last_memory_id = self._store.last_memory_id()
        sizes = sizes_of(self._store)
        return StoreInfo(
            path=None if self._store.path is None else str(self._store.path),
            memories=n_memories,
            keys=n_keys,
            stale_keys=n_stale,
            unkeyed=unkeyed,
            sessions=n_sessions,
            speakers=self._index.participants.names,
            encoder=self._slot.name,
            space_id=self._slot.space_id,
            dim=self._slot.dim,
            producers=tuple(producer for (producer,) in producers if producer is not None),
            change_seq=change_seq,
            last_memory_id=last_memory_id,
            format_version=SCHEMA_VERSION,
            ranking_version=RANKING_VERSION,
            disk_bytes=sum(sizes),
            truth_bytes=sizes.truth,
            log_bytes=sizes.log,
            snapshot_bytes=sizes.snapshots,
            backup_bytes=sizes.backups,
            other_bytes=sizes.other,
            index_bytes=self._index.traces.nbytes,
        )

    def purge(self, ids: int | Iterable[int]) -> Purged:
        """Remove memories so that nothing is left of them: no text, no vector, no word, no key of a neighbour.

        After or instead of `forget`. The truth is written anew, its log is emptied, its backups go, and so do
        snapshots that held them; how long that takes grows with the whole store. Copies elsewhere are not known here.
        If it is cut short, the next opening for writing finishes it.

        Returns
        -------
        Purged
            What was done, and whether it is complete: a reader in the middle of something can hold the log, and
            processes that have an old snapshot open keep it until their next recall.

        Raises
        ------
        UnknownIdError
            If there never was such a memory; then none is purged.
        """
        wanted = check_ids(ids)
        with self._changing():
            there = self._writer.known(wanted)
            self._store.set_properties({PURGE_PENDING: True})
            renewed = self._writer.forget(there) if there else ()
            self._index.note_written()
            return finish_purge(self._store, self._index, self._saver, ids=wanted, renewed=renewed)

    def renew(self) -> int:
        """Encode the keys that had to be dropped while the encoder was missing.

        Returns
        -------
        int
            Number of memories that were renewed.
        """
        with self._changing():
            n_renewed = self._writer.renew()
            self._index.note_written()
            return n_renewed

    def backup(self, folder: str | os.PathLike[str], progress: Progress | None = None) -> None:
        """Copy the memory as it is now into a folder that holds none, while it is read and written.

        Open the folder like any memory: it recalls the same. A memory that was opened with ``mode="r"`` can be copied
        too. Snapshots are not copied: the first opening of the copy takes longer.

        Parameters
        ----------
        folder : str or os.PathLike
            Made where it is missing. The copy is there when it is complete; a backup that failed is no memory.
        progress : callable, optional
            Called with the pages that are copied and those there are.

        Raises
        ------
        InvalidValueError
            If `folder` holds a memory, or is a file.
        StoreIOError, OSError
            If the disk is full, or the folder cannot be written.
        """
        self._store.backup(folder, progress)

    def export(self, folder: str | os.PathLike[str], progress: Progress | None = None) -> Exported:
        """Write all that is in the memory as plain files: JSON lines, and vectors in numpy's format.

        `hmem_fast.memory.import_memory` makes a memory of them again. The files are those of one moment, the one of the
        call, while others read and write. Until the export has ended, SQLite keeps what is written meanwhile in its
        log, which grows.

        An export that was interrupted goes on where it stopped when it is called again, if nothing was written
        meanwhile; else it begins anew. It is finished when ``export.json`` is there.

        Parameters
        ----------
        folder : str or os.PathLike
            Made where it is missing.
        progress : callable, optional
            Called with the memories that are written and those there are.

        Raises
        ------
        InvalidValueError
            If `folder` holds a memory, an export of something else, or other files of these names.
        StoreCorruptError
            If something in the memory is damaged: see `repair`.
        StoreLockedError
            If another process is exporting into the folder.
        OSError
            If the disk is full, or the folder cannot be written.
        """
        return export_store(self._store, Path(os.fsdecode(folder)).absolute(), progress)

    def verify(self, progress: Progress | None = None) -> Verified:
        """Read everything, and tell what is damaged. Changes nothing; others may read and write meanwhile.

        Each row of the truth is looked at. If all are well, an index is made from them beside the one that is searched,
        which takes its memory again, and both are compared: ids, vectors, words and speakers, bit for bit. Where they
        differ, there is a problem of kind ``"index"``.

        A memory that cannot be opened is looked at by `hmem_fast.memory.verify_memory`.

        Parameters
        ----------
        progress : callable, optional
            Called with what was looked at and what there is: first rows, then memories of the index.

        Raises
        ------
        StoreLockedError
            If this memory was opened with ``mode="r"`` and its writer never pauses.
        """
        self._store.check_open()
        return verify_open(
            self._store,
            self._index,
            recipe=self._recipe,
            dim=self._slot.dim,
            writing=self._writing,
            progress=progress,
        )

    def repair(self, *, drop: bool = False) -> Repaired:
        """Mend what `verify` finds.

        A copy of the truth is made first. Damaged rows are written to a quarantine file. Keys that were lost are made
        anew from the text, or wait for `renew` where the encoder is not at hand; a cue whose key was damaged is lost,
        and stands in the quarantine file. Then the index and its snapshots are made anew, damaged or not.

        A memory that cannot be opened is mended by `hmem_fast.memory.repair_memory`.

        Parameters
        ----------
        drop : bool
            Whether memories whose text or metadata is damaged go, instead of raising wherever they are read.

        Raises
        ------
        ReadOnlyError
            If the memory was opened with ``mode="r"``.
        InvalidValueError
            If it is one in memory.
        StoreCorruptError
            If SQLite cannot read its own structure. Then only a backup helps; nothing was changed.
        """
        with self._changing(), self._saver.held():
            repaired = repair_open(self._store, self._writer, self._index, makes_keys=self._slot.makes_keys, drop=drop)
            self._index.note_written()
            return repaired

    def flush(self) -> None:
        """Write what the indexes hold to a snapshot, so that the next opening need not make it from the truth.

        This happens by itself during a long ingest, in the background, and when a memory is closed in which much was
        changed. What is stored is durable without it.

        Raises
        ------
        ReadOnlyError
            If the memory was opened with ``mode="r"``.
        StoreIOError
            If it cannot be written; nothing is lost.
        """
        self._store.check_writable()
        self._saver.save()

    # Within

    def _follow(self) -> None:
        """Let a reader see what the writer has committed. A writer's own index follows each write."""
        self._store.check_open()
        if self._store.mode == "r" or self._index.is_behind:
            self._index.refresh()

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Let one thread write at a time. The index follows when it is next asked, or where much is waiting."""
        with self._writing:
            try:
                yield
            except BaseException:
                self._index.note_written()
                raise
