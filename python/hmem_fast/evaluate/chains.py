"""Chains: whether a Hebbian network still leads from memory to memory after several hops, and among how many.

The memories are distinct texts. Four fifths of them stand in one ring, in random order, and each leads to the next: .8
links a memory. A chain begins at a random one of the ring, which is found by its vector among all, and makes its hops
by the network alone: what one hop recalls, with some of its units replaced where that is asked for, is the cue of the
next. After each hop the code is compared with those of all memories; a chain is right if every hop led to the one that
follows in the ring.

Cues: ``exact``, the memory's own text; ``paraphrased``, a mechanical paraphrase of it (`paraphrase`).

Codes: ``random``, 50 of 16,384 units drawn from the memory's number; ``projected``, the winners among random
projections of its vector, centred and whitened over the memories; ``dense``, the vector itself, and the matrix
``Σ target ⊗ cue``. Overlaps of sparse codes are raised to a power, and count from a least one on, ``theta``; with both
at 1 the network is a dense linear matrix over the codes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hmem_fast.core import Associator, DenseIndex, Separator, SparseIndex, index_codes
from hmem_fast.evaluate.metrics import percentiles
from hmem_fast.types import Encoder, FloatArray, IdArray
from hmem_fast.whitening import Whitening

__all__ = ["CODES", "CUES", "SIZES", "Ring", "paraphrase", "run_chains"]

CODES = ("random", "projected", "dense")
CUES = ("exact", "paraphrased")
SIZES = (5_900, 20_000, 60_000, 99_000)

#: Memories in the ring, of all.
LOAD = 0.8

N_UNITS, N_ACTIVE = 16_384, 50

POWER = Associator().power

_STOP_WORDS = frozenset(
    {
        *("a", "an", "and", "are", "at", "be", "been", "but", "by", "did", "do", "does", "for", "from", "had", "has"),
        *("have", "he", "her", "his", "i", "in", "is", "it", "its", "me", "my", "of", "on", "or", "our", "she", "so"),
        *("that", "the", "their", "them", "they", "this", "to", "was", "we", "were", "will", "with", "you", "your"),
    }
)
_DROPPED = 0.2

Progress = Callable[[int], None]
States = NDArray[Any]


def paraphrase(text: str, random: np.random.Generator) -> str:
    """Say it otherwise, without a model: no stop words, a fifth of the others left out, and the halves swapped.

    Every word of it is one of the text's, but no sentence is left; MiniLM sees a cosine of .77 between the two, over
    turns of dialogue. A text of which nothing would be left stays.
    """
    words = [word for word in text.split() if word.strip(".,!?;:'\"").lower() not in _STOP_WORDS]
    words = [word for word in words if random.random() >= _DROPPED] or words
    half = len(words) // 2
    return " ".join([*words[half:], *words[:half]]) or text


@dataclass(frozen=True, slots=True)
class Ring:
    """Memories, and which of them leads to which."""

    vectors: FloatArray
    """(n, dim), of all memories."""
    order: IdArray
    """Numbers of the memories of the ring, each before the one it leads to."""

    @classmethod
    def of(cls, vectors: FloatArray, random: np.random.Generator) -> Ring:
        """Put four fifths of the memories into a ring."""
        return cls(vectors, random.permutation(len(vectors))[: int(LOAD * len(vectors))])

    def behind(self, places: IdArray, hops: int) -> IdArray:
        """Numbers of the memories that stand `hops` behind places of the ring."""
        return self.order[(places + hops) % len(self.order)]


class _Network(Protocol):
    """Learns the ring, and makes hops."""

    def learn(self, ring: Ring) -> None: ...

    def begin(self, memories: IdArray) -> States:
        """Give the codes of memories."""
        ...

    def corrupt(self, states: States, share: float, random: np.random.Generator) -> States:
        """Replace a share of each code's active units by others."""
        ...

    def hop(self, states: States) -> States:
        """Recall what codes lead to."""
        ...

    def read(self, states: States) -> IdArray:
        """Give the memory whose code is nearest to each."""
        ...

    def cosine(self, states: States, memories: IdArray) -> FloatArray:
        """Give the cosine of codes with those of memories."""
        ...


class _Sparse:
    """Codes of few active units."""

    def __init__(self, codes: NDArray[np.int32], power: float, theta: int | None) -> None:
        self._codes = codes
        self._associator = Associator(N_UNITS, N_ACTIVE, power, theta)
        self._decoder = SparseIndex()
        self._decoder.add(codes)

    def learn(self, ring: Ring) -> None:
        self._associator.learn(self._codes[ring.order], self._codes[np.roll(ring.order, -1)])

    def begin(self, memories: IdArray) -> States:
        return self._codes[memories]

    def corrupt(self, states: States, share: float, random: np.random.Generator) -> States:
        n_replaced = round(share * N_ACTIVE)
        corrupted = states.copy()
        for row in corrupted:
            others = np.setdiff1d(random.choice(N_UNITS, 2 * N_ACTIVE, replace=False), row)[:n_replaced]
            row[random.choice(N_ACTIVE, n_replaced, replace=False)] = random.permutation(others)
            row.sort()
        return corrupted

    def hop(self, states: States) -> States:
        return self._associator.recall(states)

    def read(self, states: States) -> IdArray:
        return np.array([self._nearest(row[row >= 0]) for row in states], dtype=np.int64)

    def _nearest(self, units: NDArray[np.int32]) -> int:
        return int(self._decoder.search([units], None, k=1).ids[0][0]) if len(units) else -1

    def cosine(self, states: States, memories: IdArray) -> FloatArray:
        shared = [np.intersect1d(a[a >= 0], b).size for a, b in zip(states, self._codes[memories], strict=True)]
        lengths = np.sqrt(np.maximum((states >= 0).sum(axis=1), 1) * N_ACTIVE)
        cosines: FloatArray = (np.array(shared) / lengths).astype(np.float32)
        return cosines


