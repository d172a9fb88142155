"""The `where` argument: which memories a recall may give back, as SQL over the truth."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np

from hmem_fast.errors import DTypeError, InvalidValueError
from hmem_fast.memory.turn import to_seconds
from hmem_fast.store.record import check_text

__all__ = ["Sql", "Where", "select", "to_sql"]

#: A conjunction: name -> value (equality), name -> list, tuple or set of values (membership), "time" -> (start, end).
Where = Mapping[str, Any]

#: A filter as SQL: conditions and their parameters.
Sql = tuple[str, tuple[Any, ...]]

_COLUMNS = ("speaker", "session")

#: SQLite takes 32,766 parameters in one statement.
_MAX_VALUES = 30_000


def select(connection: sqlite3.Connection, sql: Sql, among: Iterable[int] | None = None) -> list[int]:
    """Give the ids of all memories that a filter lets through, or of those `among` some, ascending."""
    conditions, parameters = sql
    if among is not None:
        conditions += " AND memory_id IN (SELECT value FROM json_each(?))"
        parameters += (json.dumps(list(among)),)
    # Only names of our own columns are in the text; names and values of the caller are parameters.
    query = f"SELECT memory_id FROM memories JOIN turns USING (memory_id) WHERE {conditions} ORDER BY memory_id"  # noqa: S608 - see above
    return [memory_id for (memory_id,) in connection.execute(query, parameters)]


def to_sql(where: Where) -> Sql:
    """Turn a filter into conditions and their parameters.

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
            # An index of what is there serves "=" and not "IS".
            conditions.append(f"{column} {'IS' if value is None else '='} ?")
            parameters.append(_scalar(name, value))
        else:
            if None in members:  # SQL's IN never matches NULL
                raise InvalidValueError(f"where: {name}: None can be asked for alone, not as one of several values")
            conditions.append(f"{column} IN ({', '.join('?' * len(members))})")
            parameters += [_scalar(name, member) for member in members]
    if len(parameters) > _MAX_VALUES:
        raise InvalidValueError(f"where: wanted at most {_MAX_VALUES} values, got {len(parameters)}")
    return " AND ".join(conditions) or "TRUE", tuple(parameters)


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
