"""Alternating rounds: each method answers each query once a round, and no method always comes first."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

__all__ = ["Times", "orders", "timed_calls"]


@dataclass
class Times:
    """What one method took, in microseconds for each query; one array a round.

    Attributes
    ----------
    rounds : list of array
        Time on the clock.
    cpu : list of array
        Time on a CPU, of all threads: what remains when other programs on the machine take the CPU away.
    """

    rounds: list[np.ndarray] = field(default_factory=list)
    cpu: list[np.ndarray] = field(default_factory=list)

    @property
    def p50_us(self) -> float:
        """Median over all calls of all rounds."""
        return float(np.median(np.concatenate(self.rounds)))

    @property
    def cpu_p50_us(self) -> float:
        """Median of the time on a CPU, over all calls of all rounds."""
        return float(np.median(np.concatenate(self.cpu)))

    @property
    def round_p50_us(self) -> list[float]:
        """Median of each round: what drifted."""
        return [float(np.median(one)) for one in self.rounds]

    @property
    def noise(self) -> float:
        """Distance between the slowest and the fastest round's median, as a fraction of the median over all."""
        medians = self.round_p50_us
        return (max(medians) - min(medians)) / self.p50_us


def orders(count: int, rounds: int, seed: int = 0) -> Iterator[list[int]]:
    """Give the order of the methods in each round.

    A shuffled order is rotated from round to round, so that in as many rounds as there are methods each stands once at
    each place; within a place's turn the neighbours change too, for every full turn is shuffled anew.
    """
    shuffler = random.Random(seed)
    base: list[int] = []
    starts: list[int] = []
    for number in range(rounds):
        if number % max(count, 1) == 0:
            base = shuffler.sample(range(count), count)
            starts = shuffler.sample(range(count), count)
        start = starts[number % count] if count else 0
        yield base[start:] + base[:start]


def timed_calls(
    search: Callable[[np.ndarray, int], np.ndarray], batches: Sequence[np.ndarray], k: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Search each batch once, after one call that is not counted and fills the caches.

    Returns
    -------
    times  (len(batches),)  microseconds on the clock for each query of a call
    cpu    (len(batches),)  the same, on a CPU
    ids    (queries, k)  the answers, in order
    """
    search(batches[-1], k)
    times, cpu, ids = [], [], []
    gc.collect()
    collecting = gc.isenabled()
    gc.disable()
    try:
        for batch in batches:
            on_cpu, start = time.process_time_ns(), time.perf_counter_ns()
            found = search(batch, k)
            times.append((time.perf_counter_ns() - start) / 1e3 / len(batch))
            cpu.append((time.process_time_ns() - on_cpu) / 1e3 / len(batch))
            ids.append(found)
    finally:
        if collecting:
            gc.enable()
    return np.array(times), np.array(cpu), np.vstack(ids)
