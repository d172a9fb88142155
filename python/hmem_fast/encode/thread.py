"""How many threads an encoder may use."""

from __future__ import annotations

import os

from hmem_fast.errors import DTypeError, InvalidValueError

__all__ = ["available_threads", "checked_threads"]


def available_threads() -> int:
    """Count the CPUs this process may use; the machine may have more."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def checked_threads(threads: object) -> int:
    """Give a number of threads, at most the CPUs that this process may use.

    Raises
    ------
    DTypeError
        If it is no int.
    InvalidValueError
        If it is below 1.
    """
    if isinstance(threads, bool) or not isinstance(threads, int):
        raise DTypeError(f"threads: wanted an int, got {type(threads).__name__}")
    if threads < 1:
        raise InvalidValueError(f"threads: wanted at least 1, got {threads}")
    return min(threads, available_threads())
