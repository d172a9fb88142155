"""What a memory gives back: records, hits, and why a hit was found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, overload

from hmem_fast.types import FloatArray

__all__ = [
    "Alternative",
    "Chain",
    "Completed",
    "Explanation",
    "ForgetPlan",
    "Hit",
    "HitExplanation",
    "Hop",
    "KeyMatch",
    "Link",
    "Recall",
    "Record",
    "StoreInfo",
]


@dataclass(frozen=True, slots=True)
class Record:
    """A stored memory, as `Memory.get` gives it."""

    id: int
    text: str
    speaker: str | None
    session: str | None
    time: datetime | None
    """An aware datetime in UTC."""
    metadata: Mapping[str, Any]
    external_id: str | None
    cues: tuple[str, ...]
    """The cues it was stored with."""
    unkeyed: int
    """Sentences beyond the limit of 32 dense keys: they are found by their words only."""

    def to_item(self) -> dict[str, Any]:
        """Give the arguments that store this memory again, for `Memory.store_many` of another memory."""
        return {
            "text": self.text,
            "cues": self.cues,
            "speaker": self.speaker,
            "session": self.session,
            "time": self.time,
            "metadata": dict(self.metadata),
            "external_id": self.external_id,
        }


@dataclass(frozen=True, slots=True)
class Hit:
    """A memory that was recalled, and how well it fits: a larger `score` fits better.

    Scores compare the hits of one recall; they are no probabilities and no cosines.
    """

    id: int
    text: str
    score: float
    speaker: str | None
    session: str | None
    time: datetime | None
    """An aware datetime in UTC."""
    metadata: Mapping[str, Any]
    external_id: str | None


@dataclass(frozen=True, slots=True)
class KeyMatch:
    """A key of a hit and its similarity to the query."""

    kind: str
    """``"cue"``, ``"turn"``, ``"context"``, ``"question"``, ``"sentence"`` or ``"vector"``."""
    text: str | None
    """What was encoded; None for a ready vector."""
    score: float
    """Cosine."""


@dataclass(frozen=True, slots=True)
class HitExplanation:
    """Why one hit stands where it stands: `parts` add up to its score."""

    id: int
    score: float
    parts: Mapping[str, float]
    """Weighted contributions: ``energy``, ``words``, ``speaker``; where it spread, ``base`` and ``spread``."""
    keys: tuple[KeyMatch, ...]
    """Its dense keys, best first."""
    words: Mapping[str, float]
    """Query words found in its window, with their share of the BM25 score."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a recall came to its answer."""

    pipeline: str
    query: str | None
    """The query as it came; None for a vector."""
    encoded: str | None
    """The query as it was encoded: names of participants in the first person."""
    named: tuple[str, ...]
    """Participants that the query names."""
    words: tuple[str, ...]
    """The query's words as the lexical index knows them: stems, stop words left out."""
    weights: Mapping[str, float]
    milliseconds: Mapping[str, float]
    """Time of each step: ``encode`` the query, ``rank`` (search and score), ``read`` the hits."""
    candidates: int
    """Memories that were ranked."""
    hits: tuple[HitExplanation, ...] = field(repr=False)


class Recall(Sequence[Hit]):
    """The hits of one recall, best first.

    Attributes
    ----------
    ranking_version : int
        Version of the ranking that made the scores.
    explanation : Explanation or None
        Where ``explain=True`` was asked for.
    """

    __slots__ = ("_hits", "explanation", "ranking_version")

    def __init__(self, hits: Sequence[Hit], *, ranking_version: int, explanation: Explanation | None = None) -> None:
        self._hits = tuple(hits)
        self.ranking_version = ranking_version
        self.explanation = explanation

    @overload
    def __getitem__(self, index: int) -> Hit: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Hit, ...]: ...

    def __getitem__(self, index: int | slice) -> Hit | tuple[Hit, ...]:
        return self._hits[index]

    def __len__(self) -> int:
        return len(self._hits)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self._hits)

    def __repr__(self) -> str:
        lines = "".join(f"\n  {hit.score:.3f}  {hit.text!r}" for hit in self._hits)
        return f"Recall({len(self._hits)} hits{':' if lines else ''}{lines})"


