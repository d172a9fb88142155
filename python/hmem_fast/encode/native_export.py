"""Export a BERT or MPNet model to the one file that the core runs: 8-bit weights, tokenizer and manifest."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hmem_fast.encode.bert_layers import PRODUCTS, Layer, read_layer, read_norm
from hmem_fast.encode.bert_source import (
    BertShape,
    BertWeights,
    distance_biases,
    position_rows,
    read_shape,
    read_weights,
)
from hmem_fast.encode.catalogue import source_folder
from hmem_fast.encode.export_folder import ExportReport, make_folder, refuse_foreign
from hmem_fast.encode.native_calibration import Calibration, Moments, spread_errors
from hmem_fast.encode.native_file import NATIVE_FILE, Array, Dimensions, NativeModel, read_native, write_native
from hmem_fast.encode.native_weights import Rotation, nearest, pack, random_signs, row_scales
from hmem_fast.encode.source import SourceModel, read_source
from hmem_fast.encode.text import checked_texts
from hmem_fast.encode.tokenizer import Tokenizer
from hmem_fast.errors import InvalidValueError, ModelError
from hmem_fast.types import IdArray

__all__ = ["export_native"]

PRECISIONS = ("int8",)
_PRODUCER = "core-int8"
_STEP = 64
"""The core's products take widths that are a multiple of it."""

_HEAD_STEP = 32
"""As `_STEP`, of a head of the attention."""

_BLOCK, _INNER_BLOCK = 256, 1024
"""The most numbers that are rotated together, of a layer's inputs and of those inside its feed-forward part."""

_FEWEST_TOKENS, _MOST_TOKENS = 2_000, 16_384
"""Of calibrating texts: with fewer, what they have in common by chance counts; more change nothing."""


def export_native(
    model: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    precision: str = "int8",
    replace: bool = False,
    calibrate: Iterable[str] | None = None,
) -> ExportReport:
    """Export a sentence-transformers folder as a folder with one file, ``model.hmem``, that the core runs by itself.

    Supported are BERT and MPNet models with mean or CLS pooling whose widths are multiples of 64, and whose heads are a
    multiple of 32 wide. The folder appears whole or not at all. Where two processes export the same model to the same
    place, both succeed.

    Parameters
    ----------
    model : path or str
        A sentence-transformers or transformers folder with `config.json`, `model.safetensors` and `tokenizer.json`; or
        ``minilm``, from its installed package; or a hub name (``hub:organisation/model``), which may use the network.
    out : path
        The folder to make. One that already holds this very export is left as it is and reported.
    precision : str
        ``"int8"``, the only one so far.
    replace : bool
        Replace another export (or what is left of one) that is already there. A folder that holds anything else is
        never replaced.
    calibrate : iterable of str, optional
        Some hundred texts of the kind that will be encoded. Weights are rounded so that these change least, which takes
        20 s for MiniLM; else each to the nearest code. Texts are taken from the front, up to 16,384 tokens.

    Raises
    ------
    ModelNotFoundError
        If there is no such model.
    ModelError
        If the model is of an architecture or a width that is not supported, incomplete or damaged.
    InvalidValueError
        If `precision` is not known, `out` already holds something else, or the texts of `calibrate` are too few.
    """
    started = time.perf_counter()
    if precision not in PRECISIONS:
        raise InvalidValueError(f"precision: wanted one of {', '.join(PRECISIONS)}, got {precision!r}")
    source, target = read_source(source_folder(model)), Path(out).resolve()
    shape = read_shape(source)
    refuse_foreign(target, (NATIVE_FILE,), replace=replace)
    texts = None if calibrate is None else checked_texts(calibrate)
    tokens = None if texts is None else _tokenized(source, texts)
    manifest = _manifest(source, texts)
    weights = read_weights(source)
    dimensions = _dimensions(source, shape, weights)
    arrays = _arrays(shape, weights, dimensions, None if tokens is None else Calibration(shape, weights, tokens))
    made = NativeModel(dimensions, manifest, source.tokenizer.read_bytes(), arrays)
    make_folder(
        target,
        lambda folder: write_native(folder / NATIVE_FILE, made),
        lambda folder: _is_same(folder, manifest),
        replace=replace,
    )
    return ExportReport(
        folder=target,
        bytes=(target / NATIVE_FILE).stat().st_size,
        seconds=time.perf_counter() - started,
        dim=shape.width,
        max_length=shape.max_length,
        space_id=manifest["space_id"],
        producer=manifest["producer"],
    )


def _tokenized(source: SourceModel, texts: list[str]) -> list[IdArray]:
    tokenizer = Tokenizer(source.tokenizer, max_length=source.max_length, prefix=source.prefix)
    taken, count = [], 0
    for text in texts:
        if count >= _MOST_TOKENS:
            break
        ids = tokenizer.tokenize(text).ids
        if len(ids):
            taken.append(ids)
            count += len(ids)
    if count < _FEWEST_TOKENS:
        raise InvalidValueError(
            f"calibrate: wanted texts with at least {_FEWEST_TOKENS} tokens, got {len(texts)} texts with {count}"
        )
    return taken


