"""Reading an export that may have been written by anybody: nothing in it is believed before it was looked at."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hmem_fast.core import TraceIndex
from hmem_fast.errors import HmemError, InvalidValueError
from hmem_fast.memory.keys import KeyRecipe
from hmem_fast.memory.link import LINK, LINK_KINDS
from hmem_fast.memory.transfer_format import (
    LINKS,
    MAX_ID,
    MEMORIES,
    VECTORS,
    Fields,
    Manifest,
    load_json,
    read_manifest,
    sha256_of,
)
from hmem_fast.memory.turn import MAX_KEYS, to_seconds
from hmem_fast.memory.turn_table import TurnRow
from hmem_fast.store import KeyRecord, MemoryRecord, NewLink
from hmem_fast.store.record import dump_metadata
from hmem_fast.types import FloatArray

__all__ = ["ExportFolder", "Read"]

#: A row of SQLite's holds no more, so neither does a line that is to become one.
_MAX_LINE_BYTES = 1 << 30

#: Memories between two reports.
_REPORT = 1000

#: Rows of vectors that are looked at together.
_ROWS = 4096

_MADE_KINDS = frozenset(("cue", "turn", "context", "question", "sentence"))


class Read(NamedTuple):
    """A memory of an export."""

    memory: MemoryRecord
    turn: TurnRow
    keys: list[KeyRecord]


class ExportFolder:
    """A finished export, whose files are those that its manifest tells of.

    Raises
    ------
    InvalidValueError
        If a file is missing, is another one, or does not hold what it should; the message names file, line and field.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        manifest, self.sha256 = read_manifest(folder)
        self.manifest = manifest
        self.recipe = _recipe_of(folder, manifest)
        for name, mark in manifest.files.items():
            file = folder / name
            try:
                size, sha256 = file.stat().st_size, sha256_of(file)
            except OSError as error:
                raise InvalidValueError(f"{file}: wanted a file of the export: {error.strerror}") from error
            if (size, sha256) != mark:
                raise InvalidValueError(
                    f"{file}: wanted {mark.bytes} bytes with SHA-256 {mark.sha256}, got {size} with {sha256}; "
                    "it was damaged or changed"
                )
        self._vectors = self._open_vectors()

    def check(self, report: Callable[[int], None]) -> None:
        """Look at everything once; `report` hears now and then how many memories were looked at."""
        for start in range(0, len(self._vectors), _ROWS):
            finite = np.isfinite(self._vectors[start : start + _ROWS]).all(axis=1)
            if not finite.all():
                raise InvalidValueError(
                    f"{self._folder / VECTORS}, row {start + int(np.argmin(finite))}: wanted finite numbers, "
                    "got NaN or an infinity"
                )
        ids, key_ids = array("q"), array("q")
        external: set[str] = set()
        for read in self.memories():
            ids.append(read.memory.memory_id)
            key_ids.extend(key.key_id for key in read.keys)
            name = read.memory.external_id
            if name is not None and name in external:
                raise InvalidValueError(
                    f"{self._folder / MEMORIES}, line {len(ids)}: external_id: {name!r} stands in an earlier line too"
                )
            if name is not None:
                external.add(name)
            if len(ids) % _REPORT == 0:
                report(len(ids))
        self._check_key_ids(key_ids)
        for number, link in enumerate(self.links(), 1):
            for name, memory_id in (("source", link.source), ("target", link.target)):
                at = bisect_left(ids, memory_id)
                if at == len(ids) or ids[at] != memory_id:
                    raise InvalidValueError(
                        f"{self._folder / LINKS}, line {number}: {name}: there is no memory {memory_id}"
                    )

    def memories(self) -> Iterator[Read]:
        """Read all memories, by ascending id."""
        manifest = self.manifest
        last_id = n_memories = n_keys = row = 0
        last_seq: dict[str, int] = {}
        for where, value in self._lines(MEMORIES):
            fields = Fields(where, value)
            memory_id = fields.whole("id", 1, manifest.last_memory_id)
            if memory_id <= last_id:
                raise fields.error("id", f"more than {last_id}, that of the line before", memory_id)
            last_id = memory_id
            memory, turn = _read_memory(memory_id, fields)
            if turn.session is not None:
                before = last_seq.get(turn.session, -1)
                if turn.seq <= before:
                    raise fields.error("seq", f"more than {before}, that of the session's turn before", turn.seq)
                last_seq[turn.session] = turn.seq
            keys, row = self._read_keys(memory_id, fields, row)
            fields.end()
            n_memories, n_keys = n_memories + 1, n_keys + len(keys)
            yield Read(memory, turn, keys)
        for name, counted in (("memories", n_memories), ("keys", n_keys), ("vectors", row)):
            if counted != getattr(manifest, name):
                raise InvalidValueError(
                    f"{self._folder / MEMORIES}: wanted {getattr(manifest, name)} {name}, as its manifest says, "
                    f"got {counted}"
                )

    def links(self) -> Iterator[NewLink]:
        """Read all links, by ascending source, target and kind."""
        last, n = (0, 0, ""), 0
        for where, value in self._lines(LINKS):
            fields = Fields(where, value)
            link = self._read_link(fields)
            fields.end()
            if link[:3] <= last:
                wanted = f"source, target and kind behind {last}, those of the line before"
                raise fields.error("source", wanted, link[:3])
            last, n = link[:3], n + 1
            yield link
        if n != self.manifest.links:
            raise InvalidValueError(f"{self._folder / LINKS}: wanted {self.manifest.links} links, got {n}")

    def _read_link(self, fields: Fields) -> NewLink:
        source, target = fields.whole("source", 1, MAX_ID), fields.whole("target", 1, MAX_ID)
        # The first exports knew one kind only.
        kind = fields.text("kind") if self.manifest.export_version > 1 else LINK
        if kind not in LINK_KINDS:
            raise fields.error("kind", f"one of {', '.join(LINK_KINDS)}", kind)
        weight = fields.number("weight")
        if not weight > 0:
            raise fields.error("weight", "a number above 0", weight)
        return NewLink(source, target, kind, weight)

    def _lines(self, name: str) -> Iterator[tuple[str, object]]:
        """Give each line's name, for messages, and what stands in it."""
        file = self._folder / name
        with file.open("rb") as opened:
            number = 0
            while line := opened.readline(_MAX_LINE_BYTES + 1):
                number += 1
                where = f"{file}, line {number}"
                if not line.endswith(b"\n"):
                    raise InvalidValueError(f"{where}: wanted a line of at most {_MAX_LINE_BYTES} bytes, with its end")
                yield where, load_json(where, line)

    def _open_vectors(self) -> FloatArray:
        file = self._folder / VECTORS
        wanted = (self.manifest.vectors, self.manifest.dim)
        try:
            vectors = np.load(file, mmap_mode="r", allow_pickle=False)
        except (ValueError, OSError, EOFError, OverflowError) as error:
            raise InvalidValueError(f"{file}: wanted a matrix in numpy's format: {error}") from error
        if not isinstance(vectors, np.memmap):
            raise InvalidValueError(f"{file}: wanted one matrix in numpy's format, got an archive of several")
        if vectors.dtype != np.dtype("<f4") or vectors.shape != wanted or not vectors.flags.c_contiguous:
            order = "" if vectors.flags.c_contiguous else ", by columns"
            raise InvalidValueError(
                f"{file}: wanted little-endian float32 of shape {wanted}, row by row, "
                f"got {vectors.dtype.str} of shape {vectors.shape}{order}"
            )
        if vectors.offset + vectors.nbytes != file.stat().st_size:
            raise InvalidValueError(
                f"{file}: wanted {vectors.offset + vectors.nbytes} bytes, got {file.stat().st_size}"
            )
        return vectors

    def _read_keys(self, memory_id: int, fields: Fields, row: int) -> tuple[list[KeyRecord], int]:
        listed = fields.listed("keys")
        if len(listed) > MAX_KEYS:
            raise fields.error("keys", f"at most {MAX_KEYS}", len(listed))
        keys: list[KeyRecord] = []
        for position, value in enumerate(listed):
            of_key = Fields(fields.where, value, f"keys[{position}].")
            key, row = self._read_key(memory_id, of_key, row)
            of_key.end()
            keys.append(key)
        return keys, row

    def _read_key(self, memory_id: int, fields: Fields, row: int) -> tuple[KeyRecord, int]:
        is_made = self.manifest.space_id is not None
        key_id = fields.whole("id", 1, self.manifest.last_key_id)
        kind = fields.text("kind")
        if kind not in (_MADE_KINDS if is_made else ("vector",)):
            wanted = ", ".join(sorted(_MADE_KINDS)) if is_made else "vector, since the export has no encoder"
            raise fields.error("kind", f"one of {wanted}", kind)
        text = fields.text_or_none("text")
        if (text is not None) != is_made:
            raise fields.error("text", "a string" if is_made else "null for a ready vector", text)
        producer = fields.text_or_none("producer")
        stored = fields.whole_or_none("row", 0, MAX_ID)
        if stored is None:
            if not is_made:
                raise fields.error("row", "a whole number for a ready vector", None)
            return KeyRecord(key_id, memory_id, kind, text, None, producer), row
        if stored != row or row >= len(self._vectors):
            raise fields.error("row", f"{row} of {len(self._vectors)}, since rows stand in the order of keys", stored)
        return KeyRecord(key_id, memory_id, kind, text, self._vectors[row].tobytes(), producer), row + 1

    def _check_key_ids(self, key_ids: array[int]) -> None:
        ordered = np.sort(np.frombuffer(key_ids, dtype=np.int64)) if len(key_ids) else np.empty(0, np.int64)
        twice = ordered[1:][ordered[1:] == ordered[:-1]]
        if not len(twice):
            return
        seen = False
        for number, read in enumerate(self.memories(), 1):
            for position, key in enumerate(read.keys):
                if key.key_id == twice[0] and seen:
                    raise InvalidValueError(
                        f"{self._folder / MEMORIES}, line {number}: keys[{position}].id: {key.key_id} has been given "
                        "to an earlier key"
                    )
                seen = seen or key.key_id == twice[0]


