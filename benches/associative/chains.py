"""Whether chains of associations lead where they should."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from benches.associative.speed import UNITS
from hmem_fast.core import Associator, index_codes

__all__ = ["chains_of", "measure", "replaced"]

HOPS, LINKS_A_MEMORY, STARTS = 6, 0.8, 1_000
_SEED = 12


def measure(sizes: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Give two rows for each number of memories: exact cues, and a fifth of each code replaced before each hop."""
    for size in sizes:
        codes = index_codes(np.arange(size))
        links, starts = chains_of(size)
        associator = Associator()
        associator.learn(codes[links[:, 0]], codes[links[:, 1]])
        for corrupt in (0.0, 0.2):
            right = np.ones(len(starts), dtype=bool)
            found, by_hop = codes[starts[:, 0]], []
            for hop in range(HOPS):
                found = associator.recall(replaced(found, corrupt, seed=_SEED + hop))
                right &= (found == codes[starts[:, hop + 1]]).all(axis=1)
                by_hop.append(float(right.mean()))
            if corrupt == 0:
                assert (associator.recall(codes[starts[:, 0]], hops=HOPS) == found).all()
            yield {
                "op": "chain",
                "implementation": "Associator",
                "memories": size,
                "links": len(links),
                "corrupt": corrupt,
                "chains": len(starts),
                "correct": float(right.mean()),
                "by_hop": by_hop,
            }


def chains_of(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Link memories in chains, .8 links a memory.

    Shapes
    ------
    links   (.8 · size, 2)  from, to; no memory has two successors or predecessors
    starts  (m, HOPS + 1)  memories of chains that are long enough, m at most `STARTS`
    """
    order = np.random.default_rng(_SEED).permutation(size)
    # Of ten memories nine stand in a chain and one alone: eight links.
    chains = order[: size // 10 * 10].reshape(-1, 10)
    links = np.stack([chains[:, :-1], chains[:, 1:]], axis=-1)[:, :8].reshape(-1, 2)
    return links, chains[:STARTS, : HOPS + 1]


def replaced(codes: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Replace a share of each code's units by units that it lacks."""
    rng = np.random.default_rng(seed)
    corrupted = codes.copy()
    count = round(share * codes.shape[1])
    for row in corrupted:
        others = np.setdiff1d(rng.choice(UNITS, 3 * count + 60, replace=False), row)
        row[rng.permutation(len(row))[:count]] = rng.permutation(others)[:count]
    return corrupted
