"""Memories as JSON lines: one object a line, with the arguments of `Memory.store`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from hmem_fast.data_file import open_data
from hmem_fast.errors import InvalidValueError
from hmem_fast.memory import ITEM_FIELDS

__all__ = ["ItemFile", "parse_time"]

_FIELDS = tuple(name for name in ITEM_FIELDS if name not in {"vector", "vectors"})


class ItemFile:
    """Reads items from JSON lines, and knows where it is.

    Empty lines are passed over. A line that is not an item raises InvalidValueError; `str()` of this object then names
    the line.

    Parameters
    ----------
    name : str
        A file, decompressed on the way where it ends in ``.xz``; ``"-"`` reads stdin.

    Attributes
    ----------
    line : int
        The line that was read last; 0 before the first.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.line = 0

    def __str__(self) -> str:
        """Name the file and the line."""
        return f"{'stdin' if self.name == '-' else self.name}, line {self.line}"

    @contextmanager
    def items(self) -> Iterator[Iterator[dict[str, Any]]]:
        """Open the file, and give its items one a line."""
        with self._open() as file:
            yield self._parsed(file)

    def _parsed(self, file: BinaryIO) -> Iterator[dict[str, Any]]:
        for raw in file:
            self.line += 1
            if raw.strip():
                yield self._parse(raw)

    @contextmanager
    def _open(self) -> Iterator[BinaryIO]:
        if self.name == "-":
            yield sys.stdin.buffer
        else:
            with open_data(Path(self.name), wanted="a file of JSON lines", argument="--file") as file:
                yield file

    def _parse(self, raw: bytes) -> dict[str, Any]:
        try:
            item = json.loads(raw.decode("utf-8-sig" if self.line == 1 else "utf-8"))
        except ValueError as error:
            raise InvalidValueError(f"wanted a JSON object in UTF-8, got {_shown(raw)}: {error}") from None
        if not isinstance(item, dict) or "text" not in item:
            raise InvalidValueError(f'wanted a JSON object with "text", got {_shown(raw)}')
        unknown = [name for name in item if name not in _FIELDS]
        if unknown:
            raise InvalidValueError(f"wanted the fields {', '.join(_FIELDS)}, got {unknown[0]!r}")
        # In JSON a field that is null is a field that was left out.
        given = {name: value for name, value in item.items() if value is not None or name == "text"}
        if isinstance(given.get("time"), str):
            given["time"] = parse_time(given["time"])
        return given


def parse_time(written: str) -> datetime | float:
    """Read an ISO time with its zone, or seconds since the epoch.

    Raises
    ------
    InvalidValueError
        If it is neither, or has no zone.
    """
    wanted = "time: wanted seconds since the epoch or an ISO time with its zone, 2026-03-01T09:30:00+00:00"
    try:
        return float(written)
    except ValueError:
        pass
    try:
        time = datetime.fromisoformat(written)
    except ValueError:
        raise InvalidValueError(f"{wanted}, got {written!r}") from None
    if time.tzinfo is None:
        raise InvalidValueError(f"{wanted}, got {written!r}, which has no zone")
    return time


def _shown(raw: bytes, longest: int = 60) -> str:
    shown = raw.strip().decode("utf-8", "backslashreplace")
    return repr(shown if len(shown) <= longest else shown[:longest] + "…")
