"""Writing all that is in a memory as plain files."""

from __future__ import annotations

import hashlib
import io
import json
import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Self

import numpy as np

from hmem_fast.core import __version__
from hmem_fast.errors import InvalidValueError, StoreCorruptError, StoreLockedError
from hmem_fast.memory import turn_table
from hmem_fast.memory.transfer_format import (
    DATA_FILES,
    LINKS,
    MANIFEST,
    MEMORIES,
    VECTORS,
    FileMark,
    Manifest,
    read_manifest,
    sha256_of,
)
from hmem_fast.memory.turn_table import TurnRow
from hmem_fast.store import KeyRecord, MemoryRecord, Progress, TraceStore
from hmem_fast.store.backup import FILE
from hmem_fast.store.durable_file import put_in_place, sync
from hmem_fast.store.lock import WriterLock
from hmem_fast.store.record import load_metadata

__all__ = ["Exported", "export_store"]

#: How far an unfinished export is known to be on the disk, and of which moment it is.
_UNFINISHED = "unfinished.json"

#: Memories that are written between two such notes.
_CHUNK = 1000

_BLOCK_BYTES = 1 << 20

_to_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class Exported:
    """What `Memory.export` has written."""

    folder: str
    memories: int
    keys: int
    links: int
    change_seq: int
    """The last change that is in it."""
    bytes: int
    """Size of its files."""


class _Point(NamedTuple):
    """How far an export is."""

    memories: int = 0
    last_id: int = 0
    keys: int = 0
    vectors: int = 0
    files: Mapping[str, _Mark] = {}


class _Mark(NamedTuple):
    """What a file holds so far: its length, and the CRC-32 of it, which can be gone on with."""

    bytes: int
    crc32: int


