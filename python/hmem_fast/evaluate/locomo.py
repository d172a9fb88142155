"""LoCoMo, scored by turn: which turns of a long conversation does a memory find, given a question about it.

Each conversation becomes a memory of its own, in RAM; each question is asked of its conversation's memory, and the
ranking of all its turns is compared with the evidence. The baselines index the plain turn, ``"speaker: text"``; the
default pipeline indexes what a new memory indexes by default, and once more with each of its parts left out.

Two passes are made. The first asks for all turns and is scored; a turn that is not in the ranking counts as not found.
The second asks for 20 and is timed, with the question's vector ready: from the call to the answer, encoding left out.
It asks all questions anew, one after the other, so that no call finds the pages of its own repetition in the cache.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

from hmem_fast.errors import InvalidValueError
from hmem_fast.evaluate import metrics
from hmem_fast.evaluate.cached import CachedEncoder
from hmem_fast.evaluate.locomo_file import Conversation, Question
from hmem_fast.memory import (
    DefaultPipeline,
    HopfieldPipeline,
    KeyRecipe,
    Memory,
    NearestPipeline,
    Pipeline,
    SpreadPipeline,
    WordsPipeline,
)
from hmem_fast.types import Encoder

__all__ = [
    "METHODS",
    "SESSION_KS",
    "TIMED_K",
    "TURN_KS",
    "Method",
    "Scored",
    "find_methods",
    "first_questions",
    "items_of",
    "run_locomo",
]

TURN_KS = (1, 5, 10, 20)
SESSION_KS = (1, 5, 10)
TIMED_K = 20

_PLAIN = KeyRecipe(keys=("turn",), window_turns=1)
_DEFAULT = KeyRecipe()


def _without(kind: str) -> KeyRecipe:
    return replace(_DEFAULT, keys=tuple(key for key in _DEFAULT.keys if key != kind))


@dataclass(frozen=True, slots=True)
class Method:
    """A row of the table: how turns are indexed, and how they are ranked."""

    name: str
    pipeline: Pipeline
    recipe: KeyRecipe
    about: str

    def settings(self) -> dict[str, Any]:
        """All that steers it, as JSON holds it."""
        ranking = asdict(cast("Any", self.pipeline))  # all methods here rank by pipelines that are dataclasses
        return {
            "pipeline": self.pipeline.name,
            **ranking,
            "recipe": {**self.recipe.to_json(), "keys": list(self.recipe.keys)},
        }


#: All methods, in the order of the table. A part left out of the default is compared with the row `default`.
METHODS: tuple[Method, ...] = (
    Method("nearest", NearestPipeline(), _PLAIN, 'nearest neighbour of "speaker: text"'),
    Method("bm25", WordsPipeline(), _PLAIN, 'BM25 over "speaker: text"'),
    Method("hopfield", HopfieldPipeline(), _PLAIN, "nearest 20, then settled as a Hopfield network"),
    Method("default", DefaultPipeline(), _DEFAULT, "what recall does when nothing is asked for"),
    Method("default-names", DefaultPipeline(first_person=False), _DEFAULT, "names are not put in the first person"),
    Method("default-context", DefaultPipeline(), _without("context"), "no key of turn and question before it"),
    Method("default-sentences", DefaultPipeline(), _without("sentences"), "no key a sentence"),
    Method("default-questions", DefaultPipeline(), _without("questions"), "no key a question of the turn before"),
    Method("default-words", DefaultPipeline(words_weight=0.0), _DEFAULT, "no BM25"),
    Method("default-energy", DefaultPipeline(energy_weight=0.0), _DEFAULT, "no vectors: words and speaker alone"),
    Method("default-speaker", DefaultPipeline(speaker_bonus=0.0), _DEFAULT, "no bonus for the speaker that is named"),
    Method(
        "default-window", DefaultPipeline(), replace(_DEFAULT, window_turns=1), "BM25 of the turn alone, not of three"
    ),
    Method("spread", SpreadPipeline(), _DEFAULT, "the default, and what its best turns name"),
)


@dataclass(slots=True)
class Scored:
    """What one method found for each question; summed up by `row`."""

    name: str
    _turns: list[tuple[int, metrics.Ranks]] = field(default_factory=list)
    _sessions: list[metrics.Ranks] = field(default_factory=list)
    _milliseconds: list[float] = field(default_factory=list)

    def add(self, question: Question, ranking: Sequence[str], session_of: Mapping[str, str]) -> None:
        """Take in the ranking of turn ids for a question."""
        self._turns.append((question.category, metrics.ranks_of(question.evidence, ranking)))
        evidence = metrics.distinct(session_of[dia_id] for dia_id in question.evidence)
        self._sessions.append(metrics.ranks_of(evidence, metrics.distinct(session_of[dia_id] for dia_id in ranking)))

    def add_time(self, milliseconds: float) -> None:
        """Take in how long a recall took."""
        self._milliseconds.append(milliseconds)

    def row(self) -> dict[str, Any]:
        """Sum up, as the row of a result file."""
        ranks = [ranks for _, ranks in self._turns]
        by_category: dict[int, list[metrics.Ranks]] = defaultdict(list)
        for category, of_question in self._turns:
            by_category[category].append(of_question)
        return {
            "name": self.name,
            "questions": len(ranks),
            "recall": _at(TURN_KS, metrics.recall_at, ranks),
            "hit": _at(TURN_KS, metrics.hit_at, ranks),
            "recall_all": _at(TURN_KS, metrics.recall_all_at, ranks),
            "mrr": metrics.mean([metrics.reciprocal_rank(r) for r in ranks]),
            "session_hit": _at(SESSION_KS, metrics.hit_at, self._sessions),
            "by_category": {
                str(category): {
                    "questions": len(of_category),
                    "recall": _at(TURN_KS, metrics.recall_at, of_category),
                    "mrr": metrics.mean([metrics.reciprocal_rank(r) for r in of_category]),
                }
                for category, of_category in sorted(by_category.items())
            },
            "recall_ms": dict(metrics.percentiles(self._milliseconds)),
        }


def find_methods(names: Sequence[str] | None) -> tuple[Method, ...]:
    """Give the methods of these names, in the table's order; all of them for None.

    Raises
    ------
    InvalidValueError
        If a name is not known.
    """
    if names is None:
        return METHODS
    known = [method.name for method in METHODS]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        got = repr(unknown[0]) if unknown else "none"
        raise InvalidValueError(f"pipeline: wanted some of {', '.join(known)}, got {got}")
    return tuple(method for method in METHODS if method.name in names)


def first_questions(
    conversations: Sequence[Conversation], limit: int | None
) -> list[tuple[Conversation, Sequence[Question]]]:
    """Pair each conversation with its questions, the first `limit` of all in the file's order; all for None."""
    if limit is not None and limit < 1:
        raise InvalidValueError(f"limit: wanted at least 1, got {limit}")
    pairs: list[tuple[Conversation, Sequence[Question]]] = []
    left = limit
    for conversation in conversations:
        questions = conversation.questions if left is None else conversation.questions[:left]
        if questions:
            pairs.append((conversation, questions))
        if left is not None:
            left -= len(questions)
    if not pairs:
        raise InvalidValueError("data: wanted at least one question with evidence, got none")
    return pairs


