"""Writing snapshots of what is searched: beside a long ingest, when asked to, and when a memory is closed."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from hmem_fast.errors import HmemError, SnapshotWarning
from hmem_fast.memory.live_index import LiveIndex

__all__ = ["Saver", "warn_unsaved"]

#: Keys that may stand in no snapshot before one is begun in the background. Reading them from the truth takes the next
#: opening some 0.3 seconds.
_MUCH = 16_384

#: Keys below which closing leaves it at that: the next opening reads them from the truth in a blink.
_LITTLE = 512


class Saver:
    """Writes the snapshots of one memory, one at a time. Searches and writes go on meanwhile."""

    def __init__(self, index: LiveIndex) -> None:
        self._index = index
        self._saving = threading.Lock()
        self._thread: threading.Thread | None = None
        #: After a failure, unsaved keys at which the next one is begun: a full disk is not asked with every memory.
        self._again_at = 0

    def keep_up(self) -> None:
        """Begin a snapshot in the background where much is unsaved and none is being written."""
        if self._index.n_unsaved < max(_MUCH, self._again_at) or self._index.snapshots is None or self._saving.locked():
            return
        self._thread = threading.Thread(target=self._save_or_warn, name="hmem_fast-snapshot", daemon=True)
        self._thread.start()

    def save(self, *, anew: bool = False) -> None:
        """Write a snapshot of all that is in the truth now; does nothing where the last one has all of it.

        Parameters
        ----------
        anew : bool
            Write one even so, because what is searched has been rewritten.

        Raises
        ------
        StoreIOError
            If it cannot be written. The truth and earlier snapshots are as they were.
        """
        snapshots = self._index.snapshots
        if snapshots is None:
            return
        with self._saving:
            self._index.refresh()
            if not self._index.n_unsaved and not anew:
                return
            frozen = self._index.frozen()
            try:
                snapshots.write(frozen.traces, change_seq=frozen.change_seq, stamp=frozen.stamp, extra=frozen.speakers)
            except BaseException:
                self._index.not_saved(frozen)
                raise

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let no snapshot be written in the block; one that is being written is waited for."""
        with self._saving:
            yield

    def close(self) -> None:
        """Wait for what is being written, and write what is worth it."""
        if self._thread is not None:
            self._thread.join()
        if self._index.n_unsaved >= _LITTLE or self._index.n_waiting >= _LITTLE:
            self._save_or_warn()

    def _save_or_warn(self) -> None:
        try:
            self.save()
            self._again_at = 0
        except HmemError as error:
            self._again_at = 2 * self._index.n_unsaved
            warn_unsaved(error)


def warn_unsaved(error: HmemError) -> None:
    """Say that there is no new snapshot."""
    warnings.warn(
        f"no snapshot was written: {error}. What is stored is safe; the next opening takes longer",
        SnapshotWarning,
        stacklevel=2,
    )
