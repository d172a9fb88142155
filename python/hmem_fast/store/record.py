"""Rows of the truth as Python values, and the checksum each row carries.

A checksum is the CRC-32 of the row's fields, each preceded by its length, so that no two different rows are joined
into the same bytes. It finds a damaged disk or a foreign edit, not an attacker.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from hmem_fast.core import row_checksum
from hmem_fast.errors import DTypeError, InvalidValueError, StoreCorruptError
from hmem_fast.types import FloatArray

__all__ = [
    "KeyRecord",
    "LinkRecord",
    "MemoryRecord",
    "NewKey",
    "NewLink",
    "NewMemory",
    "check_text",
    "dump_metadata",
    "dump_vectors",
    "load_vector",
]


#: SQLite reads JSON of up to a thousand levels; nobody means to filter by more than a few.
_MAX_DEPTH = 64

# Made once: json.dumps with options makes an encoder anew each time.
_to_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode

_JSON_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"')
_JSON_NUL = re.compile(r"(?<!\\)(?:\\\\)*+\\u0000")


class MemoryRecord(NamedTuple):
    """What is stored of a memory itself."""

    memory_id: int
    external_id: str | None
    text: str
    metadata: str
    """A JSON object, as text."""

    def checksum(self) -> int:
        """CRC-32 of the row."""
        return row_checksum(self.memory_id, self.external_id, self.text, self.metadata)

    def is_whole(self, stored: int) -> bool:
        """Whether it is what was written. Text and bytes have the same checksum, so that is looked at too."""
        return bytes not in map(type, self) and self.checksum() == stored


class NewMemory(NamedTuple):
    """A memory that is about to be stored."""

    external_id: str | None
    text: str
    metadata: str = "{}"


class NewKey(NamedTuple):
    """A key that is about to be stored."""

    kind: str
    text: str | None
    vector: bytes | None
    """float32, little-endian; None for a key that waits for its encoder."""
    producer: str | None


class NewLink(NamedTuple):
    """A link that is about to be stored."""

    source: int
    target: int
    kind: str
    weight: float


class KeyRecord(NamedTuple):
    """What is stored of a key."""

    key_id: int
    memory_id: int
    kind: str
    text: str | None
    vector: bytes | None
    """float32, little-endian; None while the key is stale."""
    producer: str | None

    def checksum(self) -> int:
        """CRC-32 of the row."""
        return row_checksum(self.key_id, self.memory_id, self.kind, self.text, self.vector, self.producer)

    def is_whole(self, stored: int) -> bool:
        """Whether it is what was written. Text and bytes have the same checksum, so that is looked at too."""
        types = tuple(map(type, self))
        return types[4] is not str and bytes not in (types[2], types[3], types[5]) and self.checksum() == stored


class LinkRecord(NamedTuple):
    """What is stored of a link."""

    link_id: int
    source: int
    target: int
    kind: str
    weight: float

    def checksum(self) -> int:
        """CRC-32 of the row."""
        return row_checksum(*self)

    def is_whole(self, stored: int) -> bool:
        """Whether it is what was written. Text and bytes have the same checksum, so that is looked at too."""
        return bytes not in map(type, self) and self.checksum() == stored


def damaged(what: str) -> StoreCorruptError:
    """Say that a row does not match its checksum."""
    return StoreCorruptError(f"{what}: its checksum does not match; the file was damaged or edited by hand")


def check_row(record: MemoryRecord | KeyRecord | LinkRecord, stored: int) -> None:
    """Compare a row that was read with the checksum beside it.

    Raises
    ------
    StoreCorruptError
        If they differ; the message names the row.
    """
    if not record.is_whole(stored):
        raise damaged(f"{_NAMES[type(record)]} {record[0]}")


_NAMES: dict[type, str] = {MemoryRecord: "memory", KeyRecord: "key", LinkRecord: "link"}


def check_text(argument: str, text: object) -> str:
    """Give `text` back if it can be stored: a string without lone surrogates.

    Raises
    ------
    DTypeError
        If it is no string.
    InvalidValueError
        If it holds half of a surrogate pair and so is no valid Unicode.
    """
    if not isinstance(text, str):
        raise DTypeError(f"{argument}: wanted a string, got {type(text).__name__}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        found = ord(text[error.start])
        raise InvalidValueError(
            f"{argument}: wanted valid Unicode, got a lone surrogate U+{found:04X} at position {error.start}"
        ) from None
    return text


def dump_metadata(metadata: object) -> str:
    """Write metadata as the JSON object that is stored.

    Raises
    ------
    DTypeError
        If it is no mapping from strings to what JSON can hold.
    InvalidValueError
        If it holds NaN, an infinity, or a lone surrogate.
    """
    if metadata is None:
        return "{}"
    if not isinstance(metadata, Mapping) or not all(isinstance(name, str) for name in metadata):
        raise DTypeError(f"metadata: wanted a mapping with string keys, got {type(metadata).__name__}")
    try:
        written = _to_json(dict(metadata))
    except ValueError as error:
        raise InvalidValueError(f"metadata: wanted what JSON can hold, got {error}") from None
    except TypeError as error:
        raise DTypeError(f"metadata: wanted what JSON can hold, got {error}") from None
    except RecursionError:
        raise InvalidValueError(f"metadata: wanted at most {_MAX_DEPTH} levels of nesting") from None
    # Most metadata is flat and plain: it is looked at closely only where there is something to see.
    if written.count("[") + written.count("{") > _MAX_DEPTH and _depth(written) > _MAX_DEPTH:
        raise InvalidValueError(f"metadata: wanted at most {_MAX_DEPTH} levels of nesting")
    if "\\u0000" in written and _JSON_NUL.search(written):
        raise InvalidValueError("metadata: wanted text without NUL characters, which SQLite's JSON would cut off")
    return check_text("metadata", written)


def _depth(written: str) -> int:
    """Levels of brackets in JSON text, those inside strings left out."""
    depth = deepest = 0
    for bracket in re.findall(r"[\[\]{}]", _JSON_STRING.sub("", written)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def load_metadata(written: str) -> dict[str, Any]:
    """Read what `dump_metadata` wrote."""
    if written == "{}":
        return {}  # as most memories have it
    metadata: dict[str, Any] = json.loads(written)
    return metadata


def dump_vectors(vectors: FloatArray) -> list[bytes]:
    """Write the rows of a matrix as little-endian float32 bytes."""
    raw = np.ascontiguousarray(vectors, dtype="<f4").tobytes()
    n_bytes = 4 * vectors.shape[1]
    return [raw[start : start + n_bytes] for start in range(0, len(raw), n_bytes)]


def load_vector(raw: bytes) -> FloatArray:
    """Read a row that `dump_vectors` wrote; the result is read-only."""
    return np.frombuffer(raw, dtype="<f4").astype(np.float32, copy=False)