def _read_memory(memory_id: int, fields: Fields) -> tuple[MemoryRecord, TurnRow]:
    text = fields.text("text")
    metadata = fields.mapping("metadata")
    try:
        written = dump_metadata(metadata)
    except HmemError as error:
        raise InvalidValueError(f"{fields.where}: {error}") from None
    memory = MemoryRecord(memory_id, fields.text_or_none("external_id"), text, written)
    speaker, session = fields.text_or_none("speaker"), fields.text_or_none("session")
    seq = fields.whole("seq", 0, MAX_ID)
    time = _read_time(fields)
    return memory, TurnRow(memory_id, speaker, session, seq, time, fields.whole("unkeyed", 0, MAX_ID))


def _read_time(fields: Fields) -> float | None:
    if fields.is_null("time"):
        fields.skip("time")
        return None
    seconds = fields.number("time")
    try:
        return to_seconds(seconds)
    except HmemError as error:
        raise InvalidValueError(f"{fields.where}: {error}") from None


def _recipe_of(folder: Path, manifest: Manifest) -> KeyRecipe:
    """Check what decides how texts are encoded and searched."""
    where = str(folder / "export.json")
    fields = Fields(where, dict(manifest.recipe), "recipe.")
    kinds: list[Any] = fields.listed("keys")
    if not all(isinstance(kind, str) for kind in kinds):
        raise fields.error("keys", "a list of strings", kinds)
    recorded: Mapping[str, Any] = {
        "keys": tuple(kinds),
        "window_turns": fields.whole("window_turns", 1, MAX_ID),
        "analyzer": fields.text("analyzer"),
    }
    fields.end()
    if manifest.space_id is None and manifest.encoder is not None:
        raise InvalidValueError(f"{where}: encoder: wanted null, since space_id is null, got {manifest.encoder!r}")
    try:
        recipe = KeyRecipe(**recorded)
        TraceIndex(manifest.dim, analyzer=recipe.analyzer)  # refuses a width that no index can have
    except (HmemError, OverflowError) as error:
        raise InvalidValueError(f"{where}: {error}") from None
    return recipe
