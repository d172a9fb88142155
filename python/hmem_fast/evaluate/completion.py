"""Completion: a stored pattern comes back with noise on it, and a method is to end at the right one.

The cue is a stored unit vector plus Gaussian noise, independent in each number, whose length is on average a multiple
of the pattern's. A method is right where it ends at the pattern that the cue was made of:

- ``nearest``: the stored pattern that is most similar to the cue;
- ``hopfield``: the nearest patterns, then settling among them; where it ends is the stored pattern nearest to the
  settled state;
- ``hebbian``: a linear association of winner-take-all codes with themselves, as `hebbian` describes; where it ends is
  the stored code that shares most units with the recalled one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmem_fast.core import DenseIndex
from hmem_fast.errors import InvalidValueError
from hmem_fast.evaluate.hebbian import Codes, codes_of
from hmem_fast.evaluate.metrics import confidence_interval
from hmem_fast.types import FloatArray, IdArray

__all__ = ["BETAS", "MEMORIES", "NOISE", "clustered_patterns", "run_completion"]

MEMORIES = (1_000, 5_000, 20_000)
NOISE = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
BETAS = (16.0, 64.0, 256.0)

#: Patterns of a cluster, on average, and how far they lie from its centre, as a multiple of the centre's length.
_OF_A_CLUSTER = 50
_SPREAD = 0.5


def clustered_patterns(n: int, dim: int, *, seed: int) -> FloatArray:
    """Make unit vectors around random centres, fifty a centre: cosine .8 to each other within a cluster, 0 without.

    Shapes
    ------
    result  (n, dim)  float32
    """
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((max(1, n // _OF_A_CLUSTER), dim))
    rows = centres[rng.integers(len(centres), size=n)] + _SPREAD * rng.standard_normal((n, dim))
    return _units(rows)


def run_completion(
    patterns: Mapping[str, FloatArray],
    *,
    memories: Sequence[int] = MEMORIES,
    noise: Sequence[float] = NOISE,
    betas: Sequence[float] = BETAS,
    k: int = 20,
    steps: int = 3,
    n_cues: int = 500,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[dict[str, Any]]:
    """Complete noisy cues by each method.

    Parameters
    ----------
    patterns : mapping of str to (n, dim) float32
        Name of a set -> unit vectors; of each, the first are stored.
    memories : sequence of int
        How many are stored.
    noise : sequence of float
        Length of the noise, as a multiple of the pattern's.
    betas, k, steps
        How ``hopfield`` settles; each beta is a row.
    n_cues : int
        Patterns that come back as cues, drawn by chance; at most all that are stored.
    seed : int
        Fixes cues, noise and the projection of ``hebbian``.
    progress : callable, optional
        Called with the steps done and the steps there are.

    Returns
    -------
    list of dict
        The rows of a result file.

    Raises
    ------
    InvalidValueError
        If a set has fewer patterns than are to be stored.
    """
    rows: list[dict[str, Any]] = []
    total = len(patterns) * len(memories) * len(noise)
    for number, (name, vectors) in enumerate(patterns.items()):
        if len(vectors) < max(memories):
            raise InvalidValueError(
                f"memories: wanted at most the {len(vectors)} that {name!r} has, got {max(memories)}"
            )
        codes = codes_of(vectors[: max(memories)], seed=seed)
        for size in memories:
            stored, hebbian = DenseIndex(vectors.shape[1]), Codes(codes[:size])
            stored.add(vectors[:size])
            rng = np.random.default_rng([seed, number, size])
            wanted = rng.choice(size, min(n_cues, size), replace=False)
            direction = rng.standard_normal((len(wanted), vectors.shape[1])) / np.sqrt(vectors.shape[1])
            for level in noise:
                cues = _units(vectors[wanted] + level * direction)
                common = {"set": name, "noise": level, "memories": size, "cues": len(wanted)}
                common["cosine"] = float(np.einsum("ij,ij->i", cues, vectors[wanted], dtype=np.float64).mean())
                ends = stored.search(cues, 1).ids[:, 0]
                rows.append(_row("nearest", ends == wanted, common, seed))
                for beta in betas:
                    state = stored.complete(cues, k, beta=beta, steps=steps).vectors
                    ends = stored.search(state, 1).ids[:, 0]
                    reached = np.einsum("ij,ij->i", state, vectors[wanted], dtype=np.float64).mean()
                    row = _row("hopfield", ends == wanted, common, seed)
                    rows.append({**row, "beta": beta, "settled_cosine": float(reached)})
                ends = _hebbian_ends(hebbian, codes_of(cues, seed=seed))
                rows.append(_row("hebbian", ends == wanted, common, seed))
                if progress is not None:
                    progress(len(rows) // (2 + len(betas)), total)
    return rows


def _hebbian_ends(memory: Codes, cues: NDArray[np.int32]) -> IdArray:
    return np.array([memory.complete(cue) for cue in cues], dtype=np.int64)


def _row(name: str, correct: NDArray[np.bool_], common: Mapping[str, Any], seed: int) -> dict[str, Any]:
    ends = correct.astype(np.float64)
    return {"name": name, **common, "correct": float(ends.mean()), "correct_ci": confidence_interval(ends, seed=seed)}


def _units(rows: NDArray[np.floating]) -> FloatArray:
    units: FloatArray = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return units