def _manifest(source: SourceModel, texts: list[str] | None) -> Mapping[str, Any]:
    origin = {"base_model": str(source.config.get("_name_or_path", "")), **source.hashes()}
    if texts is not None:
        origin["calibration_sha256"] = hashlib.sha256("\0".join(texts).encode()).hexdigest()
    return {
        "space_id": source.space_id(),
        "producer": _PRODUCER,
        "dim": source.dim,
        "max_length": source.max_length,
        "pooling": source.pooling,
        "prefix": source.prefix,
        "architecture": source.architecture,
        "precision": "int8",
        "source": origin,
        "rounding": "nearest" if texts is None else "calibrated",
    }


def _dimensions(source: SourceModel, shape: BertShape, weights: BertWeights) -> Dimensions:
    inner = len(weights.take("encoder.layer.0.intermediate.dense.weight", None, shape.width))
    for name, width in (("hidden_size", shape.width), ("intermediate_size", inner)):
        if width % _STEP:
            raise ModelError(
                f"{source.folder}: {name} {width} cannot be exported for the core, which wants a multiple of {_STEP}; "
                "export it as ONNX"
            )
    if shape.width % (_HEAD_STEP * shape.heads):
        raise ModelError(
            f"{source.folder}: {shape.heads} heads in {shape.width} cannot be exported for the core, which wants heads "
            f"of a multiple of {_HEAD_STEP} numbers; export it as ONNX"
        )
    positions = len(position_rows(shape, weights))
    if positions < shape.max_length:
        raise ModelError(f"{source.folder}: texts may have {shape.max_length} tokens, there are {positions} positions")
    return Dimensions(
        architecture=int(shape.architecture == "mpnet"),
        layers=shape.layers,
        heads=shape.heads,
        width=shape.width,
        inner=inner,
        words=len(weights.take("embeddings.word_embeddings.weight", None, shape.width)),
        positions=shape.max_length,  # those behind are never used
        max_length=shape.max_length,
        pooling=int(shape.pooling == "cls"),
        activation=int(shape.activation == "relu"),
        epsilon=shape.epsilon,
        block=_power_of_two(shape.width, _BLOCK),
        inner_block=_power_of_two(inner, _INNER_BLOCK),
    )


def _power_of_two(width: int, most: int) -> int:
    """Give the largest one, up to `most`, that divides a width."""
    return min(most, width & -width)


def _arrays(
    shape: BertShape, weights: BertWeights, dimensions: Dimensions, calibration: Calibration | None
) -> Mapping[str, Array]:
    """Make all sections that are numbers, one layer after the other."""
    words = weights.take("embeddings.word_embeddings.weight", None, shape.width)
    word_scales = row_scales(words)
    rotation = Rotation(random_signs("hmem_fast rotation", shape.width), dimensions.block)
    inner = Rotation(random_signs("hmem_fast inner rotation", dimensions.inner), dimensions.inner_block)
    layers = []
    for number in range(shape.layers):
        layer = read_layer(shape, weights, number)
        moments = {} if calibration is None else calibration.advance(layer)
        layers.append(_layer_arrays(layer, {name: inner if name == "down" else rotation for name in PRODUCTS}, moments))
    return {
        "word_codes": nearest(words, word_scales[:, np.newaxis]),
        "word_scales": word_scales,
        "positions": position_rows(shape, weights)[: shape.max_length],
        "input_norm": read_norm(shape, weights, "embeddings.LayerNorm"),
        "signs": rotation.signs,
        "inner_signs": inner.signs,
        **{name: np.stack([arrays[name] for arrays in layers]) for name in layers[0]},
        "distance_bias": distance_biases(shape, weights).T if shape.architecture == "mpnet" else np.empty(0),
    }


def _layer_arrays(
    layer: Layer, rotations: Mapping[str, Rotation], moments: Mapping[str, Moments]
) -> Mapping[str, Array]:
    arrays: dict[str, Array] = {"attention_norm": layer.attention_norm, "output_norm": layer.output_norm}
    sums = []
    for name in PRODUCTS:
        product, rotation = layer.products[name], rotations[name]
        matrix = rotation.rotate(product.matrix)
        scales, bias = row_scales(matrix), product.bias.astype(np.float64)
        if name in moments:
            inputs = moments[name].rotated(rotation)
            codes = spread_errors(matrix, scales, inputs.covariance)
            bias += (matrix - codes * scales.astype(np.float64)[:, np.newaxis]) @ inputs.mean
        else:
            codes = nearest(matrix, scales[:, np.newaxis])
        arrays |= {f"{name}_codes": pack(codes), f"{name}_scales": scales, f"{name}_bias": bias}
        sums.append(codes.sum(axis=1, dtype=np.int32))
    return {**arrays, "code_sums": np.concatenate(sums)}


def _is_same(folder: Path, manifest: Mapping[str, Any]) -> bool:
    """Tell whether an undamaged export of the same model, rounded the same way, is already there."""
    try:
        return read_native(folder / NATIVE_FILE).manifest == manifest
    except ModelError:
        return False
