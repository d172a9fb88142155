"""Ranking by what a question reaches: from its best memories on to those that name the same things."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import ClassVar

import numpy as np

from hmem_fast.core import Graph
from hmem_fast.errors import DTypeError, InvalidValueError
from hmem_fast.memory.pipeline import DefaultPipeline, Pipeline, Question, Ranking, Scores, z_scores
from hmem_fast.types import FloatArray, IdArray

__all__ = ["LinkedPipeline", "SpreadPipeline", "with_spread"]


@dataclass(frozen=True, slots=True)
class SpreadPipeline:
    """Another pipeline's ranking, and what its best memories lead to.

    A question that needs two memories often resembles only one of them; the other one names what that one names. So the
    best memories are the seeds, each with its share of ``softmax(score / temperature)``, and their shares spread over
    the graph of memories and what they name (personalised PageRank: `hmem_fast.core.Graph.spread`, ``rarity=True``).

    ``score = base_weight · z(score of the base) + (1 - base_weight) · z(log share)``

    over the candidates of the base and the memories with the largest shares. Each of these has its true score of the
    base. A candidate that is not among the `reached` with the largest shares has the smallest share of these.

    Parameters
    ----------
    base : Pipeline
        What ranks without spreading.
    base_weight : float
        Weight of its score, 0 to 1.
    candidates : int
        How many of the base's best are ranked.
    seeds : int
        How many of them the spread begins at.
    temperature : float
        Differences in the base's score that this is small beside decide where the spread begins. It is in units of that
        score.
    walk, steps
        As `Graph.spread` has them.
    reached : int
        How many of the memories with the largest shares are ranked.
    """

    name: ClassVar[str] = "spread"

    base: Pipeline = field(default_factory=DefaultPipeline)
    base_weight: float = 0.3
    candidates: int = 200
    seeds: int = 20
    temperature: float = 0.3
    walk: float = 0.6
    steps: int = 10
    reached: int = 200

    def __post_init__(self) -> None:
        for name in ("base_weight", "walk"):
            if not 0 <= getattr(self, name) <= 1:
                raise InvalidValueError(f"{name}: wanted a number from 0 to 1, got {getattr(self, name)}")
        if not (self.temperature > 0 and math.isfinite(self.temperature)):
            raise InvalidValueError(f"temperature: wanted a finite number above 0, got {self.temperature}")
        for name in ("candidates", "seeds", "reached"):
            if getattr(self, name) < 1:
                raise InvalidValueError(f"{name}: wanted 1 or more, got {getattr(self, name)}")
        if self.steps < 0:
            raise InvalidValueError(f"steps: wanted 0 or more, got {self.steps}")

    def rank(self, question: Question) -> Ranking:
        """Rank the base's candidates and what they lead to."""
        question = replace(question, encode=_encode_once(question.encode))
        # Any memory may be on the way, so a filter applies to what is given back alone; and what a memory is compared
        # with is the same for any filter and any k, so that its score is.
        found = self._first(question, self.candidates, allowed=None)
        if not len(found.ids):
            return found
        # A filter may leave none of the first, so that all are needed.
        k = max(self.reached, question.k) if question.allowed is None else None
        shares = _Shares.of(self.graph(question), found, self, k)
        compared = self._with_base_scores(question, found, shares.ids[: self.reached], least=None)
        standards = _Standard.of(compared.scores), _Standard.of(shares.log_of(compared.ids))
        if question.allowed is not None:
            shares = shares.among(question.allowed)
        if question.allowed is not None or question.k > self.candidates:
            found = self._first(question, max(self.candidates, question.k), allowed=question.allowed)
            most, least = max(self.reached, question.k), float(compared.scores.min())
            found = self._with_base_scores(question, found, shares.ids[:most], least=least)
        else:
            found = compared
        parts = {
            "base": self.base_weight * standards[0].z(found.scores),
            "spread": (1 - self.base_weight) * standards[1].z(shares.log_of(found.ids)),
        }
        weights = {"base": self.base_weight, "spread": 1 - self.base_weight}
        return replace(found, scores=parts["base"] + parts["spread"], parts=parts, weights=weights)

    def graph(self, question: Question) -> Graph:
        """What the cue spreads along: the memory's own graph; a subclass may bring another one."""
        return question.index.entities()

    def _first(self, question: Question, n: int, *, allowed: IdArray | None) -> Ranking:
        """Give the `n` best of the base."""
        n = min(n, max(1, len(question.index)))
        return self.base.rank(replace(question, k=n, allowed=allowed)).best_first().first(n)

    def _with_base_scores(
        self, question: Question, found: Ranking, memory_ids: IdArray, *, least: float | None
    ) -> Ranking:
        """Put memories beside those that the base has found, with the scores that it gives them.

        One that it cannot score, because it shares no word with the question, say, has `least`; None stands for the
        smallest score of all.
        """
        others = np.setdiff1d(memory_ids, found.ids)
        if not len(others):
            return found
        scored = self.base.rank(replace(question, k=len(others), allowed=others))
        rows = np.searchsorted(others, scored.ids)
        if least is None:
            least = min(float(found.scores.min()), float(scored.scores.min(initial=math.inf)))
        scores = np.full(len(others), least)
        scores[rows] = scored.scores
        return replace(
            found, ids=np.concatenate([found.ids, others]), scores=np.concatenate([found.scores, scores]), parts={}
        )


