"""Links between memories in the truth: who may make them, and how they come and go."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from itertools import permutations

import numpy as np

from hmem_fast.errors import DTypeError, InvalidValueError
from hmem_fast.memory import turn_table
from hmem_fast.memory.turn import check_id
from hmem_fast.store import LinkRecord, NewLink, TraceStore, Transaction
from hmem_fast.types import FloatArray

__all__ = [
    "LINK",
    "LINK_KINDS",
    "TURN",
    "USE",
    "as_float32",
    "both_ways",
    "check_link",
    "check_weight",
    "forget_turn",
    "link_turns",
    "reinforce",
]

LINK = "link"
"""Made by the caller."""
TURN = "turn"
"""From a turn to the next one of its session."""
USE = "use"
"""Learnt from memories that were useful together."""

LINK_KINDS = (LINK, TURN, USE)

#: Memories that may be reinforced together: each pair of them gets two links.
_MAX_TOGETHER = 64

#: A link that decayed below this goes.
_FAINTEST = 0.01

#: A link counts no less and no more than this where it is walked along: in float32, neither it nor a sum vanishes.
_LEAST_WEIGHT, _MOST_WEIGHT = 1e-30, 1e30


def check_link(source: object, target: object, weight: object) -> NewLink:
    """Check what a caller wants to link."""
    link = NewLink(check_id(source), check_id(target), LINK, check_weight("weight", weight))
    if link.source == link.target:
        raise InvalidValueError(f"target: wanted another memory than the source, got {link.target} for both")
    return link


def check_weight(argument: str, weight: object) -> float:
    """Refuse what is no finite number above 0."""
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        raise DTypeError(f"{argument}: wanted a number, got {type(weight).__name__}")
    if not (weight > 0 and math.isfinite(weight)):
        raise InvalidValueError(f"{argument}: wanted a finite number above 0, got {weight}")
    return float(weight)


def as_float32(weights: Sequence[float]) -> FloatArray:
    """Give weights as the core takes them, whatever the caller has stored."""
    return np.clip(np.array(weights, dtype=np.float64), _LEAST_WEIGHT, _MOST_WEIGHT).astype(np.float32)


def both_ways(links: Iterable[LinkRecord]) -> list[tuple[int, int, float]]:
    """Add up links of all kinds and both directions between each two memories, the smaller id first."""
    sums: dict[tuple[int, int], float] = {}
    for link in links:
        if link.source == link.target:  # an import may hold one; it leads nowhere
            continue
        pair = (link.source, link.target) if link.source < link.target else (link.target, link.source)
        sums[pair] = sums.get(pair, 0.0) + link.weight
    return [(*pair, weight) for pair, weight in sums.items()]


def link_turns(transaction: Transaction, memory_ids: Iterable[int]) -> int:
    """Link turns to the one before them in their session; gives how many links are new."""
    pairs = turn_table.previous(transaction.connection, memory_ids)
    there = _among(transaction.connection, pairs.values(), TURN)
    new = [NewLink(before, memory_id, TURN, 1.0) for memory_id, before in pairs.items()]
    new = [link for link in new if link[:2] not in there]
    transaction.put_links(new)
    return len(new)


def forget_turn(transaction: Transaction, memory_id: int) -> None:
    """Close the gap that a turn leaves which is about to be deleted: the one before it leads to the one behind it."""
    near = "SELECT {} FROM links WHERE {} = ? AND kind = ?"
    execute = transaction.connection.execute
    before = [i for (i,) in execute(near.format("source", "target"), (memory_id, TURN))]
    behind = [i for (i,) in execute(near.format("target", "source"), (memory_id, TURN))]
    transaction.put_links(NewLink(a, b, TURN, 1.0) for a in before for b in behind)


def reinforce(store: TraceStore, memory_ids: Sequence[int], *, amount: float, decay: float, most: float) -> int:
    """Link memories that were useful together, in one transaction; gives the number of links that were changed.

    Hebbian: what is recalled together is linked. Links from these memories to others fade.
    """
    if len(memory_ids) > _MAX_TOGETHER:
        raise InvalidValueError(f"ids: wanted at most {_MAX_TOGETHER} memories at a time, got {len(memory_ids)}")
    pairs = set(permutations(memory_ids, 2))
    with store.transaction() as transaction:
        held = {
            (source, target): weight
            for source, target, weight in transaction.connection.execute(
                "SELECT source, target, weight FROM links WHERE kind = ? "
                "AND source IN (SELECT value FROM json_each(?))",
                (USE, json.dumps(list(memory_ids))),
            )
        }
        weights = _reinforced(held, pairs, amount=amount, decay=decay, most=most)
        faded = [pair for pair, weight in weights.items() if weight < _FAINTEST]
        transaction.put_links(NewLink(*pair, USE, weight) for pair, weight in weights.items() if weight >= _FAINTEST)
        transaction.delete_links((*pair, USE) for pair in faded if pair in held)
    return len(weights)


def _reinforced(
    held: Mapping[tuple[int, int], float],
    pairs: Iterable[tuple[int, int]],
    *,
    amount: float,
    decay: float,
    most: float,
) -> dict[tuple[int, int], float]:
    weights = {pair: decay * weight for pair, weight in held.items()}
    for pair in pairs:
        weights[pair] = min(most, weights.get(pair, 0.0) + amount)
    return weights


def _among(connection: sqlite3.Connection, sources: Iterable[int], kind: str) -> set[tuple[int, int]]:
    rows = connection.execute(
        "SELECT source, target FROM links WHERE kind = ? AND source IN (SELECT value FROM json_each(?))",
        (kind, json.dumps(list(sources))),
    )
    return set(rows)
