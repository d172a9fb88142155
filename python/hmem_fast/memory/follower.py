"""An index that follows a long ingest from a thread of its own."""

from __future__ import annotations

import threading
from typing import Self

from hmem_fast.memory.live_index import LiveIndex

__all__ = ["Follower"]

#: Memories that may wait for the index: beyond, whoever stores more waits too. Their keys are held in memory.
_MAX_WAITING = 16_384


class Follower:
    """Lets an index follow what is written, beside the writing; when the block ends, next to nothing is waiting.

    The thread starts with the second call of `follow`: a short ingest needs none.
    """

    def __init__(self, index: LiveIndex) -> None:
        self._index = index
        self._calls = 0
        self._wake = threading.Semaphore(0)
        self._ended = False
        self._thread: threading.Thread | None = None

    def follow(self) -> None:
        """Say that something was written."""
        self._calls += 1
        if self._calls < 2:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="hmem_fast-follower", daemon=True)
            self._thread.start()
        self._wake.release()
        if self._index.n_waiting > _MAX_WAITING:
            self._index.keep_up()

    def _run(self) -> None:
        while True:
            self._wake.acquire()
            if self._ended:
                return
            self._index.keep_up()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        if self._thread is not None:
            self._wake.release()
            self._thread.join()
        self._index.keep_up()
