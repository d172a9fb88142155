"""Export a BERT or MPNet model to an ONNX folder, from `config.json` and `model.safetensors`, without torch."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hmem_fast.encode.bert_graph import BertShape, build_bert
from hmem_fast.encode.catalogue import source_folder
from hmem_fast.encode.manifest import (
    FILES,
    MANIFEST,
    FileRecord,
    Manifest,
    read_manifest,
    sha256_of,
    verify_folder,
    write_manifest,
)
from hmem_fast.encode.onnx import OnnxEncoder
from hmem_fast.encode.sentence_transformer import SentenceTransformerEncoder
from hmem_fast.encode.source import SourceModel, read_source
from hmem_fast.errors import InvalidValueError, ModelError
from hmem_fast.extra import require
from hmem_fast.types import FloatArray

__all__ = ["Comparison", "ExportReport", "compare_with_sentence_transformers", "export_onnx"]

PRECISIONS = ("f32",)
_ARCHITECTURES = ("bert", "mpnet")
_POOLINGS = ("mean", "cls")
_ACTIVATIONS = ("gelu", "relu")
_LARGEST = 2**31 - 2**20
"""An ONNX file is one protobuf message, which must stay below 2 GiB."""

_ATTEMPTS = 10

_TEXTS = (
    "Where did we leave the spare key?",
    "I adopted a puppy last Tuesday; she is called Miso.",
    "The meeting moved from 10:30 to noon, in room B-214.",
    "no",
    "",
    "Überraschung! Das Café öffnet erst um 8 Uhr.",
    "我们下周去北京出差。",
    "👍🎉 thanks!!",
    "def mean(xs): return sum(xs) / len(xs)",
    "It is not that I dislike him, I simply never said I would come along. " * 4,
    "A very long story. " * 200,
)
"""What is compared where the caller gives no texts: short, long, beyond the limit, other scripts, symbols, code."""


@dataclass(frozen=True)
class ExportReport:
    """What an export made.

    Attributes
    ----------
    folder : Path
        Where it is.
    bytes : int
        Size of all its files.
    seconds : float
        How long it took.
    dim, max_length : int
        Width of the vectors; most tokens of a text.
    space_id, producer : str
        As the encoder will give them.
    """

    folder: Path
    bytes: int
    seconds: float
    dim: int
    max_length: int
    space_id: str
    producer: str


@dataclass(frozen=True)
class Comparison:
    """How far an export's vectors are from sentence-transformers'.

    Attributes
    ----------
    texts : int
        How many were compared.
    max_abs_difference : float
        Largest difference of one component of one sentence vector.
    cosine_mean, cosine_min : float
        Cosine of the two vectors of a text.
    """

    texts: int
    max_abs_difference: float
    cosine_mean: float
    cosine_min: float


def export_onnx(
    model: str | os.PathLike[str], out: str | os.PathLike[str], *, precision: str = "f32", replace: bool = False
) -> ExportReport:
    """Export a sentence-transformers folder as an ONNX folder that `OnnxEncoder` opens.

    Supported are BERT and MPNet models with mean or CLS pooling; pooling and normalisation become part of the graph.
    The folder appears whole or not at all. Where two processes export the same model to the same place, both succeed.

    Parameters
    ----------
    model : path or str
        A sentence-transformers or transformers folder with `config.json`, `model.safetensors` and `tokenizer.json`; or
        ``minilm``, from its installed package; or a hub name (``hub:organisation/model``), which may use the network.
    out : path
        The folder to make. One that already holds this very export is left as it is and reported.
    precision : str
        ``"f32"``, the only one so far.
    replace : bool
        Replace another export (or what is left of one) that is already there. A folder that holds anything else is
        never replaced.

    Raises
    ------
    ModelNotFoundError
        If there is no such model.
    ModelError
        If the model is of an architecture that is not supported, incomplete or damaged.
    InvalidValueError
        If `precision` is not known, or `out` already holds something else.
    MissingDependencyError
        If onnx or safetensors is not installed.
    """
    started = time.perf_counter()
    if precision not in PRECISIONS:
        raise InvalidValueError(f"precision: wanted one of {', '.join(PRECISIONS)}, got {precision!r}")
    source, target = read_source(source_folder(model)), Path(out).resolve()
    shape = _supported(source)
    _refuse_foreign(target, replace=replace)
    graph = build_bert(shape, _tensors(source))
    if len(graph) > _LARGEST:
        raise ModelError(f"{source.folder}: its graph has {len(graph)} bytes, an ONNX file can hold {_LARGEST}")
    target.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent))
    try:
        # A temporary folder is private to its owner; the export should be readable as any other new folder is.
        made.chmod(0o777 & ~_umask())
        manifest = _write(made, source, graph)
        _put_in_place(made, target, manifest, replace=replace)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    size = sum((target / name).stat().st_size for name in (MANIFEST, *FILES))
    return ExportReport(
        folder=target,
        bytes=size,
        seconds=time.perf_counter() - started,
        dim=manifest.dim,
        max_length=manifest.max_length,
        space_id=manifest.space_id,
        producer=manifest.producer,
    )


def compare_with_sentence_transformers(
    folder: str | os.PathLike[str], model: str | os.PathLike[str], texts: Sequence[str] | None = None
) -> Comparison:
    """Encode texts with an export and, by sentence-transformers, with the `model` it was made of; compare the vectors.

    Raises
    ------
    MissingDependencyError
        If sentence-transformers is not installed.
    """
    sample = list(_TEXTS if texts is None else texts)
    if not sample:
        raise InvalidValueError("texts: wanted at least one to compare, got none")
    ours = OnnxEncoder(folder).encode(sample)
    theirs = SentenceTransformerEncoder(source_folder(model)).encode(sample)
    lengths = np.linalg.norm(ours.astype(np.float64), axis=1) * np.linalg.norm(theirs.astype(np.float64), axis=1)
    cosines = np.einsum("nd,nd->n", ours, theirs, dtype=np.float64) / lengths
    return Comparison(
        texts=len(sample),
        max_abs_difference=float(np.abs(ours - theirs).max()),
        cosine_mean=float(cosines.mean()),
        cosine_min=float(cosines.min()),
    )


def _supported(source: SourceModel) -> BertShape:
    """Take from the configuration what the graph needs, or say what stands in the way."""
    config, where = source.config, source.folder
    supported = "supported are BERT (absolute positions) and MPNet with GELU or ReLU, and mean or CLS pooling"
    if source.architecture not in _ARCHITECTURES:
        raise ModelError(f"{where}: architecture {source.architecture!r} cannot be exported; {supported}")
    if source.obstacles:
        raise ModelError(f"{where}: {', '.join(source.obstacles)} cannot be exported; {supported}")
    if source.pooling not in _POOLINGS:
        raise ModelError(f"{where}: pooling {source.pooling!r} cannot be exported; {supported}")
    if config.get("hidden_act") not in _ACTIVATIONS:
        raise ModelError(f"{where}: activation {config.get('hidden_act')!r} cannot be exported; {supported}")
    if config.get("position_embedding_type", "absolute") != "absolute":
        raise ModelError(f"{where}: positions {config['position_embedding_type']!r} cannot be exported; {supported}")
    try:
        shape = BertShape(
            width=int(config["hidden_size"]),
            heads=int(config["num_attention_heads"]),
            layers=int(config["num_hidden_layers"]),
            epsilon=float(config["layer_norm_eps"]),
            activation=str(config["hidden_act"]),
            pooling=source.pooling,
            architecture=source.architecture,
            max_length=source.max_length,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{source.transformer / 'config.json'}: {error} is missing or no number") from error
    if min(shape.width, shape.heads, shape.layers) < 1 or shape.width % shape.heads:
        raise ModelError(f"{where}: {shape.heads} attention heads do not divide the width {shape.width}")
    return shape


def _tensors(source: SourceModel) -> Mapping[str, FloatArray]:
    if not source.weights.is_file():
        raise ModelError(
            f"{source.weights}: missing; weights must be one safetensors file "
            "(pickled pytorch_model.bin is not read: convert it with safetensors)"
        )
    safetensors: Any = require("safetensors.numpy", extra="onnx", purpose="reading model.safetensors")
    try:
        tensors: Mapping[str, FloatArray] = safetensors.load_file(source.weights)
    except Exception as error:  # a damaged header, an unknown number type: there are several kinds
        raise ModelError(f"{source.weights}: cannot be read: {error}") from error
    return tensors


def _write(folder: Path, source: SourceModel, graph: bytes) -> Manifest:
    """Write model, tokenizer and manifest; all on disk when this returns."""
    hashes = source.hashes()
    for name, content in zip(FILES, (graph, source.tokenizer.read_bytes()), strict=True):
        with (folder / name).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    manifest = Manifest(
        space_id=source.space_id(),
        producer="onnx-f32",
        dim=source.dim,
        max_length=source.max_length,
        pooling=source.pooling,
        prefix=source.prefix,
        architecture=source.architecture,
        precision="f32",
        source={"base_model": str(source.config.get("_name_or_path", "")), **hashes},
        files={name: FileRecord((folder / name).stat().st_size, sha256_of(folder / name)) for name in FILES},
    )
    write_manifest(folder, manifest)
    return manifest


def _refuse_foreign(target: Path, *, replace: bool) -> None:
    """Refuse, before any work is done, to write over what is no export, or over another one unasked."""
    if not target.exists():
        return
    if not target.is_dir():
        raise InvalidValueError(f"out: wanted a folder to make, {target} is a file")
    names = {entry.name for entry in target.iterdir()}
    if names - {MANIFEST, *FILES}:
        raise InvalidValueError(
            f"out: {target} holds other things ({', '.join(sorted(names)[:3])} …); name another folder"
        )
    if names and not replace and not (target / MANIFEST).is_file():
        raise InvalidValueError(f"out: {target} holds part of an export; remove it, or ask to replace it")


def _put_in_place(made: Path, target: Path, manifest: Manifest, *, replace: bool) -> None:
    """Rename the finished folder to its name; another process may be doing the same at this moment."""
    failure: OSError | None = None
    for _ in range(_ATTEMPTS):
        try:
            if target.is_dir() and not any(target.iterdir()):
                target.rmdir()  # renaming onto an empty folder is refused on Windows
            made.rename(target)
        except OSError as error:
            failure = error
        else:
            return
        if not target.exists():
            continue  # what stood in the way was moved aside by another process
        if _is_same(target, manifest):
            return
        if not replace:
            raise InvalidValueError(
                f"out: {target} holds another or a damaged export; name another folder, or ask to replace it"
            )
        _move_aside(target, made)
    raise failure or InvalidValueError(f"out: other processes keep writing to {target}")


def _is_same(target: Path, manifest: Manifest) -> bool:
    """Tell whether an undamaged export of the same model, in the same precision, is already there."""
    try:
        there = read_manifest(target)
        verify_folder(target, there)
    except (ModelError, OSError):
        return False
    return (there.space_id, there.producer) == (manifest.space_id, manifest.producer)


def _move_aside(target: Path, made: Path) -> None:
    """Take what is in the way out of it, whole, then delete it: no reader ever sees half a folder."""
    aside = made.with_name(f"{made.name}.old")
    try:
        target.rename(aside)
    except FileNotFoundError:
        return
    shutil.rmtree(aside, ignore_errors=True)


def _umask() -> int:
    """Read the umask; there is no way to read it but to set it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
