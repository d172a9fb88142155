"""The lock that makes a process the one writer of a store.

The operating system holds the lock and drops it when the process dies, however it dies, so there is nothing to clean
up after a crash. The process id inside the file is only there to be named in the error message.
"""

from __future__ import annotations

import os
import sys
import weakref
from pathlib import Path

from hmem_fast.errors import StoreLockedError

__all__ = ["WriterLock"]

if sys.platform == "win32":
    import msvcrt

    # Windows locks are mandatory: the locked byte lies far behind the text, so that others can still read the owner.
    _LOCKED_BYTE = 1 << 30

    def _try_lock(descriptor: int) -> bool:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


_held: weakref.WeakSet[WriterLock] = weakref.WeakSet()


class WriterLock:
    """Exclusive right to write the store in `folder`, held until `release` or the end of the process.

    Raises
    ------
    StoreLockedError
        If it is held already, by another process or by this one; the message names the owner's process id.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / "writer.lock"
        self._descriptor: int | None = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        if not _try_lock(self._descriptor):
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            owner = os.read(self._descriptor, 32).decode("ascii", "replace").strip()
            self._close()
            who = f"process {owner}" if owner else "another process"
            raise StoreLockedError(f'{folder}: {who} is the writer of this store; open it with mode="r" to read it now')
        try:
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            os.write(self._descriptor, f"{os.getpid()}\n".encode("ascii"))
        except BaseException:  # a full disk must not leave the lock behind
            self._close()
            raise
        _held.add(self)

    def release(self) -> None:
        """Give the right up; a second call does nothing."""
        self._close()

    def _close(self) -> None:
        if self._descriptor is not None:
            # Closing drops the lock. The file stays: deleting it would let two processes lock two different files.
            os.close(self._descriptor)
            self._descriptor = None


def _forget_in_child() -> None:
    # A forked child shares the open file, and so the lock: kept open, it would hold the store after its parent died.
    for lock in list(_held):
        lock._close()  # noqa: SLF001 - same module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
