"""Vectors of many texts, encoded once and kept in the cache folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np

from hmem_fast.encode import cache_dir
from hmem_fast.types import Encoder, FloatArray

__all__ = ["kept_vectors"]

_PART = 1_000


def kept_vectors(encoder: Encoder, texts: Sequence[str], progress: Callable[[int, int], None]) -> FloatArray:
    """Encode texts, or read what an earlier run has encoded of just these.

    Shapes
    ------
    result  (n, dim)  float32, unit rows
    """
    told = "\0".join((encoder.space_id, encoder.producer, *texts))
    path = cache_dir() / "evaluate" / f"vectors-{hashlib.sha256(told.encode()).hexdigest()[:16]}.npy"
    if path.is_file():
        found: FloatArray = np.load(path, allow_pickle=False)
        if found.shape == (len(texts), encoder.dim):
            return found
    parts = []
    for start in range(0, len(texts), _PART):
        progress(start, len(texts))
        parts.append(encoder.encode(texts[start : start + _PART]))
    rows = np.concatenate(parts) if parts else np.empty((0, encoder.dim), np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished.npy")
    np.save(unfinished, rows)
    unfinished.replace(path)
    return rows