def export_store(store: TraceStore, folder: Path, progress: Progress | None) -> Exported:
    """Do what `Memory.export` says."""
    store.check_open()
    if folder.exists() and not folder.is_dir():
        raise InvalidValueError(f"folder: wanted a folder, got a file: {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / FILE).exists():
        raise InvalidValueError(f"folder: wanted one for the export, got {folder}, which holds a store")
    with _alone_in(folder):
        with _as_of_now(store) as (reader, connection):
            manifest = _begin(reader, connection)
            finished = _read_finished(folder, manifest)
            if finished is None:
                marks = _write(reader, connection, folder, manifest, progress or _say_nothing)
                finished = replace(manifest, files=marks)
        # Only now is it certain that all of it was read as of one moment.
        if not (folder / MANIFEST).exists():
            _put(folder / MANIFEST, finished.to_bytes())
        _tidy(folder)
    return Exported(
        folder=str(folder),
        memories=finished.memories,
        keys=finished.keys,
        links=finished.links,
        change_seq=finished.change_seq,
        bytes=sum((folder / name).stat().st_size for name in (*DATA_FILES, MANIFEST)),
    )


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep other exports out of the folder."""
    try:
        lock = WriterLock(folder)
    except StoreLockedError:
        raise StoreLockedError(f"{folder}: another export is being written there") from None
    try:
        yield
    finally:
        lock.release()
        if (folder / MANIFEST).exists():
            # Whoever comes now finds a finished export and writes nothing, whichever file it locks.
            with suppress(OSError):
                (folder / "writer.lock").unlink()


@contextmanager
def _as_of_now(store: TraceStore) -> Iterator[tuple[TraceStore, sqlite3.Connection]]:
    """Read for a long time as of one moment, without keeping this process's other threads waiting."""
    if store.path is None:
        with store.snapshot() as connection:
            yield store, connection
        return
    with TraceStore(store.path, mode="r") as apart, apart.snapshot() as connection:
        yield apart, connection


def _begin(store: TraceStore, connection: sqlite3.Connection) -> Manifest:
    """The manifest of what is to be written, but for the files."""
    change = store.changes_since(store.change_seq())
    properties = store.properties()
    given = dict(connection.execute("SELECT name, seq FROM sqlite_sequence"))
    n_keys, n_vectors = connection.execute("SELECT count(*), count(vector) FROM keys").fetchone()
    (n_links,) = connection.execute("SELECT count(*) FROM links").fetchone()
    return Manifest(
        hmem_fast=__version__,
        store_id=store.store_id,
        change_seq=change.change_seq,
        stamp=f"{change.stamp:016x}",
        encoder=properties["encoder"],
        space_id=properties["space_id"],
        dim=properties["dim"],
        recipe=properties["recipe"],
        memories=store.count(),
        keys=n_keys,
        vectors=n_vectors,
        links=n_links,
        last_memory_id=given.get("memories", 0),
        last_key_id=given.get("keys", 0),
        files={},
    )


def _read_finished(folder: Path, wanted: Manifest) -> Manifest | None:
    """Read a finished export of this very moment, which leaves nothing to do; None where there is none."""
    if not (folder / MANIFEST).exists():
        return None
    finished, _ = read_manifest(folder)
    if finished.moment != wanted.moment:
        raise InvalidValueError(f"folder: wanted one without an export, got {folder}, which holds a finished one")
    for name, mark in finished.files.items():
        if not (folder / name).is_file() or sha256_of(folder / name) != mark.sha256:
            raise InvalidValueError(
                f"folder: {folder} holds a finished export whose {name} was damaged; remove it, and export again"
            )
    return finished


def _write(
    store: TraceStore, connection: sqlite3.Connection, folder: Path, manifest: Manifest, progress: Progress
) -> dict[str, FileMark]:
    """Write all files but the manifest."""
    with ExitStack() as stack:
        point, memories, vectors = _continue(folder, manifest, stack) or _begin_anew(folder, manifest, stack)
        ids = (memory_id for memory_id in store.memory_ids() if memory_id > point.last_id)
        progress(point.memories, manifest.memories)
        while chunk := list(islice(ids, _CHUNK)):
            lines, rows, point = _cut(store, connection, chunk, point, manifest.dim)
            memories.write("".join(lines).encode())
            vectors.write(b"".join(rows))
            point = point._replace(files={MEMORIES: memories.mark(), VECTORS: vectors.mark()})
            _note(folder, manifest, point)
            progress(point.memories, manifest.memories)
        return {MEMORIES: memories.finish(), VECTORS: vectors.finish(), LINKS: _write_links(store, folder)}


def _cut(
    store: TraceStore, connection: sqlite3.Connection, memory_ids: list[int], point: _Point, dim: int
) -> tuple[list[str], list[bytes], _Point]:
    """Lines and vectors of the next memories, and how far these bring the export."""
    found = turn_table.read_with_memories(connection, memory_ids)
    keys: dict[int, list[dict[str, Any]]] = {}
    rows: list[bytes] = []
    n_keys = point.keys
    for key in store.keys(memory_ids):
        row = None
        if key.vector is not None:
            if len(key.vector) != 4 * dim:
                raise StoreCorruptError(f"key {key.key_id}: wanted {dim} numbers, got {len(key.vector)} bytes")
            row = point.vectors + len(rows)
            rows.append(key.vector)
        keys.setdefault(key.memory_id, []).append(_key_fields(key, row))
        n_keys += 1
    lines = [_to_json(_memory_fields(*found[i], keys.get(i, []))) + "\n" for i in memory_ids]
    return lines, rows, _Point(point.memories + len(lines), memory_ids[-1], n_keys, point.vectors + len(rows))


def _memory_fields(memory: MemoryRecord, turn: TurnRow, keys: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": memory.memory_id,
        "text": memory.text,
        "speaker": turn.speaker,
        "session": turn.session,
        "seq": turn.seq,
        "time": turn.time,
        "metadata": load_metadata(memory.metadata),
        "external_id": memory.external_id,
        "unkeyed": turn.unkeyed,
        "keys": keys,
    }


def _key_fields(key: KeyRecord, row: int | None) -> dict[str, Any]:
    return {"id": key.key_id, "kind": key.kind, "text": key.text, "producer": key.producer, "row": row}


def _write_links(store: TraceStore, folder: Path) -> FileMark:
    links = _GrowingFile(folder / LINKS)
    with links:
        for link in store.links():
            fields = {"source": link.source, "target": link.target, "kind": link.kind, "weight": link.weight}
            links.write((_to_json(fields) + "\n").encode())
        return links.finish()


def _npy_header(n_rows: int, dim: int) -> bytes:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (n_rows, dim)})
    return header.getvalue()


# What is kept of an interrupted export


