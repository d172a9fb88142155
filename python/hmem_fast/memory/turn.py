"""What a caller hands in to be remembered, checked before anything is written."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np

from hmem_fast.errors import DTypeError, InvalidValueError, ShapeError
from hmem_fast.store.record import check_text, dump_metadata
from hmem_fast.types import FloatArray

__all__ = ["ITEM_FIELDS", "MAX_KEYS", "NewTurn", "from_seconds", "to_seconds"]

#: Dense keys a memory may have. With log-sum-exp pooling a thousand keys would add ln(1000)/beta to every score.
MAX_KEYS = 32

#: What `Memory.store` takes, and so what an item of `Memory.store_many` may name.
ITEM_FIELDS = ("text", "cues", "vector", "vectors", "speaker", "session", "time", "metadata", "external_id", "after")

_KNOWN_FIELDS = frozenset(ITEM_FIELDS)


class NewTurn(NamedTuple):
    """A memory that is about to be stored, all of it checked."""

    text: str
    cues: tuple[str, ...]
    vectors: FloatArray | None
    """(keys, dim) float32; None where the memory's encoder makes the keys."""
    speaker: str | None
    session: str | None
    time: float | None
    """Seconds since the epoch."""
    metadata: str
    """A JSON object."""
    external_id: str | None
    after: tuple[int, ...]
    """Memories that lead to this one."""

    @classmethod
    def from_item(cls, item: object, *, dim: int, max_text_bytes: int) -> NewTurn:
        """Check one item: a mapping with the arguments of `Memory.store`."""
        if not isinstance(item, dict | Mapping):
            raise DTypeError(f"items: wanted mappings with the arguments of store, got {type(item).__name__}")
        if not item.keys() <= _KNOWN_FIELDS:
            unknown = next(name for name in item if name not in _KNOWN_FIELDS)
            raise InvalidValueError(f"items: wanted the fields {', '.join(ITEM_FIELDS)}, got {unknown!r}")
        if "text" not in item:
            raise InvalidValueError("text: wanted a string, got an item without it")
        return cls(
            text=check_size("text", item["text"], max_text_bytes),
            cues=check_cues(item.get("cues", ()), max_text_bytes),
            vectors=_check_vectors(item.get("vector"), item.get("vectors"), dim),
            speaker=check_name("speaker", item.get("speaker")),
            session=check_name("session", item.get("session")),
            time=to_seconds(item.get("time")),
            metadata=dump_metadata(item.get("metadata")),
            external_id=check_name("external_id", item.get("external_id")),
            after=tuple(check_ids(item.get("after", ()))),
        )


def check_ids(ids: int | Iterable[int]) -> list[int]:
    """Give each id once."""
    wanted = [ids] if isinstance(ids, int | np.integer) else ids
    return list(dict.fromkeys(check_id(memory_id) for memory_id in wanted))


def check_id(memory_id: object) -> int:
    """Refuse what is no id of a memory."""
    if isinstance(memory_id, bool) or not isinstance(memory_id, int | np.integer):
        raise DTypeError(f"id: wanted a whole number, got {type(memory_id).__name__}")
    return int(memory_id)


def check_count(argument: str, value: object, least: int) -> int:
    """Refuse what is no whole number from `least` on."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise DTypeError(f"{argument}: wanted a whole number, got {type(value).__name__}")
    if value < least:
        raise InvalidValueError(f"{argument}: wanted {least} or more, got {value}")
    return int(value)


def check_size(argument: str, text: object, max_text_bytes: int) -> str:
    """Refuse what is no valid text or longer than the memory's limit."""
    checked = check_text(argument, text)
    if len(checked) * 4 > max_text_bytes and (size := len(checked.encode())) > max_text_bytes:
        raise InvalidValueError(
            f"{argument}: wanted at most {max_text_bytes} bytes, got {size}; "
            "split it, or open the memory with a larger max_text_bytes"
        )
    return checked


