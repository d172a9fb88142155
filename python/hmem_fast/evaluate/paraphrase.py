"""Paraphrase: a memory has several cues that people wrote, and is to be found by what others wrote for the same intent.

clinc150: each of its 150 intents is a memory, some of its training utterances are its cues, drawn by chance. The
questions are the utterances of the test part; inverse temperatures are chosen on the validation part, each readout
its own. Questions whose very text is among the training utterances are left out.

The readouts differ in how they make one score of a memory's cues:

- ``energy``: ``(1/beta) log sum exp(beta s)``, as recall pools them;
- ``max``, ``mean``: the closest cue, the mean of all;
- ``log_mean_exp``: the energy that does not grow with the number of cues;
- ``settle``: the question settles once among the closest cues of the nearest 20 memories; the memory whose cue is
  nearest to where it ends;
- ``hebbian``: winner-take-all codes of cues, linearly associated with their memories: the units that a memory's cues
  share with the question, counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmem_fast.core import TraceIndex, energy
from hmem_fast.errors import InvalidValueError
from hmem_fast.evaluate.cached import CachedEncoder
from hmem_fast.evaluate.clinc_file import Clinc
from hmem_fast.evaluate.hebbian import Codes, codes_of
from hmem_fast.evaluate.metrics import confidence_interval
from hmem_fast.types import Encoder, FloatArray, IdArray

__all__ = ["BETAS", "CUES", "READOUTS", "check_cues", "run_paraphrase"]

CUES = (1, 4, 8, 32)
READOUTS = ("energy", "max", "mean", "log_mean_exp", "settle", "hebbian")

#: From which inverse temperatures are chosen.
BETAS = (4.0, 8.0, 12.0, 16.0, 24.0, 32.0, 64.0)

#: Memories that a question settles among, and how often.
_NEAREST = 20
_STEPS = 1


@dataclass(frozen=True, slots=True)
class _Questions:
    vectors: FloatArray
    wanted: IdArray
    """The memory that each asks for."""


class _Cues:
    """Memories under their cues; each readout gives the memory that it ranks first, for each question."""

    def __init__(self, offsets: IdArray, vectors: FloatArray, seed: int) -> None:
        self._offsets = offsets
        self._ids = np.arange(len(offsets) - 1, dtype=np.int64)
        self._traces = TraceIndex(vectors.shape[1])
        self._traces.put(self._ids, offsets, np.arange(len(vectors)), vectors, [""] * len(self._ids))
        self._codes = Codes(codes_of(vectors, seed=seed))
        self._seed = seed

    def energy(self, questions: FloatArray, beta: float) -> IdArray:
        """Answer by the energy of each memory's cues."""
        found = (self._traces.candidates(question, None, n=1, beta=beta) for question in questions)
        return np.array([candidates.ids[0] for candidates in found], dtype=np.int64)

    def max(self, questions: FloatArray) -> IdArray:
        """Answer by the closest cue."""
        return self.energy(questions, math.inf)

    def mean(self, questions: FloatArray) -> IdArray:
        """Answer by the mean over a memory's cues."""
        sums = np.array([np.add.reduceat(self._scores(question), self._offsets[:-1]) for question in questions])
        best: IdArray = (sums / np.diff(self._offsets)).argmax(axis=1)
        return best

    def log_mean_exp(self, questions: FloatArray, beta: float) -> IdArray:
        """Answer by the energy, less what the number of cues adds to it."""
        scores = (self._scores(question).astype(np.float32) for question in questions)
        return np.array([energy(of_all, self._offsets, beta, mean=True).argmax() for of_all in scores], dtype=np.int64)

    def settle(self, questions: FloatArray, beta: float) -> IdArray:
        """Answer by the cue that is nearest to where the question settles."""
        done = self._traces.complete(questions, _NEAREST, beta=beta, steps=_STEPS)
        best = done.settled_scores.argmax(axis=1)
        return np.take_along_axis(done.ids, best[:, None], axis=1)[:, 0]

    def hebbian(self, questions: FloatArray) -> IdArray:
        """Answer by the units that a memory's cues share with the question."""
        shared = [self._codes.overlaps(code) for code in codes_of(questions, seed=self._seed)]
        return np.array([np.add.reduceat(counts, self._offsets[:-1]).argmax() for counts in shared], dtype=np.int64)

    def _scores(self, question: FloatArray) -> NDArray[np.float64]:
        return self._traces.key_scores(question, self._ids)[2]


