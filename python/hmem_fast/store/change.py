"""The change log: what a derived index must do again to be current."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Change"]


@dataclass(frozen=True, slots=True)
class Change:
    """All that happened to the truth after some `change_seq`, reduced to what still matters.

    Attributes
    ----------
    change_seq : int
        The last change it covers; the point to go on from.
    put : tuple of int
        Memories that are there now and were added or changed, ascending.
    removed : tuple of int
        Memories that were changed or removed and are not there now, ascending.
    """

    change_seq: int
    put: tuple[int, ...]
    removed: tuple[int, ...]
