"""Data files, read as they are, compressed or not."""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from hmem_fast.errors import InvalidValueError

__all__ = ["open_data", "read_json"]


@contextmanager
def open_data(path: str | Path, *, wanted: str = "a file", argument: str = "data") -> Iterator[BinaryIO]:
    """Open a file for reading bytes; one whose name ends in ``.xz`` is decompressed on the way.

    Raises
    ------
    InvalidValueError
        If it cannot be read; the message names `argument` and says that `wanted` was wanted.
    """
    path = Path(path)
    try:
        raw = path.open("rb")
    except OSError as error:
        raise InvalidValueError(f"{argument}: wanted {wanted}; {path}: {error.strerror or error}") from error
    with raw:
        if path.suffix != ".xz":
            yield raw
            return
        try:
            with lzma.open(raw) as decompressed:
                yield cast("BinaryIO", decompressed)
        except (lzma.LZMAError, EOFError) as error:
            raise InvalidValueError(f"{argument}: wanted {wanted}; {path} is not a sound .xz file: {error}") from error


def read_json(path: str | Path, *, wanted: str = "a JSON file", argument: str = "data") -> object:
    """Read a JSON file whole.

    Raises
    ------
    InvalidValueError
        If it cannot be read or is no JSON in UTF-8.
    """
    with open_data(path, wanted=wanted, argument=argument) as file:
        raw = file.read()
    try:
        return json.loads(raw.decode("utf-8"))
    except ValueError as error:
        raise InvalidValueError(f"{argument}: wanted {wanted}; {path} is no JSON in UTF-8: {error}") from error
