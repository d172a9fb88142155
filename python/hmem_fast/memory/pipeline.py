"""Ways to rank memories for a question: small classes that a recall can choose between.

Each takes a `Question` and gives a `Ranking`. They share nothing but the index, so that one can be measured against
another, and a part of the default can be left out by setting its weight to 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from hmem_fast.errors import DTypeError, InvalidValueError
from hmem_fast.memory.live_index import LiveIndex
from hmem_fast.types import FloatArray, IdArray

__all__ = [
    "PIPELINES",
    "DefaultPipeline",
    "HopfieldPipeline",
    "NearestPipeline",
    "Pipeline",
    "Question",
    "Ranking",
    "WordsPipeline",
    "find_pipeline",
]

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a memory, and what a pipeline may use to answer it."""

    text: str | None
    """None where a ready vector was given."""
    vector: FloatArray | None
    """(dim,) float32; None where a text was given."""
    k: int
    allowed: IdArray | None
    index: LiveIndex
    encode: Callable[[str], FloatArray]
    """Encode one text into a (dim,) vector; raises NoEncoderError where the memory has none."""
    has_encoder: bool

    def to_vector(self) -> FloatArray:
        """Give the query as a vector."""
        if self.vector is not None:
            return self.vector
        assert self.text is not None
        return self.encode(self.text)


@dataclass(frozen=True, slots=True)
class Ranking:
    """Candidates with their scores, and how they came by them."""

    ids: IdArray
    scores: Scores
    parts: Mapping[str, Scores] = field(default_factory=dict)
    """What each part adds to the scores, in the order of `ids`."""
    weights: Mapping[str, float] = field(default_factory=dict)
    vector: FloatArray | None = None
    """The vector that was searched with."""
    encoded: str | None = None
    """The text that was encoded."""
    named: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    def best_first(self) -> Ranking:
        """Put the candidates in order: best score first, of equal ones the older."""
        order = np.lexsort((self.ids, -self.scores))
        return replace(
            self,
            ids=self.ids[order],
            scores=self.scores[order],
            parts={name: values[order] for name, values in self.parts.items()},
        )

    def first(self, n: int) -> Ranking:
        """Give the first `n` as they stand."""
        parts = {name: values[:n] for name, values in self.parts.items()}
        return replace(self, ids=self.ids[:n], scores=self.scores[:n], parts=parts)


class Pipeline(Protocol):
    """A way to rank memories."""

    name: ClassVar[str]

    def rank(self, question: Question) -> Ranking:
        """Score the best candidates, at least `question.k` of them where there are as many; in any order."""
        ...


#: Candidates of either kind that are tried first where words have a say; for most questions they are enough.
FEW = 64


@dataclass(frozen=True, slots=True)
class DefaultPipeline:
    """Meaning, words and speaker together.

    ``score = energy_weight · z(energy) + words_weight · z(BM25) + speaker_bonus · [the query names the speaker]``

    The energy pools the similarities of a memory's keys, ``(1/beta) log sum exp(beta s)``; BM25 scores the words of the
    memory and the turns before it; z subtracts the mean over the memory and divides by the deviation. Before it is
    encoded, participants named in the query become the first person, since that is how they speak of themselves. A part
    that cannot say anything (no shared words, no speakers, one memory) adds 0.

    Parameters
    ----------
    energy_weight, words_weight, speaker_bonus : float
        Weights; 0 leaves a part out.
    beta : float
        Inverse temperature of the energy; ``inf`` takes the best key alone.
    first_person : bool
        Whether names of participants are rewritten.
    candidates : int
        Memories taken from the dense keys, and as many from the words, before ranking. Where fewer prove to be enough
        for the same answer, fewer are taken.
    """

    name: ClassVar[str] = "default"

    energy_weight: float = 0.7
    words_weight: float = 0.3
    speaker_bonus: float = 0.5
    beta: float = 12.0
    first_person: bool = True
    candidates: int = 200

    def __post_init__(self) -> None:
        for name in ("energy_weight", "words_weight", "speaker_bonus"):
            if not math.isfinite(getattr(self, name)):
                raise InvalidValueError(f"{name}: wanted a finite number, got {getattr(self, name)}")
        _check_beta(self.beta)
        _check_count("candidates", self.candidates)

    def rank(self, question: Question) -> Ranking:
        """Rank the candidates of both kinds by the weighted sum."""
        index, text = question.index, question.text
        people = index.participants
        named = people.named_in(text) if text else ()
        encoded = people.in_first_person(text) if text and self.first_person else text
        # A memory without an encoder is asked by words alone: whoever opened it so knows that there is no other way.
        vector = question.vector
        if vector is None and encoded is not None and self.energy_weight and question.has_encoder:
            vector = question.encode(encoded)
        words = index.traces.analyze(text) if text and self.words_weight else []

        def ranked(n: int) -> tuple[Ranking, float]:
            found = index.traces.candidates(vector, words or None, allowed=question.allowed, n=n, beta=self.beta)
            spoke = index.spoken_by(found.ids, named)
            parts = {
                "energy": self.energy_weight * z_scores(found.energy, found.energy_mean, found.energy_deviation),
                "words": self.words_weight * z_scores(found.bm25, found.bm25_mean, found.bm25_deviation),
                "speaker": self.speaker_bonus * spoke,
            }
            weights = {"energy": self.energy_weight, "words": self.words_weight, "speaker": self.speaker_bonus}
            ranking = Ranking(
                found.ids,
                sum(parts.values(), np.zeros(len(found.ids))),
                parts=parts,
                weights=weights,
                vector=vector,
                encoded=encoded if question.vector is None and vector is not None else None,
                named=named,
                words=tuple(words),
            )
            # No other memory has more of either, so none has a higher score.
            others = [
                # Without a key to score, a memory that is found by its words has 0.
                max(nth_largest(parts["energy"], n), 0.0) if words else nth_largest(parts["energy"], n),
                nth_largest(parts["words"], n),
                max(self.speaker_bonus, 0.0) if named else 0.0,
            ]
            return ranking, sum(others, 0.0)

        k, n = question.k, max(self.candidates, question.k)
        few = max(FEW, 2 * k) if words else 2 * k
        if few < n and self.energy_weight >= 0 and self.words_weight >= 0:
            ranking, others = ranked(few)
            if len(ranking.ids) < few or nth_largest(ranking.scores, k) > others:
                return ranking
        return ranked(n)[0]


