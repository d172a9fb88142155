"""Questions that need several passages: how many of them does a memory find.

All passages become one memory in RAM, each with its title in front of its text and in its metadata. The baselines know
a passage by one key and its words; the others are what a memory does by default, without and with spreading. Spreading
is also measured over the same graph with the ends of its links permuted: what it gains there owes nothing to what
passages name.

Two passes are made, as over LoCoMo: one is scored, one is timed, with the question's vector ready.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, cast

import numpy as np

from hmem_fast.core import Graph
from hmem_fast.evaluate import metrics
from hmem_fast.evaluate.cached import CachedEncoder
from hmem_fast.evaluate.multihop_file import MultihopQuestion, Passage
from hmem_fast.memory import (
    DefaultPipeline,
    KeyRecipe,
    Memory,
    NearestPipeline,
    Pipeline,
    Question,
    SpreadPipeline,
    WordsPipeline,
)
from hmem_fast.types import Encoder

__all__ = ["MULTIHOP_KS", "MultihopMethod", "MultihopScored", "ShuffledSpread", "multihop_methods", "run_multihop"]

MULTIHOP_KS = (2, 5, 10)

_RESAMPLES = 10_000

_PLAIN = KeyRecipe(keys=("turn",), window_turns=1)
_DEFAULT = KeyRecipe()


@dataclass(frozen=True, slots=True)
class ShuffledSpread(SpreadPipeline):
    """Spreading over links whose ends were permuted: each node keeps its number of links, and little else.

    Parameters
    ----------
    seed : int
        Of the permutation.
    """

    name: ClassVar[str] = "spread-shuffled"

    seed: int = 0

    def graph(self, question: Question) -> Graph:
        """Give the permuted graph; made once for a graph."""
        return _shuffled(question.index.entities(), self.seed)


@dataclass(frozen=True, slots=True)
class MultihopMethod:
    """A row of the table: how passages are indexed, and how they are ranked."""

    name: str
    pipeline: Pipeline
    recipe: KeyRecipe
    about: str

    def settings(self) -> dict[str, Any]:
        """All that steers it, as JSON holds it."""
        ranking = asdict(cast("Any", self.pipeline))  # all methods here rank by pipelines that are dataclasses
        recipe = {**self.recipe.to_json(), "keys": list(self.recipe.keys)}
        return {"pipeline": self.pipeline.name, **ranking, "recipe": recipe}


def multihop_methods(seed: int = 0) -> tuple[MultihopMethod, ...]:
    """Give all methods, in the order of the table."""
    return (
        MultihopMethod("bm25", WordsPipeline(), _PLAIN, "BM25 of title and text"),
        MultihopMethod("nearest", NearestPipeline(), _PLAIN, "nearest neighbour of title and text"),
        MultihopMethod("hybrid", DefaultPipeline(), _DEFAULT, "what recall does by default"),
        MultihopMethod("spread", SpreadPipeline(), _DEFAULT, "recall(spread=True)"),
        MultihopMethod("spread-shuffled", ShuffledSpread(seed=seed), _DEFAULT, "over links with permuted ends"),
    )


@dataclass(slots=True)
class MultihopScored:
    """What one method found for each question."""

    name: str
    ranks: list[metrics.Ranks] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)

    def recall(self, k: int) -> list[float]:
        """Recall of each question at `k`."""
        return [metrics.recall_at(ranks, k) for ranks in self.ranks]

    def row(self, *, seed: int, nearest: MultihopScored) -> dict[str, Any]:
        """Sum up, as the row of a result file, with what it gains over the nearest neighbour on the same questions."""
        recalls = {str(k): self.recall(k) for k in MULTIHOP_KS}
        gains = {str(k): np.subtract(self.recall(k), nearest.recall(k)).tolist() for k in MULTIHOP_KS}
        row: dict[str, Any] = {
            "name": self.name,
            "questions": len(self.ranks),
            "recall": {k: metrics.mean(values) for k, values in recalls.items()},
            "recall_ci": {
                k: metrics.confidence_interval(values, seed=seed, rounds=_RESAMPLES) for k, values in recalls.items()
            },
        }
        if self is not nearest:
            row["gain_over_nearest"] = {k: metrics.mean(values) for k, values in gains.items()}
            row["gain_over_nearest_ci"] = {
                k: metrics.confidence_interval(values, seed=seed, rounds=_RESAMPLES) for k, values in gains.items()
            }
        return {**row, "recall_ms": dict(metrics.percentiles(self.milliseconds))}


def run_multihop(
    questions: Sequence[MultihopQuestion],
    corpus: Sequence[Passage],
    encoder: Encoder,
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[MultihopScored]:
    """Ask every question, by each method; the same seed gives the same figures, times apart.

    Parameters
    ----------
    questions, corpus
        As `load_multihop` and `load_corpus` give them.
    encoder : Encoder
        Encodes passages and questions; each distinct text once.
    seed : int
        Of the permuted graph.
    progress : callable, optional
        Called with the steps done and the steps there are.
    """
    methods = multihop_methods(seed)
    recipes = list(dict.fromkeys(method.recipe for method in methods))
    total = len(corpus) * len(recipes) + len(questions) * len(methods)
    done = 0

    def step(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, total)

    cached = CachedEncoder(encoder)
    scored = []
    for recipe in recipes:
        with Memory.open(":memory:", encoder=cached, recipe=recipe) as memory:
            ids = []
            for start in range(0, len(corpus), _STORED_AT_ONCE):
                some = corpus[start : start + _STORED_AT_ONCE]
                ids += memory.store_many(
                    {"text": f"{passage.title}\n{passage.text}", "metadata": {"title": passage.title}}
                    for passage in some
                )
                step(len(some))
            for method in methods:
                if method.recipe == recipe:
                    scored.append(_ask(memory, method, questions, ids))
                    step(len(questions))
    return scored


#: Passages between two reports of progress.
_STORED_AT_ONCE = 100


def _ask(
    memory: Memory, method: MultihopMethod, questions: Sequence[MultihopQuestion], ids: Sequence[int]
) -> MultihopScored:
    scored = MultihopScored(method.name)
    k = max(MULTIHOP_KS)
    for question in questions:
        hits = memory.recall(question.text, k=k, pipeline=method.pipeline)
        evidence = [ids[row] for row in question.evidence]
        scored.ranks.append(metrics.ranks_of(evidence, [hit.id for hit in hits]))
    for question in questions:
        started = time.perf_counter()
        memory.recall(question.text, k=k, pipeline=method.pipeline)
        scored.milliseconds.append(1e3 * (time.perf_counter() - started))
    return scored


#: The last graph that was shuffled, with its seed and what came out.
_LAST: list[tuple[Graph, int, Graph]] = []


def _shuffled(graph: Graph, seed: int) -> Graph:
    """Permute the ends of all links; a link that comes out twice is one."""
    for known, known_seed, shuffled in _LAST:
        if known is graph and known_seed == seed:
            return shuffled
    sources, targets, weights = graph.links()
    shuffled = Graph()
    shuffled.add(sources, np.random.default_rng(seed).permutation(targets), weights)
    _LAST[:] = [(graph, seed, shuffled)]
    return shuffled
