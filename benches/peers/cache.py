"""Arrays that take long to make, kept between runs outside the repository."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hmem_fast.encode import cache_dir

__all__ = ["digest", "hash_of", "kept"]


def kept(name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
    """Give the array `name` of the cache, made and put there by the first call.

    A name must say everything that the content depends on. The whole file appears, or none of it.
    """
    path = _folder() / f"{name}.npy"
    if not path.is_file():
        array = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished.npy")
        np.save(unfinished, array)
        unfinished.replace(path)
    found: np.ndarray = np.load(path)
    return found


def digest(*parts: Any) -> str:
    """Short name of what an array depends on."""
    return hashlib.sha256("\0".join(str(part) for part in parts).encode()).hexdigest()[:16]


def hash_of(array: np.ndarray) -> str:
    """Hash an array's content."""
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


def _folder() -> Path:
    return cache_dir() / "bench-peers"
