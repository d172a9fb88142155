"""What would go with memories if they were deleted."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from hmem_fast.errors import UnknownIdError

__all__ = ["ForgetPlan", "plan_forget"]


@dataclass(frozen=True, slots=True)
class ForgetPlan:
    """What a truth would lose; a use adds what it renews elsewhere.

    Attributes
    ----------
    memory_ids : tuple of int
        The memories, ascending.
    key_ids : tuple of int
        Their keys, ascending.
    links : tuple of (int, int)
        Source and target of the links from them and to them, ascending.
    changes : int
        Rows that the change log gains.
    """

    memory_ids: tuple[int, ...]
    key_ids: tuple[int, ...]
    links: tuple[tuple[int, int], ...]
    changes: int


def plan_forget(connection: sqlite3.Connection, memory_ids: Iterable[int]) -> ForgetPlan:
    """Read what `memory_ids` would take along."""
    wanted = sorted(set(memory_ids))
    listed = json.dumps(wanted)
    rows = connection.execute(
        "SELECT memory_id FROM memories WHERE memory_id IN (SELECT value FROM json_each(?))", (listed,)
    )
    there = {memory_id for (memory_id,) in rows}
    missing = next((memory_id for memory_id in wanted if memory_id not in there), None)
    if missing is not None:
        raise UnknownIdError(f"id: there is no memory {missing}")
    keys = connection.execute(
        "SELECT key_id FROM keys WHERE memory_id IN (SELECT value FROM json_each(?)) ORDER BY key_id", (listed,)
    )
    links = connection.execute(
        "SELECT source, target FROM links WHERE source IN (SELECT value FROM json_each(?)) UNION "
        "SELECT source, target FROM links WHERE target IN (SELECT value FROM json_each(?)) ORDER BY source, target",
        (listed, listed),
    )
    return ForgetPlan(tuple(wanted), tuple(key_id for (key_id,) in keys), tuple(links), len(wanted))
