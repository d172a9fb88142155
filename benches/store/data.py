"""Synthetic memories: unit vectors at random, short texts with words that come back, metadata."""

from __future__ import annotations

import numpy as np

DIM = 384

_WORDS = (
    *("river", "copper", "window", "autumn", "letter", "engine"),
    *("garden", "paper", "mirror", "signal", "harbour", "violin"),
)


def vectors(n: int, seed: int = 0) -> np.ndarray:
    """(n, DIM) float32 rows of unit length."""
    rows = np.random.default_rng(seed).standard_normal((n, DIM), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def text(i: int) -> str:
    """A text of a dozen words, most of them shared with others."""
    return f"Note {i} on the {_WORDS[i % 12]} and the {_WORDS[i // 12 % 12]}, filed under {i * 7919 % 1009} today."


def items(rows: np.ndarray, keys: int = 1, first: int = 0):
    """Give one memory for each `keys` rows, as `Memory.store_many` takes them."""
    for i, start in enumerate(range(0, len(rows), keys), first):
        yield {"text": text(i), "vectors": rows[start : start + keys], "metadata": {"n": i}}
