"""The default encoder on a CPU: the core's own, 8-bit, from one file. Needs nothing but the wheel and numpy."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from hmem_fast.core import TextEncoder
from hmem_fast.encode.native_file import NATIVE_FILE
from hmem_fast.encode.text import checked_texts
from hmem_fast.encode.thread import checked_threads
from hmem_fast.errors import DTypeError, InvalidValueError, ModelError, ModelNotFoundError
from hmem_fast.types import FloatArray, TokenCodes, TokenVectors

__all__ = ["NativeEncoder"]

_AT_ONCE = 1024
"""Texts of a batch, where the caller names no other number."""


class NativeEncoder:
    """Encode with a file that `export_native` made.

    A text gives the same bits alone and among others, on any number of threads and on every CPU. Short texts go through
    the model together. Of a long text the first 10,000 characters are tokenized, and as many tokens kept as the model
    reads; `truncated` counts the texts that were cut.

    An encoder may be used from several threads at once, and in forked processes. The file's embeddings are mapped, so
    processes share them; it must not be changed while an encoder has it open (renaming another over it is fine).

    Parameters
    ----------
    path : path
        The exported folder, or the ``model.hmem`` in it.
    threads : int
        How many texts to work on at once; at most the CPUs that this process may use.

    Raises
    ------
    ModelNotFoundError
        If there is no such file.
    ModelError
        If the file is damaged, or was made by a newer version. All of its bytes are compared with a checksum.
    """

    def __init__(self, path: str | os.PathLike[str], *, threads: int = 1) -> None:
        self._threads = checked_threads(threads)
        given = Path(path)
        self._path = given / NATIVE_FILE if given.is_dir() else given
        if not self._path.is_file():
            raise ModelNotFoundError(f"path: wanted an exported encoder, there is no file {self._path}")
        self._encoder = TextEncoder(self._path)
        self._manifest = _read_manifest(self._path, self._encoder.manifest)

    @property
    def dim(self) -> int:
        """Width of the vectors."""
        return self._encoder.dim

    @property
    def space_id(self) -> str:
        """Names the embedding space; the same for every backend and precision of one model."""
        return self._manifest["space_id"]

    @property
    def producer(self) -> str:
        """Backend and precision, ``"core-int8"``."""
        return self._manifest["producer"]

    @property
    def max_length(self) -> int:
        """Most tokens of a text, special ones included; the rest is cut, and `truncated` counts it."""
        return self._encoder.max_length

    @property
    def truncated(self) -> int:
        """How many texts were cut since this encoder was opened."""
        return self._encoder.truncated

    @property
    def path(self) -> Path:
        """The model's file."""
        return self._path

    def encode(self, texts: Sequence[str], *, progress: Callable[[int], object] | None = None) -> FloatArray:
        """Encode each text into one unit row.

        Parameters
        ----------
        texts : sequence of str
            What to encode.
        progress : callable, optional
            Called with the number of texts that are done, some times a second. What it raises ends the call, as Ctrl-C
            does.

        Shapes
        ------
        texts   n strings
        result  (n, dim)  float32, C order, unit rows

        Raises
        ------
        DTypeError
            If `texts` is one string, or an item is no string.
        InvalidValueError
            If a text holds a lone surrogate.
        """
        return self._encoder.encode(checked_texts(texts), threads=self._threads, progress=progress)

    def encode_batches(self, texts: Iterable[str], *, size: int = _AT_ONCE) -> Iterator[FloatArray]:
        """Encode texts as they come, `size` at a time: memory is bounded by that, however many there are.

        Shapes
        ------
        each  (size, dim)  float32, C order, unit rows; the last one may have fewer

        Raises
        ------
        InvalidValueError
            If `size` is below 1, or a text holds a lone surrogate.
        DTypeError
            If `texts` is one string, or an item is no string.
        """
        if isinstance(size, bool) or not isinstance(size, int):
            raise DTypeError(f"size: wanted an int, got {type(size).__name__}")
        if size < 1:
            raise InvalidValueError(f"size: wanted at least 1, got {size}")
        if isinstance(texts, str):
            checked_texts(texts)  # says what is wrong with it
        return self._batches(iter(texts), size)

    def _batches(self, texts: Iterator[str], size: int) -> Iterator[FloatArray]:
        while batch := list(islice(texts, size)):
            yield self.encode(batch)

    def encode_tokens(self, texts: Sequence[str]) -> TokenVectors:
        """Encode each text into one unit vector a token, special tokens left out.

        Raises
        ------
        DTypeError, InvalidValueError
            As `encode`.
        """
        return TokenVectors(*self._encoder.encode_tokens(checked_texts(texts), threads=self._threads))

    def encode_token_codes(self, texts: Sequence[str]) -> TokenCodes:
        """As `encode_tokens`, each vector as 8-bit codes and their scale: a quarter of the bytes.

        Raises
        ------
        DTypeError, InvalidValueError
            As `encode`.
        """
        return TokenCodes(*self._encoder.encode_token_codes(checked_texts(texts), threads=self._threads))

    def __repr__(self) -> str:
        return f"NativeEncoder({str(self._path)!r}, threads={self._threads})  # {self.space_id}, {self.producer}"


def _read_manifest(path: Path, manifest: str) -> Mapping[str, str]:
    read: dict[str, Any] = json.loads(manifest)  # the core has parsed it before
    for name in ("space_id", "producer"):
        if not isinstance(read.get(name), str):
            raise ModelError(f"{path}: manifest: wanted a string {name}, got {read.get(name)!r}; export it again")
    return read