def run_locomo(
    conversations: Sequence[Conversation],
    encoder: Encoder,
    *,
    methods: Sequence[Method] = METHODS,
    limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Scored]:
    """Ask every question of its conversation, by each method.

    Nothing here is random: the same conversations and encoder give the same figures, times apart.

    Parameters
    ----------
    conversations : sequence of Conversation
        As `load_locomo` gives them.
    encoder : Encoder
        Encodes turns and questions; each distinct text once.
    methods : sequence of Method
        The rows to make.
    limit : int, optional
        Ask only the first questions of the file.
    progress : callable, optional
        Called with the steps done and the steps there are.
    """
    pairs = first_questions(conversations, limit)
    recipes = list(dict.fromkeys(method.recipe for method in methods))
    total = sum(len(c.turns) * len(recipes) + len(questions) * len(methods) for c, questions in pairs)
    done = 0

    def step(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, total)

    cached = CachedEncoder(encoder)
    scored = {method.name: Scored(method.name) for method in methods}
    for conversation, questions in pairs:
        session_of = {turn.dia_id: turn.session for turn in conversation.turns}
        for recipe in recipes:
            with Memory.open(":memory:", encoder=cached, recipe=recipe) as memory:
                memory.store_many(items_of(conversation))
                step(len(conversation.turns))
                for method in methods:
                    if method.recipe == recipe:
                        _ask(memory, method, questions, session_of, scored[method.name])
                        step(len(questions))
    return list(scored.values())


def items_of(conversation: Conversation) -> list[dict[str, Any]]:
    """Give what is stored of a conversation: its turns, with their `dia_id` as external id."""
    return [
        {
            "text": turn.text,
            "speaker": turn.speaker,
            "session": turn.session,
            "time": turn.time,
            "external_id": turn.dia_id,
        }
        for turn in conversation.turns
    ]


def _ask(
    memory: Memory, method: Method, questions: Sequence[Question], session_of: Mapping[str, str], into: Scored
) -> None:
    for question in questions:
        hits = memory.recall(question.text, k=len(memory), pipeline=method.pipeline)
        into.add(question, [hit.external_id for hit in hits if hit.external_id is not None], session_of)
    for question in questions:
        started = time.perf_counter()
        memory.recall(question.text, k=TIMED_K, pipeline=method.pipeline)
        into.add_time(1e3 * (time.perf_counter() - started))


def _at(
    ks: Sequence[int], metric: Callable[[metrics.Ranks, int], float], ranks: Sequence[metrics.Ranks]
) -> dict[str, float]:
    return {str(k): metrics.mean([metric(of_question, k) for of_question in ranks]) for k in ks}
