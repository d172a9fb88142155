"""Following links from memory to memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from hmem_fast.memory import turn_table
from hmem_fast.memory.network import Network, Reached
from hmem_fast.memory.records import to_hit
from hmem_fast.memory.result import Alternative, Chain, Hit, Hop
from hmem_fast.store import TraceStore

__all__ = ["follow", "read_chain"]


class _Path(NamedTuple):
    """Memories in a row, from the first one on, and how they were reached."""

    start: int
    steps: tuple[tuple[Reached, ...], ...]
    """At each step what was reached; the first one of it was taken."""
    log_share: float

    @property
    def last(self) -> int:
        """Where it has come to."""
        return self.steps[-1][0].id if self.steps else self.start

    @property
    def seen(self) -> set[int]:
        """Where it has been."""
        return {self.start, *(reached[0].id for reached in self.steps)}


def follow(network: Network, start: int, hops: int, branches: int, alternatives: int) -> _Path:
    """Find the path of the largest product of shares, keeping the best `branches` at each hop.

    A path never comes back to where it was, and ends where nothing new is reached.
    """
    paths = [_Path(start, (), 0.0)]
    for _ in range(hops):
        longer: list[_Path] = []
        for path in paths:
            seen = path.seen
            reached = [r for r in network.reach(path.last, branches + alternatives + len(seen)) if r.id not in seen]
            for taken in reached[:branches]:
                others = [r for r in reached if r is not taken][:alternatives]
                share = math.log(max(taken.share, 1e-300))
                longer.append(_Path(start, (*path.steps, (taken, *others)), path.log_share + share))
        if not longer:
            break
        paths = sorted(longer, key=lambda path: -path.log_share)[:branches]
    return paths[0]


def read_chain(store: TraceStore, start: Hit, path: _Path, hops: int) -> Chain:
    """Read the memories of a path; it ends before one that has just been forgotten."""
    wanted = [step[0].id for step in path.steps]
    with store.snapshot() as connection:
        found = turn_table.read_with_memories(connection, wanted)
    taken: list[Hop] = []
    for step in path.steps:
        reached = step[0]
        if reached.id not in found:
            break
        taken.append(Hop(to_hit(*found[reached.id], reached.share), reached.overlap, _others(step[1:])))
    return Chain(start, taken, ended="hops" if len(taken) == hops else "nothing new")


def _others(reached: Sequence[Reached]) -> tuple[Alternative, ...]:
    return tuple(Alternative(*other) for other in reached)
