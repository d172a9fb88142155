"""The folder of an exported encoder: two files and a manifest that says what they are.

::

    hmem-encoder.json    the manifest: format and version, space, shape of the output, size and SHA-256 of each file
    model.onnx           the graph, pooling and normalisation inside
    tokenizer.json       the source model's, unchanged
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hmem_fast.errors import ModelError

__all__ = [
    "FILES",
    "MANIFEST",
    "VERSION",
    "FileRecord",
    "Manifest",
    "check_folder",
    "read_manifest",
    "sha256_of",
    "verify_folder",
    "write_manifest",
]

MANIFEST = "hmem-encoder.json"
FILES = ("model.onnx", "tokenizer.json")
VERSION = 1
"""Version of the folder's format. A reader refuses what is newer than itself."""

_FORMAT = "hmem-encoder"
_RECORD = {"bytes": int, "sha256": str}
_HASHED_ON_OPENING = 4 * 1024 * 1024


@dataclass(frozen=True)
class FileRecord:
    """A file's size and SHA-256, by which damage is seen."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What `hmem-encoder.json` says.

    Attributes
    ----------
    space_id : str
        The embedding space, equal for all exports of the same source model.
    producer : str
        Backend and precision, ``"onnx-f32"``.
    dim, max_length : int
        Width of the vectors; most tokens of a text, special ones included.
    pooling, prefix, architecture, precision : str
        How tokens become a sentence vector; what is put before each text; the source's model type; ``"f32"``.
    source : mapping
        The source's name and hashes: where these weights came from.
    files : mapping
        Each file's `FileRecord`.
    """

    space_id: str
    producer: str
    dim: int
    max_length: int
    pooling: str
    prefix: str
    architecture: str
    precision: str
    source: Mapping[str, str]
    files: Mapping[str, FileRecord]


def sha256_of(path: Path) -> str:
    """Hash a file's content, without reading it into memory at once."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest into an export's folder. The same export always gives the same bytes."""
    content = {"format": _FORMAT, "version": VERSION, **asdict(manifest)}
    (folder / MANIFEST).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> Manifest:
    """Read an export's manifest.

    Raises
    ------
    ModelError
        If there is none, if it is damaged, or if a newer version of hmem_fast wrote it.
    """
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{folder}: wanted an exported encoder, it holds no {MANIFEST}") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: the manifest cannot be read: {error}") from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise ModelError(f'{path}: wanted a manifest with "format": "{_FORMAT}", this is something else')
    version = content.get("version")
    if not isinstance(version, int) or version < 1:
        raise ModelError(f"{path}: version: wanted a number from 1 on, got {version!r}")
    if version > VERSION:
        raise ModelError(
            f"{path}: written in version {version} of the format, this hmem_fast reads up to {VERSION}; "
            "install a newer hmem_fast, or export again"
        )
    return _parsed(path, content)


def _parsed(path: Path, content: dict[str, Any]) -> Manifest:
    def field(name: str, kind: type) -> Any:  # noqa: ANN401 - the type is checked here, against `kind`
        value = content.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ModelError(f"{path}: {name}: wanted {kind.__name__}, got {value!r}")
        return value

    texts = {
        name: field(name, str) for name in ("space_id", "producer", "pooling", "prefix", "architecture", "precision")
    }
    counts = {name: field(name, int) for name in ("dim", "max_length")}
    for name, least in (("dim", 1), ("max_length", 3)):  # two special tokens, and one of the text
        if counts[name] < least:
            raise ModelError(f"{path}: {name}: wanted at least {least}, got {counts[name]}")
    files = {}
    for name in FILES:
        record = field("files", dict).get(name)
        if not isinstance(record, dict) or {key: type(value) for key, value in record.items()} != _RECORD:
            raise ModelError(f"{path}: files: wanted size and hash of {name}, got {record!r}")
        files[name] = FileRecord(**record)
    return Manifest(**texts, **counts, source=field("source", dict), files=files)


def check_folder(folder: Path, manifest: Manifest) -> None:
    """Check quickly, at opening, that the files are those that the manifest lists.

    Sizes are compared, and small files hashed. Hashing a large one would take longer than all the rest of opening on a
    CPU without SHA instructions; `verify_folder` does that when asked.

    Raises
    ------
    ModelError
        If a file is missing, has another size, or (a small one) another content.
    """
    for name, record in manifest.files.items():
        _check_size(folder / name, record)
        if record.bytes <= _HASHED_ON_OPENING:
            _check_hash(folder / name, record)


def verify_folder(folder: Path, manifest: Manifest) -> None:
    """Check every byte of the files against the manifest.

    Raises
    ------
    ModelError
        If a file is missing or is not what was exported.
    """
    for name, record in manifest.files.items():
        _check_size(folder / name, record)
        _check_hash(folder / name, record)


def _check_size(path: Path, record: FileRecord) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ModelError(f"{path}: missing from the exported encoder ({error.strerror}); export it again") from error
    if size != record.bytes:
        raise ModelError(f"{path}: damaged: wanted {record.bytes} bytes, it has {size}; export it again")


def _check_hash(path: Path, record: FileRecord) -> None:
    if sha256_of(path) != record.sha256:
        raise ModelError(f"{path}: damaged: its content is not what was exported (SHA-256 differs); export it again")
