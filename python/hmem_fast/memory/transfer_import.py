"""Making a memory from an export."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from hmem_fast.errors import InvalidValueError, StoreNotFoundError
from hmem_fast.memory import turn_table
from hmem_fast.memory.transfer_read import ExportFolder
from hmem_fast.memory.turn_table import TURN_MIGRATIONS, TURN_TABLES
from hmem_fast.store import Durability, Progress, TraceStore
from hmem_fast.store.backup import FILE

__all__ = ["Imported", "check_imported", "import_memory"]

#: Property of a store into which an import was begun: which export it is and how far it came; null when it is finished.
_IMPORTING = "importing"

#: Memories, or links, that are written in one transaction.
_CHUNK = 1000


@dataclass(frozen=True, slots=True)
class Imported:
    """What `import_memory` has made."""

    path: str
    memories: int
    keys: int
    links: int


def import_memory(
    folder: str | os.PathLike[str],
    path: str | os.PathLike[str],
    progress: Progress | None = None,
    *,
    durability: Durability = "power",
) -> Imported:
    """Make a new memory from what `Memory.export` wrote. It recalls the same, with the same scores.

    Ids, vectors, the order of sessions and all else are taken over, so no encoder is needed. The files are checked as a
    whole, and only then is the first memory written. An import that was interrupted is finished by calling this again;
    until then the memory cannot be opened.

    Parameters
    ----------
    folder : str or os.PathLike
        The export.
    path : str or os.PathLike
        Folder of the new memory, made where it is missing.
    progress : callable, optional
        Called with the memories that were looked at or written, and with twice their number.
    durability : {"power", "process", "none"}
        What an interrupted import can be finished after: power failure, the death of the process, or nothing.

    Raises
    ------
    InvalidValueError
        If the export is not what it should be: the message names file, line and field. Or if there is a memory at
        `path`. Nothing was written then.
    StoreLockedError
        If another process writes there.

    Examples
    --------
    >>> import tempfile
    >>> from hmem_fast.memory import Memory, import_memory
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Memory.open(f"{folder}/one", encoder="hashing") as memory:
    ...         _ = memory.store("My sister keeps bees on her roof.")
    ...         _ = memory.export(f"{folder}/export")
    ...     _ = import_memory(f"{folder}/export", f"{folder}/two")
    ...     with Memory.open(f"{folder}/two") as memory:
    ...         memory.recall("Who has bees?")[0].text
    'My sister keeps bees on her roof.'
    """
    target = Path(os.fsdecode(path)).absolute()
    held = _properties(target)
    if held and held.get(_IMPORTING) is None:
        raise InvalidValueError(f"path: wanted a folder without a memory, got {target}, which holds one")
    export = ExportFolder(Path(os.fsdecode(folder)).absolute())
    n = export.manifest.memories
    report = progress or _say_nothing
    if not held:  # else all of it was looked at when the import began
        export.check(lambda done: report(done, 2 * n))
    with TraceStore(
        target, mode="w", durability=durability, use_tables=TURN_TABLES, use_migrations=TURN_MIGRATIONS
    ) as store:
        last_id = _begin(store, export)
        _write(store, export, last_id, lambda done: report(n + done, 2 * n))
    return Imported(str(target), n, export.manifest.keys, export.manifest.links)


def check_imported(store: TraceStore) -> None:
    """Refuse a store into which an import was not finished."""
    if store.properties().get(_IMPORTING) is not None:
        raise StoreNotFoundError(
            f"path: the import into {store.path} was interrupted; import again from the same folder to finish it, "
            "or remove it"
        )


def _properties(path: Path) -> dict[str, Any]:
    """Properties of the store at `path`; none where there is no store, or one that was never finished."""
    if not (path / FILE).exists():
        return {}
    with suppress(StoreNotFoundError), TraceStore(path, mode="r") as store:
        return store.properties()
    return {}


def _begin(store: TraceStore, export: ExportFolder) -> int:
    """Make an empty store ready; gives the last memory of this export that is in it already."""
    begun = store.properties().get(_IMPORTING)
    if begun is None:
        manifest = export.manifest
        store.set_properties(
            {
                "encoder": manifest.encoder,
                "space_id": manifest.space_id,
                "dim": manifest.dim,
                "recipe": export.recipe.to_json(),
                _IMPORTING: {"sha256": export.sha256, "last_id": 0},
            }
        )
        return 0
    if begun["sha256"] != export.sha256:
        raise InvalidValueError(
            f"path: the import of another export into {store.path} was interrupted; finish that one, or remove it"
        )
    return int(begun["last_id"])


def _write(store: TraceStore, export: ExportFolder, last_id: int, report: Callable[[int], None]) -> None:
    memories, done = export.memories(), 0
    while chunk := list(islice(memories, _CHUNK)):
        new = [read for read in chunk if read.memory.memory_id > last_id]
        if new:
            with store.transaction() as transaction:
                transaction.insert_records([read.memory for read in new], [key for read in new for key in read.keys])
                turn_table.insert(transaction.connection, (read.turn for read in new))
                store.set_properties({_IMPORTING: {"sha256": export.sha256, "last_id": new[-1].memory.memory_id}})
        done += len(chunk)
        report(done)
    links = export.links()
    while some := list(islice(links, _CHUNK)):
        with store.transaction() as transaction:
            transaction.put_links(some)
    with store.transaction() as transaction:
        transaction.give_ids(export.manifest.last_memory_id, export.manifest.last_key_id)
        store.set_properties({_IMPORTING: None})


def _say_nothing(_done: int, _total: int) -> None:
    pass
