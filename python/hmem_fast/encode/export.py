"""Export a BERT or MPNet model to an ONNX folder, from `config.json` and `model.safetensors`, without torch."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hmem_fast.encode.bert_graph import build_bert
from hmem_fast.encode.bert_source import read_shape, read_weights
from hmem_fast.encode.catalogue import source_folder
from hmem_fast.encode.export_folder import ExportReport, make_folder, refuse_foreign
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

__all__ = ["Comparison", "compare_with_sentence_transformers", "export_onnx"]

PRECISIONS = ("f32",)
_PRODUCER = "onnx-f32"
_LARGEST = 2**31 - 2**20
"""An ONNX file is one protobuf message, which must stay below 2 GiB."""

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
    shape = read_shape(source)
    refuse_foreign(target, (MANIFEST, *FILES), replace=replace)
    graph = build_bert(shape, read_weights(source))
    if len(graph) > _LARGEST:
        raise ModelError(f"{source.folder}: its graph has {len(graph)} bytes, an ONNX file can hold {_LARGEST}")
    make_folder(
        target, lambda made: _write(made, source, graph), lambda there: _is_same(there, source), replace=replace
    )
    size = sum((target / name).stat().st_size for name in (MANIFEST, *FILES))
    return ExportReport(
        folder=target,
        bytes=size,
        seconds=time.perf_counter() - started,
        dim=source.dim,
        max_length=source.max_length,
        space_id=source.space_id(),
        producer=_PRODUCER,
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


def _write(folder: Path, source: SourceModel, graph: bytes) -> None:
    """Write model, tokenizer and manifest; all on disk when this returns."""
    hashes = source.hashes()
    for name, content in zip(FILES, (graph, source.tokenizer.read_bytes()), strict=True):
        with (folder / name).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    manifest = Manifest(
        space_id=source.space_id(),
        producer=_PRODUCER,
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


def _is_same(target: Path, source: SourceModel) -> bool:
    """Tell whether an undamaged export of the same model, in the same precision, is already there."""
    try:
        there = read_manifest(target)
        verify_folder(target, there)
    except (ModelError, OSError):
        return False
    return (there.space_id, there.producer) == (source.space_id(), _PRODUCER)
