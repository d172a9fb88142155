"""What an export is made of: three data files, and a manifest that is written last.

Drawn in docs/upkeep.md. Everything that is read here may have been written by anybody.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from hmem_fast.errors import HmemError, InvalidValueError
from hmem_fast.store.record import check_text

__all__ = [
    "DATA_FILES",
    "LINKS",
    "MANIFEST",
    "MAX_ID",
    "MEMORIES",
    "VECTORS",
    "Fields",
    "FileMark",
    "Manifest",
    "load_json",
    "read_manifest",
    "sha256_of",
]

MEMORIES, VECTORS, LINKS = "memories.jsonl", "vectors.npy", "links.jsonl"
DATA_FILES = (MEMORIES, VECTORS, LINKS)

#: Written last: a folder without it holds no finished export.
MANIFEST = "export.json"

#: Raised when an older hmem_fast could not read an export any more.
FORMAT_VERSION = 2

#: Largest id that is taken over; SQLite's own limit is twice that, and ids are given above it.
MAX_ID = (1 << 62) - 1

_MAX_MANIFEST_BYTES = 1 << 20
_BLOCK_BYTES = 1 << 20


class FileMark(NamedTuple):
    """Size and SHA-256 of a file."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What stands in ``export.json``."""

    hmem_fast: str
    """Version of the package that wrote it."""
    store_id: str
    change_seq: int
    stamp: str
    """Stamp of that change, in hexadecimal: with the two above it names the moment."""
    encoder: str | None
    space_id: str | None
    dim: int
    recipe: Mapping[str, Any]
    memories: int
    keys: int
    vectors: int
    links: int
    last_memory_id: int
    """The largest id that was ever given, so that none is given twice."""
    last_key_id: int
    files: Mapping[str, FileMark]
    export_version: int = FORMAT_VERSION

    def to_bytes(self) -> bytes:
        """Write it."""
        values = {"export_version": self.export_version, **asdict(self)}
        values["files"] = {name: mark._asdict() for name, mark in self.files.items()}
        return (json.dumps(values, ensure_ascii=False, allow_nan=False, indent=2) + "\n").encode()

    @property
    def moment(self) -> tuple[str, int, str]:
        """Which store it was, and when."""
        return (self.store_id, self.change_seq, self.stamp)


def read_manifest(folder: Path) -> tuple[Manifest, str]:
    """Read ``export.json``; gives its SHA-256 too, which names the export.

    Raises
    ------
    InvalidValueError
        If there is none, or it is not what it should be.
    """
    file = folder / MANIFEST
    try:
        if file.stat().st_size > _MAX_MANIFEST_BYTES:
            raise InvalidValueError(f"{file}: wanted at most {_MAX_MANIFEST_BYTES} bytes, got {file.stat().st_size}")
        raw = file.read_bytes()
    except OSError as error:
        raise InvalidValueError(
            f"folder: wanted a finished export, with its {MANIFEST}; {file}: {error.strerror}"
        ) from error
    fields = Fields(str(file), load_json(str(file), raw))
    version = fields.whole("export_version", 1, MAX_ID)
    if version > FORMAT_VERSION:
        raise InvalidValueError(
            f"{file}: export_version: this hmem_fast reads up to {FORMAT_VERSION}, got {version}; "
            "install a newer hmem_fast"
        )
    manifest = Manifest(
        hmem_fast=fields.text("hmem_fast"),
        store_id=fields.text("store_id"),
        change_seq=fields.whole("change_seq", 0, MAX_ID),
        stamp=fields.text("stamp"),
        encoder=fields.text_or_none("encoder"),
        space_id=fields.text_or_none("space_id"),
        dim=fields.whole("dim", 1, MAX_ID),
        recipe=fields.mapping("recipe"),
        memories=fields.whole("memories", 0, MAX_ID),
        keys=fields.whole("keys", 0, MAX_ID),
        vectors=fields.whole("vectors", 0, MAX_ID),
        links=fields.whole("links", 0, MAX_ID),
        last_memory_id=fields.whole("last_memory_id", 0, MAX_ID),
        last_key_id=fields.whole("last_key_id", 0, MAX_ID),
        files=_marks(fields),
        export_version=version,
    )
    fields.end()
    return manifest, hashlib.sha256(raw).hexdigest()


