"""One file that holds a whole encoder for the core: weights in 8 bits, tokenizer and manifest.

What stands where: docs/encoder-file.md. The core maps such a file; what is read here is for tests and for checking.
"""

from __future__ import annotations

import json
import math
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from hmem_fast.errors import ModelError

__all__ = ["NATIVE_FILE", "Array", "Dimensions", "NativeModel", "read_native", "write_native"]

NATIVE_FILE = "model.hmem"
"""The only file of an export's folder."""

MAGIC = b"HMEMBERT"
VERSION = 1

_FRONT = struct.Struct("<8sIIQI")
"""Magic, version, number of sections, length of the file, checksum."""

_CHECKSUM_AT = 24
_DIMENSIONS = struct.Struct("<10IfII")
_TABLE_AT = 128
_ENTRY = struct.Struct("<QQ")
_ALIGNMENT = 64

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Dimensions:
    """The numbers of a model that stand in the head of its file, in their order there.

    Attributes
    ----------
    architecture : int
        0 for BERT, 1 for MPNet.
    layers, heads, width, inner : int
        Layers; attention heads of each; width of the hidden states, and inside the feed-forward part.
    words, positions, max_length : int
        Rows of the vocabulary and of the positions; most tokens of a text, special ones included.
    pooling, activation : int
        0 for mean, 1 for CLS; 0 for GELU, 1 for ReLU.
    epsilon : float
        LayerNorm's.
    block, inner_block : int
        How many numbers are rotated together, of inputs `width` and `inner` wide.
    """

    architecture: int
    layers: int
    heads: int
    width: int
    inner: int
    words: int
    positions: int
    max_length: int
    pooling: int
    activation: int
    epsilon: float
    block: int
    inner_block: int


class _Section(NamedTuple):
    name: str
    dtype: str
    shape: Callable[[Dimensions], tuple[int, ...]] | None
    """None: bytes, as many as there are."""


