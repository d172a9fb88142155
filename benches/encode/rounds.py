"""Alternating rounds: every implementation encodes the same texts in each round, and none always comes first.

Times drift on a machine that is shared, so implementations are compared within a round: the ratio of two is the median
of the rounds' ratios, not the ratio of two medians. Where other programs take the CPU away in the middle of a call,
only the time on a CPU tells what a call costs, so both are kept.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np

from benches.peers.rounds import orders

__all__ = ["Taken", "all_at_once", "alternate", "each_alone", "median_ratio", "timed_calls"]

Encode = Callable[[Sequence[str]], np.ndarray]
_Measured = TypeVar("_Measured")


class Taken(NamedTuple):
    """Seconds of the calls of one turn: on the clock, and on a CPU (of all threads)."""

    clock: np.ndarray
    cpu: np.ndarray


def alternate(turns: Mapping[str, Callable[[int], _Measured]], rounds: int) -> dict[str, list[_Measured]]:
    """Give each its turn once a round, with the round's number; collect what the turns give back."""
    names = list(turns)
    measured: dict[str, list[_Measured]] = {name: [] for name in names}
    collecting = gc.isenabled()
    gc.disable()
    try:
        for number, order in enumerate(orders(len(names), rounds)):
            for place in order:
                measured[names[place]].append(turns[names[place]](number))
            gc.collect()
    finally:
        if collecting:
            gc.enable()
    return measured


def each_alone(encode: Encode, texts: Sequence[str], a_round: int) -> Callable[[int], Taken]:
    """Make a turn that encodes the next `a_round` texts, a call each.

    One more call comes first and is not counted: another implementation has filled the caches with its weights.
    """

    def turn(number: int) -> Taken:
        some = _next(texts, number, a_round)
        encode([some[-1]])
        return timed_calls([partial(encode, [text]) for text in some])

    return turn


def all_at_once(encode: Encode, texts: Sequence[str], a_round: int) -> Callable[[int], Taken]:
    """Make a turn that encodes the next `a_round` texts in one call."""
    return lambda number: timed_calls([partial(encode, _next(texts, number, a_round))])


def timed_calls(calls: Sequence[Callable[[], object]]) -> Taken:
    """Call one after the other, and take the time of each."""
    clock, cpu = [], []
    for call in calls:
        on_cpu, start = time.process_time_ns(), time.perf_counter_ns()
        call()
        clock.append((time.perf_counter_ns() - start) / 1e9)
        cpu.append((time.process_time_ns() - on_cpu) / 1e9)
    return Taken(np.array(clock), np.array(cpu))


def median_ratio(of: Sequence[np.ndarray], to: Sequence[np.ndarray]) -> float:
    """Median over rounds of one's time by the other's; a round of several calls counts by its median."""
    return float(np.median([np.median(a) / np.median(b) for a, b in zip(of, to, strict=True)]))


def _next(texts: Sequence[str], number: int, a_round: int) -> list[str]:
    count = min(a_round, len(texts))
    return [texts[(number * count + place) % len(texts)] for place in range(count)]