@dataclass(frozen=True, slots=True)
class LinkedPipeline(SpreadPipeline):
    """Another pipeline's ranking, and what its best memories are linked to: `SpreadPipeline` along links alone.

    With links that `Memory.reinforce` has learnt, what was useful together is found together. Links say less than names
    of what a question means, so the base keeps most of the weight.
    """

    name: ClassVar[str] = "linked"

    base_weight: float = 0.9

    def graph(self, question: Question) -> Graph:
        """Give the graph of links."""
        return question.index.links()


@dataclass(frozen=True, slots=True)
class _Shares:
    """What memories have of a cue that has spread, the largest shares first."""

    ids: IdArray
    values: Scores
    floor: float
    """What a memory has that is not among those with the largest shares."""

    @classmethod
    def of(cls, graph: Graph, found: Ranking, how: SpreadPipeline, k: int | None) -> _Shares:
        """Let the cue spread from the best of a ranking."""
        best = found.scores[: how.seeds]
        weights = np.exp((best - best[0]) / how.temperature)
        seeds = found.ids[: how.seeds]
        spread = graph.spread(seeds, weights, walk=how.walk, steps=how.steps, k=k, rarity=True)
        return cls(spread.ids, spread.scores, float(spread.scores[: how.reached][-1]))

    def among(self, allowed: IdArray) -> _Shares:
        """Leave out what a filter does not let through."""
        kept = np.isin(self.ids, allowed)
        return replace(self, ids=self.ids[kept], values=self.values[kept])

    def log_of(self, memory_ids: IdArray) -> Scores:
        """Give the logarithm of each memory's share."""
        if not len(self.ids):
            return np.full(len(memory_ids), math.log(self.floor))
        order = np.argsort(self.ids)
        rows = np.searchsorted(self.ids, memory_ids, sorter=order)
        rows = order[np.minimum(rows, len(order) - 1)]
        values = np.where(self.ids[rows] == memory_ids, self.values[rows], 0.0)
        logs: Scores = np.log(np.maximum(values, self.floor))
        return logs


@dataclass(frozen=True, slots=True)
class _Standard:
    """What scores are compared with."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, scores: Scores) -> _Standard:
        """Take mean and deviation of scores."""
        return cls(float(scores.mean()), float(scores.std()))

    def z(self, scores: Scores) -> Scores:
        """Standardise."""
        return z_scores(scores, self.mean, self.deviation)


def _encode_once(encode: Callable[[str], FloatArray]) -> Callable[[str], FloatArray]:
    """Keep the vector of a text: the base ranks several times."""
    return lru_cache(maxsize=1)(encode)


def with_spread(pipeline: Pipeline, spread: bool | None) -> Pipeline:  # noqa: FBT001 - as `Memory.recall` has it
    """Put spreading around a pipeline, if it is asked for."""
    if spread is not None and not isinstance(spread, bool):
        raise DTypeError(f"spread: wanted True, False or None, got {spread!r}")
    if not spread or isinstance(pipeline, SpreadPipeline):
        return pipeline
    return SpreadPipeline(pipeline)
