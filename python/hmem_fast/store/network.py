"""Folders that lie on another machine, where SQLite's locks cannot be relied on.

Linux says what is mounted where. On other systems nothing is looked up, and nothing is said.
"""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path

from hmem_fast.errors import NetworkFolderWarning

__all__ = ["network_type", "warn_of_network"]

_MOUNTS = Path("/proc/self/mountinfo")

_NETWORK_TYPES = frozenset(
    {
        "9p", "afs", "ceph", "cifs", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "gfs2", "glusterfs",
        "lustre", "ncpfs", "nfs", "nfs4", "smb3", "smbfs",
    }
)  # fmt: skip

_warned: set[Path] = set()


def warn_of_network(folder: Path) -> None:
    """Warn, once for each folder, if it lies on a network file system."""
    if folder in _warned:
        return
    try:
        mounts = _MOUNTS.read_bytes().decode("utf-8", "surrogateescape")
    except OSError:
        return
    found = network_type(os.path.realpath(folder), mounts)
    if found is not None:
        _warned.add(folder)
        warnings.warn(
            f"{folder} lies on a network file system ({found}), where locks and the order of writes cannot be relied "
            "on; keep the store on a local disk",
            NetworkFolderWarning,
            stacklevel=2,
        )


def network_type(path: str, mounts: str) -> str | None:
    """Type of the network file system that holds an absolute `path`; None if it is local.

    Parameters
    ----------
    path : str
        Without symbolic links.
    mounts : str
        What Linux says in ``/proc/self/mountinfo``.

    Examples
    --------
    >>> network_type("/data/memory", "36 25 0:32 / /data rw shared:1 - nfs4 server:/export rw")
    'nfs4'
    """
    longest, found = -1, ""
    for line in mounts.splitlines():
        left, separator, right = line.partition(" - ")
        fields, kind = left.split(" "), right.split(" ", 1)[0]
        if not separator or len(fields) < 5:
            continue
        point = _unescape(fields[4]).rstrip("/")
        # Of two mounts on one point the later one hides the other.
        if len(point) >= longest and (path == point or path.startswith(f"{point}/")):
            longest, found = len(point), kind
    return found if found in _NETWORK_TYPES else None


def _unescape(field: str) -> str:
    """Undo the octal escapes that Linux writes for spaces and the like."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