def run_paraphrase(
    clinc: Clinc,
    encoder: Encoder,
    *,
    cues: Sequence[int] = CUES,
    seed: int = 0,
    limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[dict[str, Any]]:
    """Ask every question of memories with so many cues each, by each readout.

    The last rows are of memories with different numbers of cues, 1 to the most of `cues`, drawn by chance: there it
    matters whether a readout rewards a memory for having many.

    Parameters
    ----------
    clinc : Clinc
        As `load_clinc` gives it.
    encoder : Encoder
        Encodes cues and questions; each distinct text once.
    cues : sequence of int
        Cues of each memory.
    seed : int
        Fixes which cues are drawn, the projection of ``hebbian`` and the bootstrap.
    limit : int, optional
        Ask only the first questions of the test part, and of the validation part.
    progress : callable, optional
        Called with the steps done and the steps there are.

    Returns
    -------
    list of dict
        The rows of a result file. The energy's row has its difference to that of ``max``, over the same questions.

    Raises
    ------
    InvalidValueError
        If an intent has fewer training utterances than cues are wanted.
    """
    texts = clinc.by_intent()
    check_cues(cues, min(map(len, texts.values())))
    cached = CachedEncoder(encoder)
    parts = [_questions(clinc, part, cached, limit) for part in (clinc.val, clinc.test)]
    settings = [(count, False) for count in cues] + ([(max(cues), True)] if max(cues) > 1 else [])
    rows: list[dict[str, Any]] = []
    for done, (count, uneven) in enumerate(settings):
        if progress is not None:
            progress(done, len(settings))
        offsets, drawn = _drawn(texts, count, uneven=uneven, seed=seed)
        rows += _rows(_Cues(offsets, cached.encode(drawn), seed), *parts, cues=count, uneven=uneven, seed=seed)
    return rows


def check_cues(cues: Sequence[int], most: int) -> None:
    """Refuse numbers of cues that cannot be drawn."""
    wrong = [count for count in cues if not 1 <= count <= most]
    if wrong or not cues:
        raise InvalidValueError(f"cues: wanted 1 to {most}, got {wrong[0] if wrong else 'none'}")


def _questions(clinc: Clinc, part: Iterable[tuple[str, str]], encoder: Encoder, limit: int | None) -> _Questions:
    """The questions of a part, by the number of the memory that each asks for."""
    number_of = {intent: number for number, intent in enumerate(clinc.intents)}
    known = {text for text, _ in clinc.train}
    asked = [(text, number_of[intent]) for text, intent in part if text not in known][:limit]
    return _Questions(
        encoder.encode([text for text, _ in asked]), np.array([number for _, number in asked], dtype=np.int64)
    )


def _drawn(texts: Mapping[str, Sequence[str]], count: int, *, uneven: bool, seed: int) -> tuple[IdArray, list[str]]:
    """Draw cues for each memory: where they begin, and all of them."""
    rng = np.random.default_rng([seed, count, uneven])
    drawn: list[str] = []
    offsets = [0]
    for of_intent in texts.values():
        wanted = int(rng.integers(1, count + 1)) if uneven else count
        drawn += [of_intent[place] for place in rng.choice(len(of_intent), wanted, replace=False)]
        offsets.append(len(drawn))
    return np.array(offsets, dtype=np.int64), drawn


def _rows(
    memories: _Cues, val: _Questions, test: _Questions, *, cues: int, uneven: bool, seed: int
) -> list[dict[str, Any]]:
    pooled = {"energy": memories.energy, "log_mean_exp": memories.log_mean_exp, "settle": memories.settle}
    plain = {"max": memories.max, "mean": memories.mean, "hebbian": memories.hebbian}
    right: dict[str, NDArray[np.float64]] = {}
    chosen: dict[str, float] = {}
    for readout, answer in pooled.items():
        by_beta = {beta: float((answer(val.vectors, beta) == val.wanted).mean()) for beta in BETAS}
        chosen[readout] = max(by_beta, key=by_beta.__getitem__)
        right[readout] = (answer(test.vectors, chosen[readout]) == test.wanted).astype(np.float64)
    for name, answer_plainly in plain.items():
        right[name] = (answer_plainly(test.vectors) == test.wanted).astype(np.float64)
    rows = []
    for readout in READOUTS:
        row: dict[str, Any] = {"readout": readout, "cues": cues, "uneven": uneven, "questions": len(test.wanted)}
        row["top1"] = float(right[readout].mean())
        row["top1_ci"] = confidence_interval(right[readout], seed=seed)
        if readout in chosen:
            row["beta"] = chosen[readout]
        if readout == "energy":
            difference = right["energy"] - right["max"]
            row["minus_max"] = float(difference.mean())
            row["minus_max_ci"] = confidence_interval(difference, seed=seed)
        rows.append(row)
    return rows
