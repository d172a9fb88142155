"""Mending what `verify` finds: in the truth, in the keys that were lost with it, and in the index."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from hmem_fast.errors import StoreCorruptError, StoreNotFoundError
from hmem_fast.memory import turn_table
from hmem_fast.memory.live_index import LiveIndex
from hmem_fast.memory.opening import RECORDED, open_parts
from hmem_fast.memory.saver import Saver
from hmem_fast.memory.turn_table import TURN_MIGRATIONS, TURN_TABLES, TurnRow
from hmem_fast.memory.verify import turn_problems
from hmem_fast.memory.writer import Writer
from hmem_fast.store import Problem, TraceStore
from hmem_fast.store.backup import FILE

__all__ = ["Repaired", "repair_memory", "repair_open"]


#: Property of a store: memories that lose keys in a repair that is not finished; null when it is.
_REPAIRING = "repairing"


@dataclass(frozen=True, slots=True)
class Repaired:
    """What `Memory.repair` did.

    Attributes
    ----------
    backup : str or None
        Name of the copy that was made before, in the memory's folder; None if no row of the truth was damaged.
    quarantine : str or None
        Name of the file with the damaged rows, one JSON object a line; None if there were none.
    dropped_keys : tuple of int
        Damaged keys, which were taken out.
    renewed : tuple of int
        Memories that had lost keys, and have all that can be made from their text again.
    stale : tuple of int
        Those of them whose keys wait for the encoder: see `Memory.renew`.
    without_vectors : tuple of int
        Memories that lost ready vectors, which only the caller could give again, with `Memory.update`.
    restored_turns : tuple of int
        Memories that had lost speaker, session and time: they can be read again, without them.
    damaged : tuple of int
        Memories whose text, metadata or external id is damaged and which are still there. Reading one raises.
    dropped : tuple of int
        Those that are gone, because `drop` was asked for.
    problems : tuple of Problem
        What is still wrong with the truth.
    """

    backup: str | None
    quarantine: str | None
    dropped_keys: tuple[int, ...]
    renewed: tuple[int, ...]
    stale: tuple[int, ...]
    without_vectors: tuple[int, ...]
    restored_turns: tuple[int, ...]
    damaged: tuple[int, ...]
    dropped: tuple[int, ...]
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong any more."""
        return not self.problems


def repair_memory(path: str | os.PathLike[str], *, drop: bool = False) -> Repaired:
    """Mend the memory at `path`, even one that cannot be opened. See `Memory.repair`.

    Raises
    ------
    StoreNotFoundError
        If there is none.
    StoreLockedError
        If another process has it open for writing.
    StoreCorruptError
        If the file's structure or the properties of the store are damaged. Then only a backup helps; nothing was
        changed.
    """
    folder = Path(os.fsdecode(path)).absolute()
    if not (folder / FILE).is_file():  # to open it for writing would make one
        raise StoreNotFoundError(f"path: there is no hmem_fast store at {folder}")
    with TraceStore(folder, use_tables=TURN_TABLES, use_migrations=TURN_MIGRATIONS) as store:
        try:
            store.properties()
        except ValueError as error:
            raise StoreCorruptError(f"{folder}: a property of the store is damaged; only a backup helps") from error
    store, slot, recipe = open_parts(folder, encoder=RECORDED, dim=None, mode="w", durability="power", recipe=None)
    with store:
        index = LiveIndex(store, recipe, slot.dim)
        repaired = repair_open(store, Writer(store, slot, recipe), index, makes_keys=slot.makes_keys, drop=drop)
        Saver(index).close()
    return repaired


def repair_open(store: TraceStore, writer: Writer, index: LiveIndex, *, makes_keys: bool, drop: bool) -> Repaired:
    """Do what `Memory.repair` says."""
    # Nothing in the truth tells that a key is missing: should this be cut short, the next repair reads it here.
    begun = store.properties().get(_REPAIRING) or []
    owners = _owners_of_damaged_keys(store)
    if owners:
        store.set_properties({_REPAIRING: sorted({*begun, *owners})})
    # Damaged memories go by `forget`, which renews their neighbours.
    mended = store.repair()
    restored = _restore_turns(store)
    damaged = mended.damaged_memories
    if drop and damaged:
        writer.forget(damaged)
    lost = tuple(sorted({*begun, *mended.stale} & set(store.memory_ids()) - set(damaged)))
    stale: tuple[int, ...] = ()
    if makes_keys:
        stale = tuple(writer.make_keys(lost))
    if begun or owners:
        store.set_properties({_REPAIRING: None})
    index.rebuild()
    return Repaired(
        backup=mended.backup,
        quarantine=mended.quarantine,
        dropped_keys=mended.dropped_keys,
        renewed=lost if makes_keys else (),
        stale=stale,
        without_vectors=() if makes_keys else lost,
        restored_turns=restored,
        damaged=() if drop else damaged,
        dropped=damaged if drop else (),
        problems=(*store.verify().problems, *turn_problems(store)),
    )


def _owners_of_damaged_keys(store: TraceStore) -> list[int]:
    """Memories that will lose a key, as far as the damaged rows tell."""
    damaged = [problem.id for problem in store.verify().problems if problem.table == "keys" and problem.id is not None]
    with store.snapshot() as connection:
        rows = connection.execute(
            "SELECT DISTINCT memory_id FROM keys WHERE key_id IN (SELECT value FROM json_each(?)) "
            "AND typeof(memory_id) = 'integer'",
            (json.dumps(damaged),),
        )
        return [memory_id for (memory_id,) in rows]


def _restore_turns(store: TraceStore) -> tuple[int, ...]:
    """Give memories without one a row in the table of turns that says nothing."""
    with store.transaction() as transaction:
        missing = turn_table.missing(transaction.connection)
        turn_table.insert(transaction.connection, (TurnRow(memory_id, None, None, 0, None, 0) for memory_id in missing))
        transaction.log("put", missing)
    return tuple(missing)
