"""A default recall by text among 20,000 memories: all of it, and where the time goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np

from benches.encode.implementations import CORE, int8_encoders
from benches.encode.recall_store import items, store_of
from benches.encode.rounds import Taken, alternate, median_ratio, timed_calls
from benches.encode.texts import questions, sample
from hmem_fast import Memory
from hmem_fast.encode import NativeEncoder
from hmem_fast.evaluate.texts import sentences
from hmem_fast.memory import DefaultPipeline

__all__ = ["PARTS", "TimedPipeline", "measure", "shares"]

K = 10
PARTS = ("tokenize", "model", "search", "ranking", "read", "whole call")

_Answer = TypeVar("_Answer")


def measure(model: Path, memories: int = 20_000, asked: int = 300, rounds: int = 3) -> list[dict[str, Any]]:
    """Ask real questions, a call each, by text; give the whole call by encoder, then the parts with the core's."""
    folder = store_of(model, memories)
    texts = sample(questions(), asked)
    float32, int8 = int8_encoders(model)
    encoders = {**int8, "onnxruntime float32": float32}
    with ExitStack() as stack:
        opened = {
            name: stack.enter_context(Memory.open(folder, encoder=encoder, mode="r"))
            for name, encoder in encoders.items()
        }
        _check(opened[CORE], memories)
        for memory in opened.values():
            for text in texts[:20]:
                memory.recall(text, k=K)
        taken = alternate({name: _asks(memory, texts) for name, memory in opened.items()}, rounds)
        parts = [part for _ in range(rounds) for part in _parts_of(opened[CORE], int8[CORE], texts)]
        keys = opened[CORE].info().keys
    rows: list[dict[str, Any]] = [
        {
            "op": "recall",
            "memories": memories,
            "keys": keys,
            "questions": len(texts),
            "implementation": name,
            **_percentiles(np.concatenate([turn.clock for turn in turns])),
            "cpu_p50_ms": float(np.median(np.concatenate([turn.cpu for turn in turns]))) * 1e3,
            "ratio": median_ratio([turn.clock for turn in turns], [turn.clock for turn in taken[CORE]]),
        }
        for name, turns in taken.items()
    ]
    rows += [
        {"op": "part of a recall", "part": name, **_percentiles(np.array([call[name] for call in parts]))}
        for name in PARTS
    ]
    return rows


class TimedPipeline:
    """The default pipeline, with the time of what it calls noted in `seconds`."""

    name: ClassVar[str] = "default"

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def rank(self, question: Any) -> Any:
        """Rank as the default does."""
        self.seconds = dict.fromkeys(("encode", "search"), 0.0)
        watched = replace(question, index=_Index(question.index, self), encode=self.timed("encode", question.encode))
        return DefaultPipeline().rank(watched)

    def timed(self, part: str, call: Callable[..., _Answer]) -> Callable[..., _Answer]:
        """Make a function that adds its time to a part."""

        def timed(*arguments: Any, **named: Any) -> _Answer:
            start = time.perf_counter()
            answer = call(*arguments, **named)
            self.seconds[part] += time.perf_counter() - start
            return answer

        return timed


class _Index:
    """What a pipeline uses of the index, with the core's work timed."""

    def __init__(self, index: Any, pipeline: TimedPipeline) -> None:
        self.participants = index.participants
        self.spoken_by = index.spoken_by
        self.traces = _Traces(index.traces, pipeline)


class _Traces:
    def __init__(self, traces: Any, pipeline: TimedPipeline) -> None:
        self.analyze = pipeline.timed("search", traces.analyze)
        self.candidates = pipeline.timed("search", traces.candidates)


def _asks(memory: Memory, texts: Sequence[str]) -> Callable[[int], Taken]:
    """Make a turn that asks all questions, so that none is asked again before all others were."""
    return lambda _: timed_calls([partial(memory.recall, text, k=K) for text in texts])


def _parts_of(memory: Memory, encoder: Any, texts: Sequence[str]) -> list[dict[str, float]]:
    """Ask each text once more and take the call apart; in seconds."""
    assert isinstance(encoder, NativeEncoder)
    tokenize = encoder._encoder.tokenize  # noqa: SLF001 - one step of the encoder, alone
    found = []
    for text in texts:
        pipeline = TimedPipeline()
        start = time.perf_counter()
        plain = memory.recall(text, k=K)
        whole = time.perf_counter() - start
        explained = memory.recall(text, k=K, pipeline=pipeline, explain=True)
        assert [hit.id for hit in plain] == [hit.id for hit in explained], "taken apart, a recall answers otherwise"
        assert explained.explanation is not None
        start = time.perf_counter()
        tokenize(explained.explanation.encoded)
        tokenizing = time.perf_counter() - start
        found.append(shares(whole, tokenizing, pipeline.seconds, explained.explanation.milliseconds))
    return found


def shares(
    whole: float, tokenizing: float, seconds: Mapping[str, float], steps: Mapping[str, float]
) -> dict[str, float]:
    """Divide a recall. The whole is that of a call of its own, without anything noted: the parts need not add up."""
    return {
        "tokenize": tokenizing,
        "model": seconds["encode"] - tokenizing,
        "search": seconds["search"],
        "ranking": steps["rank"] / 1e3 - seconds["search"],
        "read": steps["read"] / 1e3,
        "whole call": whole,
    }


def _percentiles(seconds: np.ndarray) -> dict[str, float]:
    return {f"p{p}_ms": float(np.percentile(seconds, p)) * 1e3 for p in (10, 50, 99)}


def _check(memory: Memory, count: int) -> None:
    """Hold the store to this: a text of one sentence that asks nothing is a key, and so its nearest is itself."""
    assert len(memory) == count
    for item in items(count)[::50]:
        text = item["text"]
        if sentences(text) == [text] and "?" not in text:
            found = memory.recall(text, k=1, pipeline="nearest")[0]
            assert found.score > 0.9999, f"wanted {text!r} to be a key, the nearest of {found.text!r} has {found.score}"