class _GrowingFile:
    """A file under a temporary name, which can be gone on with after an interruption.

    Parameters
    ----------
    final : Path
        The name it gets in the end.
    kept : _Mark, optional
        How much of it is known to be on the disk; what stands behind is cut off. Left out: it begins anew.

    Raises
    ------
    ValueError
        If that is not there any more.
    """

    def __init__(self, final: Path, kept: _Mark | None = None) -> None:
        self._final = final
        self._part = _part_of(final)
        self._sha256 = hashlib.sha256()
        self._crc32 = self._bytes = 0
        self._file: BinaryIO = self._part.open("wb" if kept is None else "r+b")
        try:
            if kept is not None:
                self._read(kept)
        except BaseException:
            self._file.close()
            raise

    def _read(self, kept: _Mark) -> None:
        while block := self._file.read(min(_BLOCK_BYTES, kept.bytes - self._bytes)):
            self._count(block)
        if (self._bytes, self._crc32) != kept:
            raise ValueError("it was changed since")
        self._file.truncate(self._bytes)
        self._file.seek(self._bytes)

    def write(self, data: bytes) -> None:
        """Add to it."""
        self._file.write(data)
        self._count(data)

    def mark(self) -> _Mark:
        """Bring it to the disk, and say how far it is."""
        self._file.flush()
        sync(self._part)
        return _Mark(self._bytes, self._crc32)

    def finish(self) -> FileMark:
        """Give it its name."""
        self._file.close()  # what is left in the buffer goes out; `put_in_place` brings it to the disk
        put_in_place(self._part, self._final)
        return FileMark(self._bytes, self._sha256.hexdigest())

    def _count(self, data: bytes) -> None:
        self._sha256.update(data)
        self._crc32 = zlib.crc32(data, self._crc32)
        self._bytes += len(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


class _Begun(NamedTuple):
    """An export that is being written."""

    point: _Point
    memories: _GrowingFile
    vectors: _GrowingFile


def _begin_anew(folder: Path, manifest: Manifest, stack: ExitStack) -> _Begun:
    _clear(folder)
    _note(folder, manifest, _Point())
    memories = stack.enter_context(_GrowingFile(folder / MEMORIES))
    vectors = stack.enter_context(_GrowingFile(folder / VECTORS))
    vectors.write(_npy_header(manifest.vectors, manifest.dim))
    return _Begun(_Point(), memories, vectors)


def _continue(folder: Path, manifest: Manifest, stack: ExitStack) -> _Begun | None:
    """Find how far an export of the same moment has come; None where it must begin anew."""
    with suppress(OSError, ValueError, KeyError, TypeError):  # whatever is wrong with what is there
        noted = json.loads((folder / _UNFINISHED).read_bytes())
        if noted["moment"] != _moment(manifest):
            return None
        marks = {name: _Mark(*mark) for name, mark in noted["files"].items()}
        point = _Point(noted["memories"], noted["last_id"], noted["keys"], noted["vectors"], marks)
        for name in (MEMORIES, VECTORS):
            if (folder / name).exists() and not _part_of(folder / name).exists():
                (folder / name).rename(_part_of(folder / name))  # stopped while it gave them their names
        return _Begun(
            point,
            stack.enter_context(_GrowingFile(folder / MEMORIES, marks[MEMORIES])),
            stack.enter_context(_GrowingFile(folder / VECTORS, marks[VECTORS])),
        )
    return None


def _clear(folder: Path) -> None:
    """Remove what is left of an export that is not gone on with; refuse files that are somebody else's."""
    ours = (folder / _UNFINISHED).exists()
    for name in DATA_FILES:
        if (folder / name).exists() and not ours:
            raise InvalidValueError(f"folder: wanted one for the export, got {folder}, which holds {name}")
        (folder / name).unlink(missing_ok=True)


def _note(folder: Path, manifest: Manifest, point: _Point) -> None:
    _put(folder / _UNFINISHED, _to_json({"moment": _moment(manifest), **point._asdict()}).encode())


def _moment(manifest: Manifest) -> list[object]:
    """What must be equal for an export to be gone on with."""
    return [manifest.hmem_fast, *manifest.moment]


def _put(file: Path, data: bytes) -> None:
    _part_of(file).write_bytes(data)
    put_in_place(_part_of(file), file)


def _tidy(folder: Path) -> None:
    """Remove what only an unfinished export needs."""
    for name in (_UNFINISHED, *DATA_FILES, MANIFEST):
        _part_of(folder / name).unlink(missing_ok=True)
    (folder / _UNFINISHED).unlink(missing_ok=True)


def _part_of(file: Path) -> Path:
    return file.with_name(file.name + ".part")


def _say_nothing(_done: int, _total: int) -> None:
    pass
