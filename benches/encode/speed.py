"""How long encoding takes: one text of a given length, and a thousand real turns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benches.encode.implementations import (
    BASELINE,
    Implementation,
    all_implementations,
    float32_encoder,
)
from benches.encode.rounds import Taken, all_at_once, alternate, each_alone, median_ratio
from benches.encode.texts import of_length, sample, turns
from hmem_fast.encode.thread import available_threads

__all__ = ["LENGTHS", "by_length_rows", "check", "measure"]

LENGTHS = (12, 32, 64, 128)
_TEXTS = 30
_A_ROUND = 3
_MANY, _A_CALL = 1_000, 250

Row = dict[str, Any]


def measure(model: Path, threads: int = 1, rounds: int = 20) -> Iterator[Row]:
    """Give a row for each implementation and length, and for each way to encode many."""
    tokenizer = float32_encoder()._tokenizer  # noqa: SLF001 - counts tokens as the package tokenizers does
    implementations = all_implementations(model, threads)
    for length in LENGTHS:
        texts = of_length(turns(), length, _TEXTS, lambda text: len(tokenizer.tokenize(text).ids))
        float32 = float32_encoder().encode(texts)
        yield from by_length_rows(implementations, texts, float32, length=length, rounds=rounds)
    texts = sample(turns(), _MANY)
    yield from _of_many(implementations, texts, threads, max(1, rounds // 5))
    if threads == 1 and available_threads() > 1:
        two = [one for one in all_implementations(model, 2) if not one.name.startswith("static")]
        yield from _of_many(two, texts, 2, max(1, rounds // 10))


def by_length_rows(
    implementations: Sequence[Implementation], texts: Sequence[str], float32: np.ndarray, *, length: int, rounds: int
) -> list[Row]:
    """Encode single texts of one length; each round takes the next few of them."""
    for one in implementations:
        check(one, texts, np.concatenate([one.encode([text]) for text in texts]), float32)
    taken = alternate({one.name: each_alone(one.encode, texts, _A_ROUND) for one in implementations}, rounds)
    return [
        {
            "op": "encode one",
            "tokens": length,
            "implementation": one.name,
            "p50_ms": float(np.median(np.concatenate([turn.clock for turn in taken[one.name]]))) * 1e3,
            **_ratios(taken[one.name], taken[BASELINE]),
            "promise": one.promise,
        }
        for one in implementations
    ]


def _of_many(implementations: Sequence[Implementation], texts: Sequence[str], threads: int, rounds: int) -> list[Row]:
    """Encode many texts in a call; each round takes the next few hundred of them."""
    float32 = float32_encoder().encode(texts)
    ways = {name: (one, encode) for one in implementations for name, encode in one.for_many()}
    for one, encode in ways.values():
        check(one, texts, encode(texts), float32)
    taken = alternate({name: all_at_once(encode, texts, _A_CALL) for name, (_, encode) in ways.items()}, rounds)
    return [
        {
            "op": "encode many",
            "texts": len(texts),
            "threads": threads,
            "implementation": name,
            "texts_per_s": min(_A_CALL, len(texts)) / float(np.median([turn.clock for turn in turns_taken])),
            **_ratios(turns_taken, taken[BASELINE]),
            "promise": ways[name][0].promise,
        }
        for name, turns_taken in taken.items()
    ]


def _ratios(of: Sequence[Taken], to: Sequence[Taken]) -> Row:
    return {
        "ratio": median_ratio([turn.clock for turn in of], [turn.clock for turn in to]),
        "cpu_ratio": median_ratio([turn.cpu for turn in of], [turn.cpu for turn in to]),
    }


def check(one: Implementation, texts: Sequence[str], found: np.ndarray, float32: np.ndarray) -> None:
    """Stop where an answer is wrong: how long it took does not matter then."""
    if (wrong := one.wrong(texts, found, float32)) is not None:
        raise AssertionError(f"{one.name}: {wrong}")
