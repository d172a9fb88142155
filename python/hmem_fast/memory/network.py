"""What leads to what, as a Hebbian network: three small ones, which a chain can choose between.

A network learns links and says where a memory leads, by its code alone: nothing else remembers the links. What a
link is kept as differs:

* `IndexNetwork`: a random sparse code for each memory, drawn from its id. Such codes overlap by chance alone, so that
  chains hold however many links there are, and whatever the memories resemble. The default.
* `ProjectedNetwork`: the winners among random projections of a memory's vector, which was centred and whitened. What
  resembles each other shares units, and is mixed up.
* `DenseNetwork`: the vector itself, and the matrix ``Σ weight · target ⊗ source``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, NamedTuple, Protocol

import numpy as np

from hmem_fast.core import Associator, DenseIndex, Separator, SparseIndex, index_codes
from hmem_fast.errors import InvalidValueError
from hmem_fast.types import CodeArray, FloatArray, IdArray
from hmem_fast.whitening import Whitening

__all__ = ["CODES", "DenseNetwork", "IndexNetwork", "Network", "ProjectedNetwork", "Reached", "check_code"]

Vectors = Callable[[IdArray], FloatArray]

N_ACTIVE = 50

#: Overlap from which a code counts as the one that was learnt: by chance one pair in seven shares a unit, none so many.
_LEAST_OVERLAP = 20


class Reached(NamedTuple):
    """A memory that another one leads to."""

    id: int
    overlap: float
    """How much of the memory's code was active, 0 to 1; for dense codes the cosine."""
    share: float
    """Its part of all that is led to, 0 to 1."""


class Network(Protocol):
    """Learns what leads to what."""

    code: ClassVar[str]

    def learn(self, sources: IdArray, targets: IdArray, weights: FloatArray) -> None:
        """Let each source lead to its target."""
        ...

    def reach(self, memory_id: int, k: int) -> list[Reached]:
        """Give the up to `k` memories that one leads to most; none where it leads nowhere."""
        ...


class _SparseNetwork:
    """Codes of few active units, kept by an `Associator` and read by their overlap."""

    def __init__(self, codes_of: Callable[[IdArray], CodeArray], theta: int | None) -> None:
        self._codes_of = codes_of
        self._associator = Associator(n_active=N_ACTIVE, theta=theta)
        self._decoder = SparseIndex()

    def learn(self, sources: IdArray, targets: IdArray, weights: FloatArray) -> None:
        """Let each source lead to its target."""
        new = np.array([i for i in np.unique(targets).tolist() if i not in self._decoder], dtype=np.int64)
        if len(new):
            self._decoder.add(self._codes_of(new), ids=new)
        self._associator.learn(self._codes_of(sources), self._codes_of(targets), weights)

    def reach(self, memory_id: int, k: int) -> list[Reached]:
        """Give the up to `k` memories that one leads to most; none where it leads nowhere."""
        cue = self._codes_of(np.array([memory_id], dtype=np.int64))
        # Several targets share a memory's strength, each with units of its own.
        units, strengths = self._associator.activate(cue, N_ACTIVE * (k + 1))
        active = units[0] >= 0
        if not active.any():
            return []
        found = self._decoder.search([units[0][active]], [strengths[0][active]], k=k)
        ids, scores = found.ids[0], found.scores[0].astype(float)
        overlaps = np.isin(self._codes_of(ids[ids >= 0]), units[0][active]).mean(axis=1)
        led_to = overlaps * N_ACTIVE >= _LEAST_OVERLAP
        ids, scores, overlaps = ids[: len(led_to)][led_to], scores[: len(led_to)][led_to], overlaps[led_to]
        shares = scores / scores.sum() if len(scores) else scores
        return [Reached(*reached) for reached in zip(ids.tolist(), overlaps.tolist(), shares.tolist(), strict=True)]


class IndexNetwork(_SparseNetwork):
    """Random codes, drawn from ids."""

    code: ClassVar[str] = "random"

    def __init__(self, _: Vectors | None = None) -> None:
        super().__init__(lambda ids: index_codes(ids, n_active=N_ACTIVE), theta=_LEAST_OVERLAP)


class ProjectedNetwork(_SparseNetwork):
    """Codes made of vectors: centred and whitened over all memories, projected, the strongest units kept."""

    code: ClassVar[str] = "projected"

    def __init__(self, vectors: Vectors, fitted_on: IdArray) -> None:
        rows = vectors(fitted_on)
        fit = Whitening.fit(rows)
        separator = Separator(rows.shape[1], n_active=N_ACTIVE, mean=fit.mean, transform=fit.transform)
        super().__init__(lambda ids: separator.separate(vectors(ids)), theta=None)


class DenseNetwork:
    """Vectors as they are, and one matrix."""

    code: ClassVar[str] = "dense"

    def __init__(self, vectors: Vectors, dim: int) -> None:
        self._vectors = vectors
        self._weights = np.zeros((dim, dim), dtype=np.float32)
        self._decoder = DenseIndex(dim)

    def learn(self, sources: IdArray, targets: IdArray, weights: FloatArray) -> None:
        """Let each source lead to its target."""
        new = np.array([i for i in np.unique(targets).tolist() if i not in self._decoder], dtype=np.int64)
        if len(new):
            self._decoder.add(self._vectors(new), ids=new)
        self._weights += (self._vectors(targets) * weights[:, None]).T @ self._vectors(sources)

    def reach(self, memory_id: int, k: int) -> list[Reached]:
        """Give the up to `k` memories that one leads to most."""
        recalled = self._vectors(np.array([memory_id], dtype=np.int64)) @ self._weights.T
        if not recalled.any() or not len(self._decoder):
            return []
        found = self._decoder.search(recalled, k)
        cosines = found.scores[0].astype(float)
        shares = np.maximum(cosines, 0) / max(np.maximum(cosines, 0).sum(), 1e-30)
        reached = zip(found.ids[0].tolist(), cosines.tolist(), shares.tolist(), strict=True)
        return [Reached(*one) for one in reached]


#: Codes that a chain can be told over.
CODES = ("random", "projected", "dense")


def check_code(code: object) -> str:
    """Refuse what is no name of a code."""
    if code not in CODES:
        raise InvalidValueError(f"code: wanted one of {', '.join(map(repr, CODES))}, got {code!r}")
    return str(code)
