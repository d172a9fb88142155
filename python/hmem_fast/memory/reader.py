"""How a question finds its memories: filter, ranking, reading, explanation."""

from __future__ import annotations

import math
import time as clock
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import numpy as np

from hmem_fast.errors import DTypeError, InvalidValueError
from hmem_fast.memory import turn_table
from hmem_fast.memory.encoder_slot import EncoderSlot
from hmem_fast.memory.explain import explain as explain_hits
from hmem_fast.memory.live_index import LiveIndex
from hmem_fast.memory.pipeline import NearestPipeline, Pipeline, Question, Scores, find_pipeline
from hmem_fast.memory.records import to_hit
from hmem_fast.memory.result import Completed, Hit, Recall
from hmem_fast.memory.spread_pipeline import with_spread
from hmem_fast.memory.turn import check_vector
from hmem_fast.memory.where import Sql, Where, select, to_sql
from hmem_fast.store import TraceStore
from hmem_fast.store.record import check_text
from hmem_fast.types import FloatArray, IdArray

__all__ = ["RANKING_VERSION", "Reader"]

#: Version of the default ranking; stands in every recall, moves apart from those of the package and the file format.
RANKING_VERSION = 1

#: How often a recall is tried while others change what it finds.
_ATTEMPTS = 4

#: Filters whose ids are kept.
_MAX_FILTERS = 64


class Reader:
    """Answers questions. Any number of threads may ask at once."""

    def __init__(self, store: TraceStore, index: LiveIndex, slot: EncoderSlot) -> None:
        self._store = store
        self._index = index
        self._slot = slot
        self._filters: dict[Sql, tuple[int, IdArray]] = {}

    def recall(
        self,
        query: str | FloatArray,
        k: int,
        *,
        where: Where | None,
        explain: bool,
        pipeline: str | Pipeline,
        spread: bool | None = None,
    ) -> Recall:
        """Do what `Memory.recall` says."""
        chosen = with_spread(find_pipeline(pipeline), spread)
        for _ in range(_ATTEMPTS - 1):
            # Between two looks at the index another thread may have changed or forgotten a candidate: look again.
            with suppress(KeyError):
                return self._recall(query, k, where, explain=explain, chosen=chosen)
        return self._recall(query, k, where, explain=explain, chosen=chosen)

    def _recall(
        self, query: str | FloatArray, k: int, where: Where | None, *, explain: bool, chosen: Pipeline
    ) -> Recall:
        timer = _Timer()
        sql = None if where is None else to_sql(where)
        question = self._question(query, k, sql, timer)
        ranking = chosen.rank(question).best_first()
        timer.stop("rank")
        hits = self._hits(ranking.ids, ranking.scores, question.k, sql)
        timer.stop("read")
        explanation = None
        if explain:
            explanation = explain_hits(
                self._store,
                self._index,
                ranking,
                pipeline=chosen.name,
                query=question.text,
                hit_ids=[hit.id for hit in hits],
                milliseconds=timer.milliseconds,
            )
        return Recall(hits, ranking_version=RANKING_VERSION, explanation=explanation)

    def complete(self, cue: str | FloatArray, k: int, *, beta: float, steps: int) -> Completed:
        """Do what `Memory.complete` says."""
        question = self._question(cue, k, None, _Timer(), argument="cue")
        settled = self._index.traces.complete(question.to_vector()[None], question.k, beta=beta, steps=steps)
        vector = settled.vectors[0]
        energy = float(settled.energy[0])
        hits = self.recall(vector, k, where=None, explain=False, pipeline=NearestPipeline())
        return Completed(vector, energy if math.isfinite(energy) else None, int(settled.steps[0]), hits)

    def _question(
        self, query: str | FloatArray, k: int, sql: Sql | None, timer: _Timer, argument: str = "query"
    ) -> Question:
        if isinstance(k, bool) or not isinstance(k, int | np.integer):
            raise DTypeError(f"k: wanted a whole number, got {type(k).__name__}")
        if k < 1:
            raise InvalidValueError(f"k: wanted 1 or more, got {k}")
        text = vector = None
        if isinstance(query, str):
            text = check_text(argument, query)
            if not text.strip():
                raise InvalidValueError(f"{argument}: wanted some text, got only white space")
        else:
            vector = check_vector(argument, query, self._slot.dim)

        def encode(text: str) -> FloatArray:
            with timer.apart("encode"):
                vector: FloatArray = self._slot.encode([text])[0]
                return vector

        return Question(
            text=text,
            vector=vector,
            k=min(int(k), max(1, len(self._index))),
            allowed=None if sql is None else self._allowed(sql),
            index=self._index,
            encode=encode,
            has_encoder=not self._slot.waived,
        )

    def _allowed(self, sql: Sql) -> IdArray:
        """Ids that a filter lets through; kept until the truth changes."""
        change_seq = self._index.change_seq
        # 1, 1.0 and True are equal, and SQLite finds them equal too, so they may share a place.
        kept = self._filters.get(sql)
        if kept is None or kept[0] != change_seq:
            with self._store.snapshot() as connection:
                ids = np.array(select(connection, sql), dtype=np.int64)
            if len(self._filters) >= _MAX_FILTERS:
                self._filters = {}
            self._filters[sql] = kept = (change_seq, ids)
        return kept[1]

    def _hits(self, ids: IdArray, scores: Scores, k: int, sql: Sql | None) -> list[Hit]:
        """Read the best memories as they are now.

        What has just been forgotten, or changed so that the filter would not let it through any more, is passed over.
        """
        hits: list[Hit] = []
        for start in range(0, len(ids), k):
            wanted: list[int] = ids[start : start + k].tolist()
            with self._store.snapshot() as connection:
                allowed = None if sql is None else set(select(connection, sql, among=wanted))
                found = turn_table.read_with_memories(connection, wanted)
            hits += [
                to_hit(*found[memory_id], score)
                for memory_id, score in zip(wanted, scores[start : start + k].tolist(), strict=True)
                if memory_id in found and (allowed is None or memory_id in allowed)
            ]
            if len(hits) >= k:
                break
        return hits[:k]


class _Timer:
    """Times the steps of a recall; a step inside another is taken out of it."""

    def __init__(self) -> None:
        self.milliseconds: dict[str, float] = {}
        self._since = clock.perf_counter()
        self._apart = 0.0

    def stop(self, step: str) -> None:
        """End a step and begin the next."""
        now = clock.perf_counter()
        self.milliseconds[step] = (now - self._since - self._apart) * 1000
        self._since, self._apart = now, 0.0

    @contextmanager
    def apart(self, step: str) -> Iterator[None]:
        """Time a step that happens inside another."""
        start = clock.perf_counter()
        yield
        seconds = clock.perf_counter() - start
        self._apart += seconds
        self.milliseconds[step] = self.milliseconds.get(step, 0.0) + seconds * 1000
