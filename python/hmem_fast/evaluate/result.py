"""The result file: one JSON object that says what was run, on what, where, and what came out."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hmem_fast.core import __version__
from hmem_fast.diagnosis import cpu_model, features
from hmem_fast.encode.manifest import sha256_of
from hmem_fast.errors import DTypeError, InvalidValueError

__all__ = ["DataFile", "make_result", "write_result"]


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file that a run read.

    Attributes
    ----------
    file : str
        Its name, as it was given.
    sha256 : str
        Hash of its bytes on the disk.
    items : int
        What was found in it: questions, memories, rows.
    """

    file: str
    sha256: str
    items: int

    @classmethod
    def of(cls, path: str | Path, *, items: int) -> DataFile:
        """Describe the file at `path`."""
        return cls(str(path), sha256_of(Path(path)), items)


def make_result(
    task: str,
    *,
    command: Sequence[str],
    settings: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    seconds: float,
    threads: int = 1,
    data: Sequence[DataFile] = (),
    **more: Any,  # noqa: ANN401 - whatever JSON holds; checked below
) -> dict[str, Any]:
    """Put a result together. A value that does not apply is left out by the caller, never None.

    Raises
    ------
    InvalidValueError
        If a number is NaN or infinite; the message says where.
    DTypeError
        If something is no JSON.
    """
    result = {
        "task": task,
        "version": __version__,
        "command": list(command),
        "settings": dict(settings),
        "data": [{"file": item.file, "sha256": item.sha256, "items": item.items} for item in data],
        "machine": {"cpu": cpu_model(), "features": list(features()), "threads": threads},
        "seconds": seconds,
        "rows": [dict(row) for row in rows],
        **more,
    }
    _check("result", result)
    return result


def write_result(path: str | Path, result: Mapping[str, Any]) -> None:
    """Write a result as JSON: the whole file appears, or none of it.

    Raises
    ------
    InvalidValueError
        If a number is NaN or infinite; the message says where. Nothing is written then.
    DTypeError
        If something is no JSON.
    """
    _check("result", result)
    text = json.dumps(result, ensure_ascii=False, allow_nan=False, indent=2) + "\n"
    path = Path(path)
    if path.exists() and not path.is_file():  # a pipe or /dev/stdout is written to, not replaced
        path.write_text(text, encoding="utf-8")
        return
    descriptor, made = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(made).chmod(0o666 & ~_umask())
        Path(made).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(made).unlink()
        raise


def _umask() -> int:
    mask = os.umask(0)  # the only portable way to read it is to set it
    os.umask(mask)
    return mask


def _check(where: str, value: object) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidValueError(f"{where}: wanted a finite number, got {value}")
    if isinstance(value, Mapping):
        for name, item in value.items():
            if not isinstance(name, str):
                raise DTypeError(f"{where}: wanted strings as names, got {name!r}")
            _check(f"{where}.{name}", item)
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            _check(f"{where}[{position}]", item)
    elif value is not None and not isinstance(value, str | int | float):
        raise DTypeError(f"{where}: wanted what JSON can hold, got {type(value).__name__}")