@dataclass(frozen=True, slots=True)
class NearestPipeline:
    """Nearest neighbour: the similarity of a memory's best key. The baseline of every vector store."""

    name: ClassVar[str] = "nearest"

    def rank(self, question: Question) -> Ranking:
        """Rank by the best key."""
        vector = question.to_vector()
        found = question.index.traces.candidates(vector, None, allowed=question.allowed, n=question.k, beta=math.inf)
        return Ranking(found.ids, found.energy, parts={"energy": found.energy}, vector=vector, encoded=question.text)


@dataclass(frozen=True, slots=True)
class WordsPipeline:
    """BM25 over the words of the window; needs no encoder. A memory that shares no word is no hit."""

    name: ClassVar[str] = "bm25"

    def rank(self, question: Question) -> Ranking:
        """Rank by BM25."""
        if question.text is None:
            raise InvalidValueError('query: pipeline "bm25" wanted a text, got a vector')
        words = question.index.traces.analyze(question.text)
        found = question.index.traces.candidates(None, words, allowed=question.allowed, n=question.k)
        return Ranking(found.ids, found.bm25, parts={"words": found.bm25}, words=tuple(words))


@dataclass(frozen=True, slots=True)
class HopfieldPipeline:
    """Two stages: the nearest memories, then the query settles among them as in a modern Hopfield network.

    The best keys of the nearest `n_nearest` memories are the patterns; the query is drawn towards their
    softmax-weighted mean `steps` times, and they are ranked by their similarity to where it comes to rest. Settling
    completes a noisy copy of a pattern. As a ranker it loses to the first stage, in every setting that was measured.
    """

    name: ClassVar[str] = "hopfield"

    n_nearest: int = 20
    beta: float = 16.0
    steps: int = 3

    def __post_init__(self) -> None:
        _check_beta(self.beta)
        _check_count("n_nearest", self.n_nearest)
        if self.steps < 0:
            raise InvalidValueError(f"steps: wanted 0 or more, got {self.steps}")

    def rank(self, question: Question) -> Ranking:
        """Rank the nearest by their similarity to the settled query; all others stand below, in their old order."""
        traces = question.index.traces
        vector = question.to_vector()
        settled = traces.complete(
            vector[None], self.n_nearest, beta=self.beta, steps=self.steps, allowed=question.allowed
        )
        ids = settled.ids[0][settled.ids[0] >= 0]
        scores = settled.settled_scores[0][: len(ids)].astype(np.float64)
        if question.k > self.n_nearest:
            found = traces.candidates(vector, None, allowed=question.allowed, n=question.k, beta=math.inf)
            others = ~np.isin(found.ids, ids)
            ids = np.concatenate([ids, found.ids[others]])
            # Cosines lie within [-1, 1]: two less puts every other memory below those that took part.
            scores = np.concatenate([scores, found.energy[others] - 2.0])
        return Ranking(ids, scores, parts={"settled": scores}, vector=vector, encoded=question.text)


def _check_beta(beta: float) -> None:
    if not beta > 0:
        raise InvalidValueError(f"beta: wanted more than 0, got {beta}")


def _check_count(argument: str, count: int) -> None:
    if count < 1:
        raise InvalidValueError(f"{argument}: wanted 1 or more, got {count}")


def z_scores(scores: Scores, mean: float, deviation: float) -> Scores:
    """Standardise scores; where nothing varies, or a memory has no key to score, the answer is 0: no opinion."""
    if deviation == 0:
        return np.zeros(len(scores))
    return np.where(np.isfinite(scores), (scores - mean) / deviation, 0.0)


def nth_largest(scores: Scores, n: int) -> float:
    """Give the `n`-th largest of scores; minus infinity where there are fewer."""
    if len(scores) < n:
        return -math.inf
    return float(np.partition(scores, len(scores) - n)[len(scores) - n])


#: The pipelines that have a name.
PIPELINES: Mapping[str, Pipeline] = {
    pipeline.name: pipeline for pipeline in (DefaultPipeline(), NearestPipeline(), WordsPipeline(), HopfieldPipeline())
}


def find_pipeline(pipeline: str | Pipeline) -> Pipeline:
    """Give the pipeline of that name; a pipeline object is given back."""
    if not isinstance(pipeline, str):
        if isinstance(pipeline, type) or not callable(getattr(pipeline, "rank", None)):
            raise DTypeError(f"pipeline: wanted a name or an object with rank(question), got {pipeline!r}")
        return pipeline
    if pipeline not in PIPELINES:
        raise InvalidValueError(f"pipeline: wanted {', '.join(map(repr, PIPELINES))} or an object, got {pipeline!r}")
    return PIPELINES[pipeline]
