"""How long it takes a cue to spread, beside scipy's sparse matrices and plain numpy.

    python benches/spread.py
    python benches/spread.py --nodes 20000 --links 100000 --rounds 15

One process, one thread, alternating rounds; every answer is compared with numpy's. Seeds differ from call to call.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hmem_fast.core import Graph

Floats = NDArray[np.float64]
Spreading = Callable[[NDArray[np.int64]], Floats]

WALK, STEPS, SEEDS = 0.5, 10, 20


def random_links(nodes: int, links: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Distinct undirected links between random nodes: the least that a cache can help."""
    rng = np.random.default_rng(0)
    ends = np.sort(rng.integers(0, nodes, (3 * links, 2)), axis=1)
    ends = np.unique(ends[ends[:, 0] < ends[:, 1]], axis=0)
    ends = ends[rng.permutation(len(ends))[:links]]
    return ends[:, 0], ends[:, 1], (rng.random(len(ends)) + 0.5).astype(np.float32)


def both_ways(
    nodes: int, sources: NDArray[np.int64], targets: NDArray[np.int64], weights: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats, NDArray[np.bool_]]:
    """Each link in both directions, as the share of its source's score that it takes, and which nodes have none."""
    a, b = np.concatenate([sources, targets]), np.concatenate([targets, sources])
    wide = np.concatenate([weights, weights]).astype(np.float64)
    total = np.bincount(a, wide, nodes)
    return a, b, wide / total[a], total == 0


def power_iteration(nodes: int, step: Callable[[Floats], Floats], lonely: NDArray[np.bool_]) -> Spreading:
    """Personalised PageRank over a step that is given."""

    def spread(seeds: NDArray[np.int64]) -> Floats:
        start = np.zeros(nodes)
        start[seeds] = 1 / len(seeds)
        score = start
        for _ in range(STEPS):
            score = WALK * step(score) + (1 - WALK + WALK * score[lonely].sum()) * start
        return score

    return spread


def main() -> None:
    """Time, compare, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--nodes", type=int, default=20_000)
    parser.add_argument("--links", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    nodes = arguments.nodes
    sources, targets, weights = random_links(nodes, arguments.links)
    graph = Graph()
    graph.add(sources, targets, weights)
    a, b, shares, lonely = both_ways(nodes, sources, targets, weights)
    matrix = sparse.csr_matrix((shares, (b, a)), (nodes, nodes))
    by_numpy = power_iteration(nodes, lambda score: np.bincount(b, shares * score[a], nodes), lonely)
    by_scipy = power_iteration(nodes, lambda score: matrix @ score, lonely)

    def by_graph(seeds: NDArray[np.int64]) -> Floats:
        score = np.zeros(nodes)
        found = graph.spread(seeds, walk=WALK, steps=STEPS)
        score[found.ids] = found.scores
        return score

    rng = np.random.default_rng(1)
    seeds = rng.choice(nodes, SEEDS, replace=False)
    wanted = by_numpy(seeds)
    for other in (by_graph, by_scipy):
        np.testing.assert_allclose(other(seeds), wanted, rtol=1e-11, atol=1e-300)
    calls: dict[str, Callable[[NDArray[np.int64]], object]] = {
        "Graph.spread, k=200": lambda seeds: graph.spread(seeds, walk=WALK, steps=STEPS, k=200),
        "Graph.spread, all": lambda seeds: graph.spread(seeds, walk=WALK, steps=STEPS),
        "scipy, csr matrix": by_scipy,
        "numpy, bincount": by_numpy,
    }
    microseconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(arguments.rounds):
        for name, call in calls.items():
            seeds = rng.choice(nodes, SEEDS, replace=False)
            started = time.process_time_ns()
            call(seeds)
            microseconds[name].append((time.process_time_ns() - started) / 1e3)
    baseline = float(np.median(microseconds["scipy, csr matrix"]))
    print(f"{nodes} nodes, {graph.n_links} links, {STEPS} steps, {SEEDS} seeds; CPU time, {arguments.rounds} rounds")
    for name, values in microseconds.items():
        p50 = float(np.median(values))
        print(f"{name:22} p50_us {p50:9.0f}  least {min(values):9.0f}  scipy / this {baseline / p50:5.2f}")


if __name__ == "__main__":
    main()
