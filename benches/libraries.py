"""Versions of the libraries that are compared."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import metadata

__all__ = ["versions"]


def versions(distributions: Iterable[str]) -> dict[str, str]:
    """Give the version of each; a library that is not installed is left out."""
    found = {}
    for name in distributions:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
