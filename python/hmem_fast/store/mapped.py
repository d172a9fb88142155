"""Which processes still have files open that were removed."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

__all__ = ["processes_with_removed"]

_PROCESSES = Path("/proc")


def processes_with_removed(folder: Path, prefix: str) -> tuple[int, ...]:
    """Give the ids of other processes that map a file of `folder` which begins with `prefix` and was removed.

    Linux tells, of the processes that this user may look at; elsewhere the answer is empty.
    """
    # As the system writes it: a line break in a name is the only character that is not itself.
    wanted = os.fsencode(folder.resolve() / prefix).replace(b"\n", b"\\012")
    found = []
    for process in _PROCESSES.glob("[0-9]*"):
        with suppress(OSError):
            maps = (process / "maps").read_bytes()
            if any(wanted in line and line.endswith(b" (deleted)") for line in maps.splitlines()):
                found.append(int(process.name))
    return tuple(sorted(set(found) - {os.getpid()}))
