"""The `where` argument: which memories a recall may give back, as SQL over the truth."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np

from hmem_fast.errors import DTypeError, InvalidValueError
from hmem_fast.memory.turn import to_seconds
from hmem_fast.store.record import check_text

__all__ = ["Where", "to_sql"]

#: A conjunction: name -> value (equality), name -> list, tuple or set of values (membership), "time" -> (start, end).
Where = Mapping[str, Any]

_COLUMNS = ("speaker", "session")


def to_sql(where: Where) -> tuple[str, tuple[Any, ...]]:
    """Turn a filter into a query for memory ids and its parameters.

    ``speaker`` and ``session`` are compared with those of the memory, every other name with its metadata. A value
    means equality, a list, tuple or set means one of its members. ``time`` takes ``(start, end)``, each an aware
    datetime, seconds since the epoch, or None for open; `start` is within the range, `end` is not.

    Raises
    ------
    DTypeError, InvalidValueError
        If the filter is no mapping, or a value is of a kind that cannot be compared.
    """
    if not isinstance(where, Mapping):
        raise DTypeError(f"where: wanted a mapping from names to values, got {type(where).__name__}")
    conditions: list[str] = []
    parameters: list[Any] = []
    for name, value in where.items():
        check_text("where", name)
        if name == "time":
            _time_range(value, conditions, parameters)
            continue
        if name in _COLUMNS:
            column = f"turns.{name}"
        else:
            column = "(SELECT value FROM json_each(memories.metadata) WHERE key = ?)"
            parameters.append(name)
        members = list(value) if isinstance(value, AbstractSet | list | tuple) else None
        if members is None:
            conditions.append(f"{column} IS ?")
            parameters.append(_scalar(name, value))
        else:
            if None in members:  # SQL's IN never matches NULL
                raise InvalidValueError(f"where: {name}: None can be asked for alone, not as one of several values")
            conditions.append(f"{column} IN (SELECT value FROM json_each(?))")  # noqa: S608 - our own column
            parameters.append(json.dumps([_scalar(name, member) for member in members]))
    # Only names of our own columns are joined into the text; names and values of the caller are parameters.
    query = "SELECT memory_id FROM memories JOIN turns USING (memory_id)"
    conjunction = " AND ".join(conditions) or "TRUE"
    return f"{query} WHERE {conjunction} ORDER BY memory_id", tuple(parameters)


def _time_range(value: object, conditions: list[str], parameters: list[Any]) -> None:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        raise DTypeError(f"where: time: wanted (start, end), each None or a time, got {value!r}")
    for bound, comparison in zip(value, (">=", "<"), strict=True):
        seconds = to_seconds(bound)
        if seconds is not None:
            conditions.append(f"turns.time {comparison} ?")
            parameters.append(seconds)


def _scalar(name: str, value: object) -> str | int | float | None:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidValueError(f"where: {name}: wanted a finite number, got {value}")
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        raise InvalidValueError(f"where: {name}: wanted a number of 64 bits, got {value}")
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return check_text(f"where: {name}", value)
    raise DTypeError(
        f"where: {name}: wanted a string, number, bool, None, or a list of them, got {type(value).__name__}"
    )