def _marks(fields: Fields) -> dict[str, FileMark]:
    listed = Fields(fields.where, fields.mapping("files"), "files.")
    marks = {}
    for name in DATA_FILES:
        mark = Fields(fields.where, listed.mapping(name), f"files.{name}.")
        marks[name] = FileMark(mark.whole("bytes", 0, MAX_ID), mark.text("sha256"))
        mark.end()
    listed.end()
    return marks


def sha256_of(file: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while block := opened.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def load_json(where: str, raw: bytes) -> object:
    """Read JSON in UTF-8, in which NaN and infinities have no place."""
    try:
        return json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidValueError(f"{where}: wanted JSON in UTF-8: {error}") from None


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


class Fields:
    """The fields of a JSON object, taken out one by one. What is wrong is told with `where` and the field's name."""

    def __init__(self, where: str, value: object, prefix: str = "") -> None:
        self.where = where
        self._prefix = prefix
        if not isinstance(value, dict):
            name = f"{prefix.rstrip('.')}: " if prefix else ""
            raise InvalidValueError(f"{where}: {name}wanted a JSON object, got {_shown(value)}")
        self._left = dict(value)

    def text(self, name: str) -> str:
        """Take a string."""
        value = self._take(name)
        if not isinstance(value, str):
            raise self.error(name, "a string", value)
        try:
            return check_text(name, value)
        except HmemError as error:
            raise InvalidValueError(f"{self.where}: {self._prefix}{error}") from None

    def text_or_none(self, name: str) -> str | None:
        """Take a string or null."""
        if name in self._left and self._left[name] is None:
            del self._left[name]
            return None
        return self.text(name)

    def whole(self, name: str, low: int, high: int) -> int:
        """Take a whole number within a range."""
        value = self._take(name)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.error(name, f"a whole number from {low} to {high}", value)
        return value

    def whole_or_none(self, name: str, low: int, high: int) -> int | None:
        """Take a whole number within a range, or null."""
        if name in self._left and self._left[name] is None:
            del self._left[name]
            return None
        return self.whole(name, low, high)

    def number(self, name: str) -> float:
        """Take a finite number."""
        value = self._take(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.error(name, "a number", value)
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self.error(name, "a finite number", value)
        return number

    def mapping(self, name: str) -> dict[str, Any]:
        """Take a JSON object."""
        value = self._take(name)
        if not isinstance(value, dict):
            raise self.error(name, "a JSON object", value)
        return value

    def listed(self, name: str) -> list[Any]:
        """Take a JSON list."""
        value = self._take(name)
        if not isinstance(value, list):
            raise self.error(name, "a JSON list", value)
        return value

    def is_null(self, name: str) -> bool:
        """Whether a field that is there is null; it is not taken."""
        return name in self._left and self._left[name] is None

    def skip(self, name: str) -> None:
        """Take a field as it is."""
        self._take(name)

    def end(self) -> None:
        """Refuse what nobody has taken."""
        for name in self._left:
            raise InvalidValueError(f"{self.where}: {self._prefix}{name}: there is no such field")

    def error(self, name: str, wanted: str, got: object) -> InvalidValueError:
        """Say what was wanted of a field."""
        return InvalidValueError(f"{self.where}: {self._prefix}{name}: wanted {wanted}, got {_shown(got)}")

    def _take(self, name: str) -> object:
        if name not in self._left:
            raise InvalidValueError(f"{self.where}: {self._prefix}{name}: missing")
        return self._left.pop(name)


def _shown(value: object, longest: int = 60) -> str:
    # A whole number with thousands of digits cannot be written.
    try:
        shown = repr(value)
    except ValueError:
        shown = f"a {type(value).__name__}"
    return shown if len(shown) <= longest else shown[:longest] + "…"
