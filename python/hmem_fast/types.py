"""What the parts of hmem_fast say to each other: protocols and small immutable results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Candidates",
    "CodeArray",
    "Completion",
    "Encoder",
    "FloatArray",
    "IdArray",
    "Index",
    "Neighbours",
    "ScoreArray",
    "Settled",
    "Spread",
    "TokenCodes",
    "TokenEncoder",
    "TokenVectors",
]

FloatArray = NDArray[np.float32]
IdArray = NDArray[np.int64]
CodeArray = NDArray[np.int32]
ScoreArray = NDArray[np.float64]


class Neighbours(NamedTuple):
    """The answer of a search: for each query the best rows, best first.

    Shapes
    ------
    ids     (m, min(k, n))  int64; -1 where a filter left fewer hits
    scores  (m, min(k, n))  float32, larger is closer; -inf where ids is -1
    """

    ids: IdArray
    scores: FloatArray


class Candidates(NamedTuple):
    """The answer of `TraceIndex.candidates`: memories that may answer a cue, by ascending id, each with both scores.

    The means and deviations turn scores into z-scores. They are those of the memories that are there, whatever a filter
    lets through; over nothing both are 0.

    Shapes
    ------
    ids         (c,)  int64
    energy      (c,)  float64, pooled cosine of the memory's keys; -inf where it has none, or no vector was given
    bm25        (c,)  float64, 0 where no word is shared
    best_key    (c,)  int64, id of the memory's closest key (the first of several); -1 where energy is -inf
    best_score  (c,)  float64, the cosine of that key; -inf where energy is -inf

    Attributes
    ----------
    energy_mean, energy_deviation : float
        Of the energies of the 1,024 memories with keys whose ids come first in the order of their splitmix64 hash.
    bm25_mean, bm25_deviation : float
        Of the BM25 scores of all memories, zeros among them.
    """

    ids: IdArray
    energy: ScoreArray
    bm25: ScoreArray
    best_key: IdArray
    best_score: ScoreArray
    energy_mean: float
    energy_deviation: float
    bm25_mean: float
    bm25_deviation: float


class Settled(NamedTuple):
    """The answer of `settle`: where a cue comes to rest among stored patterns.

    Attributes
    ----------
    vector : (d,) float32
        The settled state.
    energy : float
        Its pooled similarity to the patterns, ``(1/beta) log sum exp(beta s)``: larger is closer.
    steps : int
        Updates that were made.
    """

    vector: FloatArray
    energy: float
    steps: int


@dataclass(frozen=True, slots=True, eq=False)
class Completion:
    """The answer of `complete`: where cues come to rest among the nearest of what is stored.

    Two of them are equal if they are the same one: arrays have no single truth value to compare by.

    Attributes
    ----------
    vectors : (m, d) float32
        The settled states, of unit length.
    ids : (m, min(k, n)) int64
        What each cue settled among, nearest to the cue first; -1 where a filter left fewer.
    scores : (m, min(k, n)) float32
        Cosine of each with the cue; -inf where the id is -1.
    settled_scores : (m, min(k, n)) float32
        Cosine of each with the settled state; -inf where the id is -1.
    energy : (m,) float64
        Pooled similarity of each state to what it settled among, ``(1/beta) log sum exp(beta s)``; -inf where that is
        nothing.
    steps : (m,) int64
        Updates that were made.
    """

    vectors: FloatArray
    ids: IdArray
    scores: FloatArray
    settled_scores: FloatArray
    energy: ScoreArray
    steps: IdArray


class Spread(NamedTuple):
    """The answer of `Graph.spread`: the nodes that a cue has reached, best first, of equal ones the smaller id.

    Shapes
    ------
    ids     (c,)  int64, 0 or more
    scores  (c,)  float64, above 0: a node's share of the cue. Those of all nodes, hidden ones included, add up to 1
    """

    ids: IdArray
    scores: ScoreArray


class TokenVectors(NamedTuple):
    """Token vectors of several texts, one after the other.

    Shapes
    ------
    vectors  (t, d)    float32, unit length
    offsets  (n + 1,)  int64: text i owns rows ``offsets[i]:offsets[i + 1]``
    tokens   (t,)      int64: the vocabulary id of each row's token
    """

    vectors: FloatArray
    offsets: IdArray
    tokens: IdArray


class TokenCodes(NamedTuple):
    """Token vectors in 8 bits: a vector is its codes times its scale.

    Shapes
    ------
    codes    (t, d)    int8, within -127 and 127
    scales   (t,)      float32
    offsets  (n + 1,)  int64: text i owns rows ``offsets[i]:offsets[i + 1]``
    tokens   (t,)      int64: the vocabulary id of each row's token
    """

    codes: NDArray[np.int8]
    scales: FloatArray
    offsets: IdArray
    tokens: IdArray


@runtime_checkable
class Index(Protocol):
    """Rows under ids, searched by similarity: what `DenseIndex` and `TorchIndex` share.

    Attributes
    ----------
    dim : int
        Width of the rows.
    metric : str
        What a score is: ``"cosine"`` or ``"dot"``.
    nbytes : int
        Bytes held by rows, ids and marks.
    ids : (n,) int64
        The ids, in the order in which the rows were added.
    """

    @property
    def dim(self) -> int:
        """Width of the rows."""
        ...

    @property
    def metric(self) -> str:
        """What a score is."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes held by rows, ids and marks."""
        ...

    @property
    def ids(self) -> IdArray:
        """The ids, in the order in which the rows were added."""
        ...

    def add(self, rows: ArrayLike, ids: ArrayLike | None = None, replace: bool = False) -> IdArray:  # noqa: FBT001, FBT002 - as the core's
        """Add rows, all or none; gives their ids."""
        ...

    def remove(self, ids: ArrayLike) -> None:
        """Remove the rows with these ids, all or none."""
        ...

    def search(
        self, queries: ArrayLike, k: int, *, allowed: ArrayLike | None = None, exact: bool = True, threads: int = 1
    ) -> Neighbours:
        """Find the `k` rows most similar to each query."""
        ...

    def vectors(self, ids: ArrayLike) -> FloatArray:
        """Give the rows with these ids: of unit length under cosine, as they were added under dot."""
        ...

    def state(self) -> dict[str, Any]:
        """Give all that is needed to make an equal index."""
        ...

    def __len__(self) -> int: ...

    def __contains__(self, id: object, /) -> bool: ...  # noqa: A002 - the core's name for it