def _packed(layers: int, outputs: int, inputs: int) -> tuple[int, ...]:
    return (layers, outputs // 32, inputs // 4, 32, 4)


SECTIONS = (
    _Section("manifest", "|u1", None),
    _Section("tokenizer", "|u1", None),
    _Section("word_codes", "|i1", lambda d: (d.words, d.width)),
    _Section("word_scales", "<f4", lambda d: (d.words,)),
    _Section("positions", "<f4", lambda d: (d.positions, d.width)),
    _Section("input_norm", "<f4", lambda d: (2, d.width)),
    _Section("signs", "|i1", lambda d: (d.width,)),
    _Section("inner_signs", "|i1", lambda d: (d.inner,)),
    _Section("qkv_codes", "|i1", lambda d: _packed(d.layers, 3 * d.width, d.width)),
    _Section("qkv_scales", "<f4", lambda d: (d.layers, 3 * d.width)),
    _Section("qkv_bias", "<f4", lambda d: (d.layers, 3 * d.width)),
    _Section("out_codes", "|i1", lambda d: _packed(d.layers, d.width, d.width)),
    _Section("out_scales", "<f4", lambda d: (d.layers, d.width)),
    _Section("out_bias", "<f4", lambda d: (d.layers, d.width)),
    _Section("attention_norm", "<f4", lambda d: (d.layers, 2, d.width)),
    _Section("up_codes", "|i1", lambda d: _packed(d.layers, d.inner, d.width)),
    _Section("up_scales", "<f4", lambda d: (d.layers, d.inner)),
    _Section("up_bias", "<f4", lambda d: (d.layers, d.inner)),
    _Section("down_codes", "|i1", lambda d: _packed(d.layers, d.width, d.inner)),
    _Section("down_scales", "<f4", lambda d: (d.layers, d.width)),
    _Section("down_bias", "<f4", lambda d: (d.layers, d.width)),
    _Section("output_norm", "<f4", lambda d: (d.layers, 2, d.width)),
    _Section("distance_bias", "<f4", lambda d: (d.heads, 2 * d.max_length - 1) if d.architecture else (0,)),
    _Section("code_sums", "<i4", lambda d: (d.layers, 5 * d.width + d.inner)),
)
"""All sections, in the order of the file."""


@dataclass(frozen=True)
class NativeModel:
    """What a model's file holds.

    Attributes
    ----------
    dimensions : Dimensions
        The numbers of its head.
    manifest : mapping
        Space, producer, source and the rest, as an exported folder's manifest has them.
    tokenizer : bytes
        The source's `tokenizer.json`.
    arrays : mapping
        The other sections by name, in the shapes of `SECTIONS`.
    """

    dimensions: Dimensions
    manifest: Mapping[str, Any]
    tokenizer: bytes
    arrays: Mapping[str, Array]


def write_native(path: Path, model: NativeModel) -> None:
    """Write a model's file, piece by piece; it is on the disk when this returns. The same model, the same bytes."""
    contents = [_content(model, section) for section in SECTIONS]
    table = list(_places(content.nbytes for content in contents))
    length = table[-1][0] + table[-1][1]
    head = bytearray(_TABLE_AT)
    _FRONT.pack_into(head, 0, MAGIC, VERSION, len(SECTIONS), length, 0)
    _DIMENSIONS.pack_into(head, _FRONT.size, *astuple(model.dimensions))
    head += b"".join(_ENTRY.pack(*entry) for entry in table)
    checksum = zlib.crc32(head[_FRONT.size :], zlib.crc32(head[:_CHECKSUM_AT]))
    with path.open("wb") as file:
        file.write(head)
        for content, (offset, _) in zip(contents, table, strict=True):
            padding = bytes(offset - file.tell())
            checksum = zlib.crc32(content, zlib.crc32(padding, checksum))
            file.write(padding)
            file.write(content)
        file.seek(_CHECKSUM_AT)
        file.write(struct.pack("<I", checksum))
        file.flush()
        os.fsync(file.fileno())


def read_native(path: Path) -> NativeModel:
    """Read a model's file, and check all of it: length, checksum, where each section lies and how long it is.

    Raises
    ------
    ModelError
        If it is missing, damaged, no such file, or of another version.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: the model cannot be read: {error.strerror}") from error
    if not raw.startswith(MAGIC):
        raise ModelError(
            f"{path}: wanted an encoder's file, which begins with {MAGIC.decode()}, this is something else"
        )
    _check_front(path, raw)
    dimensions = Dimensions(*_DIMENSIONS.unpack_from(raw, _FRONT.size))
    table = [_ENTRY.unpack_from(raw, _TABLE_AT + number * _ENTRY.size) for number in range(len(SECTIONS))]
    if table != list(_places(length for _, length in table)) or sum(table[-1]) != len(raw):
        raise ModelError(f"{path}: damaged: its sections do not lie where they should; export it again")
    arrays = {}
    for section, (offset, length) in zip(SECTIONS, table, strict=True):
        dtype = np.dtype(section.dtype)
        shape = section.shape(dimensions) if section.shape else (length,)
        if math.prod(shape) * dtype.itemsize != length:
            raise ModelError(f"{path}: damaged: {section.name}: wanted {shape}, got {length} bytes; export it again")
        arrays[section.name] = np.frombuffer(raw, dtype, math.prod(shape), offset).reshape(shape)
    manifest, tokenizer = (arrays.pop(name).tobytes() for name in ("manifest", "tokenizer"))
    return NativeModel(dimensions, _parsed(path, manifest), tokenizer, MappingProxyType(arrays))


def _check_front(path: Path, raw: bytes) -> None:
    if len(raw) < _TABLE_AT + len(SECTIONS) * _ENTRY.size:
        raise ModelError(f"{path}: damaged: it ends after {len(raw)} bytes; export it again")
    _, version, sections, length, checksum = _FRONT.unpack_from(raw)
    if version != VERSION:
        raise ModelError(
            f"{path}: written in version {version} of the format, this hmem_fast reads version {VERSION}; "
            "install a fitting hmem_fast, or export again"
        )
    if length != len(raw):
        raise ModelError(f"{path}: damaged: wanted {length} bytes, it has {len(raw)}; export it again")
    whole = memoryview(raw)
    if zlib.crc32(whole[_FRONT.size :], zlib.crc32(whole[:_CHECKSUM_AT])) != checksum:
        raise ModelError(f"{path}: damaged: its content is not what was exported (CRC-32 differs); export it again")
    if sections != len(SECTIONS):
        raise ModelError(f"{path}: damaged: wanted {len(SECTIONS)} sections, it has {sections}; export it again")


def _parsed(path: Path, manifest: bytes) -> Mapping[str, Any]:
    try:
        content = json.loads(manifest.decode("utf-8"))
    except ValueError as error:
        raise ModelError(f"{path}: the manifest inside cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path}: the manifest inside is no JSON object")
    return content


def _content(model: NativeModel, section: _Section) -> memoryview:
    """Give a section's bytes, little-endian whatever this machine is."""
    if section.shape is None:
        text = (
            json.dumps(model.manifest, ensure_ascii=False).encode() if section.name == "manifest" else model.tokenizer
        )
        return memoryview(text)
    values = np.ascontiguousarray(model.arrays[section.name], dtype=section.dtype)
    if values.shape != section.shape(model.dimensions):
        raise ValueError(f"{section.name}: wanted {section.shape(model.dimensions)}, got {values.shape}")
    return memoryview(values.reshape(-1).view(np.uint8).data)


def _places(lengths: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Give offset and length of each section: one behind the other, each at the next multiple of 64."""
    end = _TABLE_AT + len(SECTIONS) * _ENTRY.size
    for length in lengths:
        offset = -(-end // _ALIGNMENT) * _ALIGNMENT
        yield offset, length
        end = offset + length