@dataclass(frozen=True, slots=True, eq=False)
class Completed:
    """A cue that has settled among a memory's keys, as `Memory.complete` gives it.

    Two of them are equal if they are the same one: arrays have no single truth value to compare by.
    """

    vector: FloatArray
    """(dim,) float32, unit length: the pattern it came to rest on."""
    energy: float | None
    """Its pooled similarity to what it settled among, ``(1/beta) log sum exp(beta s)``; None where that is nothing."""
    steps: int
    """Updates that were made."""
    hits: Recall
    """The memories nearest to where it rests; their scores are the cosines of their closest keys with `vector`."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """A memory that a hop could have led to."""

    id: int
    overlap: float
    """How much of its code was active, 0 to 1; the cosine for ``code="dense"``."""
    share: float
    """Its part of all that was led to, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Hop:
    """A step of a chain: the memory it came to, whose `score` is its part of all that was led to."""

    hit: Hit
    overlap: float
    """How much of the memory's code was active, 0 to 1; the cosine for ``code="dense"``."""
    alternatives: tuple[Alternative, ...]
    """What else was reached and had not been visited, the strongest first."""


class Chain(Sequence[Hop]):
    """The hops of a chain, in their order.

    Attributes
    ----------
    start : Hit
        The memory it began at.
    ended : str
        ``"hops"``: as many were made as were asked for; ``"nothing new"``: nothing led on to where it had not been.
    """

    __slots__ = ("_hops", "ended", "start")

    def __init__(self, start: Hit, hops: Sequence[Hop], *, ended: str) -> None:
        self.start = start
        self._hops = tuple(hops)
        self.ended = ended

    @overload
    def __getitem__(self, index: int) -> Hop: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Hop, ...]: ...

    def __getitem__(self, index: int | slice) -> Hop | tuple[Hop, ...]:
        return self._hops[index]

    def __len__(self) -> int:
        return len(self._hops)

    def __iter__(self) -> Iterator[Hop]:
        return iter(self._hops)

    def __repr__(self) -> str:
        lines = "".join(f"\n  {hop.overlap:.2f}  {hop.hit.text!r}" for hop in self._hops)
        return f"Chain({len(self._hops)} hops from {self.start.text!r}{':' if lines else ''}{lines})"


@dataclass(frozen=True, slots=True)
class Link:
    """A memory leads to another one."""

    source: int
    target: int
    weight: float
    kind: str
    """``"link"``: made by the caller; ``"turn"``: from a turn to the next one; ``"use"``: learnt by `reinforce`."""


@dataclass(frozen=True, slots=True)
class ForgetPlan:
    """What forgetting memories would do, as `Memory.plan_forget` gives it."""

    ids: tuple[int, ...]
    """The memories that would go."""
    keys: int
    """Their dense keys, which go with them."""
    links: int
    """Links from them or to them, which go too."""
    renewed: tuple[int, ...]
    """Turns behind them whose keys or words would be made anew."""


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """What a memory holds and how it is kept, as `Memory.info` gives it."""

    path: str | None
    memories: int
    keys: int
    stale_keys: int
    """Keys that wait for an encoder."""
    unkeyed: int
    """Sentences beyond the limit of dense keys a memory."""
    sessions: int
    speakers: tuple[str, ...]
    encoder: str | None
    space_id: str | None
    dim: int
    producers: tuple[str, ...]
    """Backends and precisions that made the stored vectors."""
    change_seq: int
    last_memory_id: int
    """The largest id that was ever given."""
    format_version: int
    ranking_version: int
    disk_bytes: int
    """Size of the folder: the sum of the five below."""
    truth_bytes: int
    log_bytes: int
    """SQLite's log beside the truth."""
    snapshot_bytes: int
    backup_bytes: int
    """Copies of the truth that were made before migrations and repairs."""
    other_bytes: int
    """The lock, quarantine files, and what does not belong to the store."""
    index_bytes: int
    """Memory that the index takes in this process."""