@runtime_checkable
class Encoder(Protocol):
    """Turns texts into unit vectors.

    Attributes
    ----------
    dim : int
        Width of the vectors.
    space_id : str
        Names the embedding space: source weights, tokenizer, pooling, prefix and length. Vectors may be compared if and
        only if their `space_id` is equal. Two precisions or backends of one model share it.
    producer : str
        Names backend and precision, for example ``"onnx-f32"``; recorded with each stored vector.
    """

    @property
    def dim(self) -> int:
        """Width of the vectors."""
        ...

    @property
    def space_id(self) -> str:
        """Name of the embedding space."""
        ...

    @property
    def producer(self) -> str:
        """Backend and precision."""
        ...

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """Encode each text.

        Shapes
        ------
        texts   n strings
        result  (n, dim)  float32, C order, unit rows; (0, dim) for no texts

        Raises
        ------
        InvalidValueError
            If a text holds a lone surrogate (it is no valid Unicode); the message gives its position.
        DTypeError
            If an item is not a string.
        """
        ...


@runtime_checkable
class TokenEncoder(Encoder, Protocol):
    """An encoder that can also give one vector a token, for late interaction."""

    def encode_tokens(self, texts: Sequence[str]) -> TokenVectors:
        """Encode each text into one unit vector a token, special tokens left out."""
        ...
