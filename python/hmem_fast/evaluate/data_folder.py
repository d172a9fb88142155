"""Where the public data sets lie: the folder that HMEM_DATA names."""

from __future__ import annotations

import os
from pathlib import Path

from hmem_fast.errors import InvalidValueError

__all__ = ["data_file", "data_folder"]


def data_folder() -> Path:
    """Name the folder of the data sets: HMEM_DATA, else ``../shared/data``."""
    return Path(os.environ.get("HMEM_DATA") or Path("..") / "shared" / "data")


def data_file(name: str) -> Path:
    """Name a file of the data folder, for example ``"clinc150/data_full.json.xz"``.

    Raises
    ------
    InvalidValueError
        If there is no such file in it.
    """
    path = data_folder() / name
    if not path.is_file():
        unset = "" if os.environ.get("HMEM_DATA") else "; it is not set"
        raise InvalidValueError(f"HMEM_DATA: wanted a folder with {name} in it; there is no {path}{unset}")
    return path
