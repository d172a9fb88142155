"""Links from use: do memories that were useful together help later questions, over a stream of questions on LoCoMo.

The questions of a conversation come in random order. The first half is the stream: each is asked, and the turns among
its first ten hits that are evidence were useful; where there are several, they are reinforced. The second half is
measured: recall as it is (``off``), along the links that were learnt (``on``), and along the same links between
turns that were drawn at random (``on-shuffled``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hmem_fast.evaluate import metrics
from hmem_fast.evaluate.cached import CachedEncoder
from hmem_fast.evaluate.locomo import items_of
from hmem_fast.evaluate.locomo_file import Conversation, Question
from hmem_fast.memory import LinkedPipeline, Memory, Pipeline
from hmem_fast.types import Encoder

__all__ = ["REINFORCE_KS", "Streamed", "run_reinforce"]

REINFORCE_KS = (1, 5, 10, 20)

#: Hits of which the useful ones are reinforced.
_SHOWN = 10


@dataclass(slots=True)
class Streamed:
    """What one way of recalling found for the second half of the questions."""

    name: str
    links: int = 0
    """Links that it could walk along."""
    ranks: list[metrics.Ranks] = field(default_factory=list)

    def row(self, *, seed: int, off: Streamed) -> dict[str, Any]:
        """Sum up, as the row of a result file, with what it gains over recall without links."""
        recalls = {k: [metrics.recall_at(ranks, k) for ranks in self.ranks] for k in REINFORCE_KS}
        row: dict[str, Any] = {
            "name": self.name,
            "questions": len(self.ranks),
            "links": self.links,
            "recall": {str(k): metrics.mean(values) for k, values in recalls.items()},
            "mrr": metrics.mean([metrics.reciprocal_rank(ranks) for ranks in self.ranks]),
        }
        if self is not off:
            gains = {
                k: np.subtract(values, [metrics.recall_at(ranks, k) for ranks in off.ranks])
                for k, values in recalls.items()
            }
            row["gain"] = {str(k): float(values.mean()) for k, values in gains.items()}
            row["gain_ci"] = {str(k): metrics.confidence_interval(values, seed=seed) for k, values in gains.items()}
        return row


def run_reinforce(
    conversations: Sequence[Conversation],
    encoder: Encoder,
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[Streamed]:
    """Learn from the first half of each conversation's questions, and ask the second; ``off`` comes first.

    Parameters
    ----------
    conversations : sequence of Conversation
        As `load_locomo` gives them.
    encoder : Encoder
        Encodes turns and questions; each distinct text once.
    seed : int
        Of the questions' order, and of the turns that are linked at random.
    progress : callable, optional
        Called with the conversations done and the conversations there are.
    """
    cached = CachedEncoder(encoder)
    scored = [Streamed("off"), Streamed("on"), Streamed("on-shuffled")]
    for done, conversation in enumerate(conversations, 1):
        random = np.random.default_rng([seed, done])
        questions = [conversation.questions[i] for i in random.permutation(len(conversation.questions))]
        stream, asked = questions[: len(questions) // 2], questions[len(questions) // 2 :]
        with Memory.open(":memory:", encoder=cached) as memory:
            memory.store_many(items_of(conversation))
            _ask(memory, asked, "default", scored[0])
            useful = [ids for question in stream if len(ids := _useful(memory, question)) > 1]
            everything = [record.id for record in memory]
            by_chance = [random.choice(everything, len(ids), replace=False).tolist() for ids in useful]
            for learnt, into in ((useful, scored[1]), (by_chance, scored[2])):
                with _reinforced(memory, learnt) as n_links:
                    into.links += n_links
                    _ask(memory, asked, LinkedPipeline(), into)
        if progress is not None:
            progress(done, len(conversations))
    return scored


def _useful(memory: Memory, question: Question) -> list[int]:
    hits = memory.recall(question.text, k=_SHOWN)
    return [hit.id for hit in hits if hit.external_id in question.evidence]


def _ask(memory: Memory, questions: Sequence[Question], pipeline: str | Pipeline, into: Streamed) -> None:
    for question in questions:
        hits = memory.recall(question.text, k=len(memory), pipeline=pipeline)
        into.ranks.append(metrics.ranks_of(question.evidence, [hit.external_id for hit in hits]))


@contextmanager
def _reinforced(memory: Memory, uses: Sequence[Sequence[int]]) -> Iterator[int]:
    """Let memories be useful together, and forget that again; gives the number of links."""
    for ids in uses:
        memory.reinforce(ids)
    used = {memory_id for ids in uses for memory_id in ids}
    links = {(link.source, link.target) for memory_id in used for link in memory.links(memory_id)}
    yield len(links)
    for pair in links:
        memory.unlink(*pair)
