"""Files that are there as a whole or not at all."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["put_in_place", "sync"]

if sys.platform == "darwin":
    import fcntl

    def _flush(descriptor: int) -> None:
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)  # a plain fsync stops at the drive's cache
else:

    def _flush(descriptor: int) -> None:
        os.fsync(descriptor)


def put_in_place(temporary: Path, final: Path) -> None:
    """Give a finished file its name, so that after a power failure it is there with all of its bytes, or not at all."""
    sync(temporary)
    temporary.replace(final)
    sync(final.parent)


def sync(path: Path) -> None:
    """Wait until a file, or the list of names in a folder, has reached the disk."""
    if sys.platform == "win32":
        if path.is_dir():
            return  # Windows writes names through by itself, and opens no folder
        descriptor = os.open(path, os.O_RDWR | os.O_BINARY)  # it flushes only what it may write
    else:
        descriptor = os.open(path, os.O_RDONLY)
    try:
        _flush(descriptor)
    finally:
        os.close(descriptor)
