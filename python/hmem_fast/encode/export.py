"""Export a BERT or MPNet model to an ONNX folder, from `config.json` and `model.safetensors`, without torch."""

from __future__ import annotations

import os
import time
from pathlib import Path

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
from hmem_fast.encode.source import SourceModel, read_source
from hmem_fast.errors import InvalidValueError, ModelError

__all__ = ["export_onnx"]

PRECISIONS = ("f32",)
_PRODUCER = "onnx-f32"
_LARGEST = 2**31 - 2**20
"""An ONNX file is one protobuf message, which must stay below 2 GiB."""


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
        If onnx is not installed.
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
