"""The change log: what a derived index must do again to be current."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

__all__ = ["Change", "new_stamp"]


@dataclass(frozen=True, slots=True)
class Change:
    """All that happened to the truth after some `change_seq`, reduced to what still matters.

    Attributes
    ----------
    change_seq : int
        The last change it covers; the point to go on from.
    stamp : int
        Stamp of that change, to be handed in together with it; 0 in a store that never changed.
    put : tuple of int
        Memories that are there now and were added or changed, ascending.
    removed : tuple of int
        Memories that were changed or removed and are not there now, ascending.
    linked : tuple of int
        Memories that are there and whose outgoing links were added, changed or removed, ascending. Links that went
        with a memory at their other end are not told of.
    restart : bool
        Whether the point that was asked about is not in the history of this file, because a backup was put back, say.
        Then `put` and `linked` are all there is, `removed` is empty, and what is derived must be thrown away first.
    """

    change_seq: int
    stamp: int
    put: tuple[int, ...]
    removed: tuple[int, ...]
    linked: tuple[int, ...] = ()
    restart: bool = False


def new_stamp() -> int:
    """Draw the number that marks all changes of one transaction: two files that part ways never agree in it."""
    return secrets.randbits(63)