class _Dense:
    """Vectors as they are."""

    def __init__(self, vectors: FloatArray) -> None:
        self._vectors = vectors
        self._weights = np.zeros((vectors.shape[1],) * 2, dtype=np.float32)
        self._decoder = DenseIndex(vectors.shape[1])
        self._decoder.add(vectors)

    def learn(self, ring: Ring) -> None:
        self._weights += self._vectors[np.roll(ring.order, -1)].T @ self._vectors[ring.order]

    def begin(self, memories: IdArray) -> States:
        return self._vectors[memories]

    def corrupt(self, states: States, share: float, random: np.random.Generator) -> States:
        corrupted = states.copy()
        for row in corrupted:
            at = random.choice(len(row), round(share * len(row)), replace=False)
            row[at] = random.permutation(row[at])
        return corrupted

    def hop(self, states: States) -> States:
        recalled: States = states @ self._weights.T
        recalled /= np.linalg.norm(recalled, axis=1, keepdims=True)
        return recalled

    def read(self, states: States) -> IdArray:
        return self._decoder.search(states, 1).ids[:, 0]

    def cosine(self, states: States, memories: IdArray) -> FloatArray:
        cosines: FloatArray = np.einsum("ij,ij->i", states, self._vectors[memories])
        return cosines


def _network(code: str, vectors: FloatArray, seed: int, power: float = POWER, theta: int | None = None) -> _Network:
    if code == "dense":
        return _Dense(vectors)
    if code == "random":
        return _Sparse(index_codes(np.arange(len(vectors)), N_UNITS, N_ACTIVE, seed), power, theta)
    fit = Whitening.fit(vectors)
    separator = Separator(vectors.shape[1], N_UNITS, N_ACTIVE, seed, mean=fit.mean, transform=fit.transform)
    return _Sparse(separator.separate(vectors), power, theta)


@dataclass(slots=True)
class _Followed:
    """Chains as they are followed."""

    right: NDArray[np.bool_]
    by_hop: list[float] = field(default_factory=list)
    cosines: list[float] = field(default_factory=list)
    microseconds: list[float] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        """Sum up, as a part of a row of a result file."""
        return {
            "correct": float(np.mean(self.right)),
            "by_hop": self.by_hop,
            "cosine_by_hop": self.cosines,
            "hop_us": percentiles(self.microseconds),
        }


def run_chains(
    texts: Sequence[str],
    vectors: FloatArray,
    encoder: Encoder,
    *,
    sizes: Sequence[int],
    codes: Sequence[str],
    hops: int,
    corrupt: float,
    chains: int,
    seed: int,
    progress: Progress,
    power: float = POWER,
    theta: int | None = None,
) -> Iterator[dict[str, Any]]:
    """Measure chains, a row for each size, code and cue; `progress` hears of each row that is made.

    Shapes
    ------
    vectors  (n, dim)  float32, those of `texts`
    """
    made = 0
    for size in sizes:
        random = np.random.default_rng([seed, size])
        ring = Ring.of(vectors[:size], random)
        places = random.choice(len(ring.order), min(chains, len(ring.order)), replace=False)
        first = ring.order[places]
        index = DenseIndex(vectors.shape[1])
        index.add(ring.vectors)
        asked = {
            "exact": ring.vectors[first],
            "paraphrased": encoder.encode([paraphrase(texts[i], random) for i in first.tolist()]),
        }
        for code in codes:
            network = _network(code, ring.vectors, seed, power, theta)
            network.learn(ring)
            for cue in CUES:
                found = index.search(asked[cue], 1).ids[:, 0]
                followed = _follow(
                    network,
                    ring,
                    places=places,
                    found=found,
                    hops=hops,
                    corrupt=corrupt,
                    random=np.random.default_rng([seed, 1]),
                )
                named = {"memories": size, "links": len(ring.order), "hops": hops, "code": code, "cue": cue}
                yield {
                    **named,
                    "corrupt": corrupt,
                    "chains": len(first),
                    "started": float(np.mean(found == first)),
                    **followed.row(),
                }
                made += 1
                progress(made)


def _follow(
    network: _Network,
    ring: Ring,
    *,
    places: IdArray,
    found: IdArray,
    hops: int,
    corrupt: float,
    random: np.random.Generator,
) -> _Followed:
    states = network.begin(found)
    followed = _Followed(found == ring.order[places])
    for hop in range(1, hops + 1):
        if corrupt:
            states = network.corrupt(states, corrupt, random)
        recalled = []
        for state in states:
            start = time.perf_counter()
            recalled.append(network.hop(state[np.newaxis])[0])
            followed.microseconds.append((time.perf_counter() - start) * 1e6)
        states = np.array(recalled)
        wanted = ring.behind(places, hop)
        right = network.read(states) == wanted
        followed.right &= right
        followed.by_hop.append(float(np.mean(right)))
        followed.cosines.append(float(np.mean(network.cosine(states, wanted))))
    return followed
