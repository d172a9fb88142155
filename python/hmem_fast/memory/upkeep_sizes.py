"""How much room the files of a memory take, by kind."""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

from hmem_fast.store import TraceStore
from hmem_fast.store.backup import FILE

__all__ = ["Sizes", "sizes_of"]


class Sizes(NamedTuple):
    """Bytes on the disk; of pages in memory for a store that has no folder."""

    truth: int = 0
    log: int = 0
    snapshots: int = 0
    backups: int = 0
    other: int = 0


def sizes_of(store: TraceStore) -> Sizes:
    """Add up what lies in the folder."""
    if store.path is None:
        return Sizes(truth=store.nbytes())
    bytes_of = dict.fromkeys(Sizes._fields, 0)
    for file in store.path.iterdir():
        with suppress(FileNotFoundError):  # logs and snapshots come and go
            if file.is_file():
                bytes_of[_kind_of(file.name)] += file.stat().st_size
    return Sizes(**bytes_of)


def _kind_of(name: str) -> str:
    if name == FILE:
        return "truth"
    if name in (f"{FILE}-wal", f"{FILE}-shm"):
        return "log"
    if name.startswith(("vectors-", "snapshot-")):
        return "snapshots"
    return "backups" if name.startswith(f"{FILE}.") else "other"
