"""Why the hits of a recall stand where they stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hmem_fast.memory.live_index import LiveIndex
from hmem_fast.memory.pipeline import Ranking
from hmem_fast.memory.result import Explanation, HitExplanation, KeyMatch
from hmem_fast.store import TraceStore

__all__ = ["explain"]


def explain(
    store: TraceStore,
    index: LiveIndex,
    ranking: Ranking,
    *,
    pipeline: str,
    query: str | None,
    hit_ids: Sequence[int],
    milliseconds: Mapping[str, float],
) -> Explanation:
    """Look up, for each hit, the keys and words that matched and what each part added."""
    ids = np.array([memory_id for memory_id in hit_ids if memory_id in index.traces], dtype=np.int64)
    row_of = {int(memory_id): row for row, memory_id in enumerate(ranking.ids)}
    keys = _key_matches(store, index, ranking, ids)
    words = index.traces.word_scores(list(ranking.words), ids)
    return Explanation(
        pipeline=pipeline,
        query=query,
        encoded=ranking.encoded,
        named=ranking.named,
        words=ranking.words,
        weights=ranking.weights,
        milliseconds=milliseconds,
        candidates=len(ranking.ids),
        hits=tuple(
            HitExplanation(
                id=int(memory_id),
                score=float(ranking.scores[row_of[int(memory_id)]]),
                parts={name: float(values[row_of[int(memory_id)]]) for name, values in ranking.parts.items()},
                keys=keys.get(int(memory_id), ()),
                words={
                    word: float(score) for word, score in zip(ranking.words, words[position], strict=True) if score > 0
                },
            )
            for position, memory_id in enumerate(ids)
        ),
    )


def _key_matches(
    store: TraceStore, index: LiveIndex, ranking: Ranking, ids: np.ndarray
) -> dict[int, tuple[KeyMatch, ...]]:
    if ranking.vector is None:
        return {}
    offsets, key_ids, scores = index.traces.key_scores(ranking.vector, ids)
    stored = {key.key_id: key for key in store.keys(int(memory_id) for memory_id in ids)}
    matches = {}
    for memory_id, start, stop in zip(ids, offsets, offsets[1:], strict=False):
        found = [
            KeyMatch(key.kind, key.text, float(score))
            for key_id, score in zip(key_ids[start:stop], scores[start:stop], strict=True)
            if (key := stored.get(int(key_id))) is not None
        ]
        matches[int(memory_id)] = tuple(sorted(found, key=lambda match: -match.score))
    return matches
