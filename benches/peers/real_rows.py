"""Unit rows of real texts: MiniLM in float32, encoded once."""

from __future__ import annotations

import sys

import numpy as np

from benches.peers.cache import digest, kept
from hmem_fast.encode import Encoder, resolve

__all__ = ["ENCODER", "encoded"]

ENCODER = "minilm-f32"
_PART = 1_000


def encoded(texts: list[str]) -> np.ndarray:
    """Encode the texts with one thread, as the encoder cuts them; minutes for the first time, then from the cache.

    Shapes
    ------
    result  (n, dim)  float32, unit rows
    """
    encoder = resolve(ENCODER)
    name = f"real-{digest(encoder.space_id, encoder.producer, *texts)}"
    return kept(name, lambda: _encode(encoder, texts))


def _encode(encoder: Encoder, texts: list[str]) -> np.ndarray:
    parts = []
    for start in range(0, len(texts), _PART):
        parts.append(encoder.encode(texts[start : start + _PART]))
        print(f"\rencoding real texts: {start + len(parts[-1]):,} of {len(texts):,}", end="", file=sys.stderr)
    print(file=sys.stderr)
    return np.concatenate(parts)
