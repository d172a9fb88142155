"""Where the public data sets lie: the folder that HMEM_DATA names."""

from __future__ import annotations

import os
from pathlib import Path

from hmem_fast.errors import InvalidValueError

__all__ = ["data_file"]


def data_file(name: str) -> Path:
    """Name a file of the data folder, for example ``"clinc150/data_full.json.xz"``.

    Raises
    ------
    InvalidValueError
        If HMEM_DATA is not set, or there is no such file in its folder.
    """
    folder = os.environ.get("HMEM_DATA")
    if not folder:
        raise InvalidValueError(f"HMEM_DATA: wanted the folder of the data sets, with {name} in it; it is not set")
    path = Path(folder) / name
    if not path.is_file():
        raise InvalidValueError(f"HMEM_DATA: wanted a folder with {name} in it; there is no {path}")
    return path