def check_cues(cues: object, max_text_bytes: int) -> tuple[str, ...]:
    """Refuse cues that are no sequence of non-empty strings, or too many."""
    if cues == ():
        return ()
    if isinstance(cues, str) or not isinstance(cues, Sequence):
        raise DTypeError(f"cues: wanted a sequence of strings, got {type(cues).__name__}")
    checked = tuple(check_size("cues", cue, max_text_bytes) for cue in cues)
    if any(not cue.strip() for cue in checked):
        raise InvalidValueError("cues: wanted some text in each cue, got only white space")
    if len(checked) >= MAX_KEYS:
        raise InvalidValueError(f"cues: wanted at most {MAX_KEYS - 1} a memory, got {len(checked)}")
    return checked


def check_name(argument: str, value: object) -> str | None:
    """Refuse an optional name that is no valid text."""
    return None if value is None else check_text(argument, value)


def to_seconds(time: object) -> float | None:
    """Turn an aware datetime or seconds since the epoch into seconds since the epoch.

    Raises
    ------
    DTypeError
        If it is neither.
    InvalidValueError
        If the datetime has no time zone, or the number is no date that a datetime can hold.
    """
    if time is None:
        return None
    if isinstance(time, datetime):
        if time.tzinfo is None:
            raise InvalidValueError(f"time: wanted an aware datetime, got one without a time zone: {time!r}")
        time = time.timestamp()
    if isinstance(time, bool) or not isinstance(time, int | float | np.integer | np.floating):
        raise DTypeError(f"time: wanted an aware datetime or seconds since the epoch, got {type(time).__name__}")
    seconds = float(time)
    try:
        from_seconds(seconds)
    except (ValueError, OverflowError, OSError):
        raise InvalidValueError(
            f"time: wanted seconds since the epoch, within the years 1 to 9999, got {time!r}"
        ) from None
    return seconds


def from_seconds(seconds: float) -> datetime:
    """Turn seconds since the epoch into an aware datetime in UTC."""
    return datetime.fromtimestamp(seconds, UTC)


def _check_vectors(vector: object, vectors: object, dim: int) -> FloatArray | None:
    if vector is not None and vectors is not None:
        raise InvalidValueError("vectors: wanted either vector or vectors, got both")
    if vector is not None:
        return check_vector("vector", vector, dim)[np.newaxis]
    if vectors is None:
        return None
    if type(vectors) is np.ndarray and vectors.dtype == np.float32 and vectors.ndim == 2 and vectors.shape[1] == dim:
        squares = np.einsum("ij,ij->i", vectors, vectors)  # see check_vector
        if 1 <= len(squares) <= MAX_KEYS and squares.min() > 0 and squares.max() < math.inf:
            return np.ascontiguousarray(vectors)
    rows = check_floats("vectors", vectors)
    if rows.ndim != 2 or rows.shape[1] != dim or not 1 <= rows.shape[0] <= MAX_KEYS:
        raise ShapeError(f"vectors: wanted shape (1 to {MAX_KEYS}, {dim}), got {rows.shape}")
    for row in rows:
        _check_direction("vectors", row)
    return rows


def check_vector(argument: str, vector: object, dim: int) -> FloatArray:
    """Refuse what is no (dim,) vector with a direction."""
    if type(vector) is np.ndarray and vector.dtype == np.float32 and vector.shape == (dim,):
        # A sum of squares that is finite and above zero says at once what the checks below say one by one.
        squares = float(vector @ vector)
        if 0 < squares < math.inf:
            return np.ascontiguousarray(vector)
    row = check_floats(argument, vector)
    if row.shape != (dim,):
        raise ShapeError(f"{argument}: wanted shape ({dim},), got {row.shape}")
    _check_direction(argument, row)
    return row


def check_floats(argument: str, values: Any) -> FloatArray:  # noqa: ANN401 - whatever numpy can read
    """Read floating-point numbers as float32."""
    array = np.asarray(values)
    if array.dtype.kind != "f":
        raise DTypeError(f"{argument}: wanted floating-point numbers, got dtype {array.dtype}")
    with np.errstate(over="ignore"):
        rows = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(rows).all():
        raise InvalidValueError(f"{argument}: wanted finite float32 numbers, got NaN or an infinity")
    return rows


def _check_direction(argument: str, row: FloatArray) -> None:
    if not row.any():
        raise InvalidValueError(f"{argument}: wanted a vector with a direction, got all zeros")
