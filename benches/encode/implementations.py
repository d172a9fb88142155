"""What is compared: each from a list of texts to unit rows, tokenizing included."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benches.encode.onnx_int8 import onnx_int8_folder
from benches.encode.static import StaticEncoder
from hmem_fast.encode import NativeEncoder, OnnxEncoder, cache_dir, export_native, resolve
from hmem_fast.encode.catalogue import minilm_source
from hmem_fast.encode.native_file import NATIVE_FILE

__all__ = [
    "BASELINE",
    "CORE",
    "ONNX_INT8",
    "Encode",
    "Implementation",
    "all_implementations",
    "close_to_float32",
    "float32_encoder",
    "int8_encoders",
    "native_model",
    "sentence_transformers",
]

CORE = BASELINE = "core int8"
ONNX_INT8 = "onnxruntime int8"

Encode = Callable[[Sequence[str]], np.ndarray]


@dataclass(frozen=True)
class Implementation:
    """One way from texts to vectors.

    Attributes
    ----------
    name : str
        How it is called in tables.
    encode : callable
        Encodes a list of texts, in the way in which it is fastest for one.
    wrong : callable
        Takes texts, answers and the float32 vectors; says what is wrong with the answers, or gives None.
    promise : str
        What `wrong` looks for.
    many : mapping of str to callable
        Names and functions for many texts, where they differ from `encode`.
    """

    name: str
    encode: Encode
    wrong: Callable[[Sequence[str], np.ndarray, np.ndarray], str | None]
    promise: str
    many: tuple[tuple[str, Encode], ...] = ()

    def for_many(self) -> tuple[tuple[str, Encode], ...]:
        """Name and function of each way to encode many texts."""
        return self.many or ((self.name, self.encode),)


def native_model(given: Path | None) -> Path:
    """Give the core's model file: the one that was named, else one in the cache, exported by the first call."""
    folder = cache_dir() / "bench-encode" / "core-int8" if given is None else given
    if given is None and not (folder / NATIVE_FILE).is_file():
        export_native("minilm", folder)
    return folder / NATIVE_FILE if folder.is_dir() else folder


def float32_encoder(threads: int = 1) -> OnnxEncoder:
    """Open the reference."""
    encoder = resolve("minilm-f32", threads=threads)
    assert isinstance(encoder, OnnxEncoder)
    return encoder


def int8_encoders(model: Path, threads: int = 1) -> tuple[OnnxEncoder, dict[str, NativeEncoder | OnnxEncoder]]:
    """Open the reference, and the 8-bit encoders by their names."""
    float32 = float32_encoder(threads)
    return float32, {
        CORE: NativeEncoder(model, threads=threads),
        ONNX_INT8: OnnxEncoder(onnx_int8_folder(float32), threads=threads),
    }


def all_implementations(model: Path, threads: int) -> list[Implementation]:
    """Open everything that is compared; the core comes first."""
    float32, int8 = int8_encoders(model, threads)
    static = StaticEncoder(float32)
    batches = tuple((f"sentence-transformers, batch {size}", sentence_transformers(threads, size)) for size in (32, 64))
    return [
        close_to_float32(CORE, int8[CORE].encode, 0.99),
        close_to_float32(ONNX_INT8, int8[ONNX_INT8].encode, 0.95),
        close_to_float32("onnxruntime float32", float32.encode, 1 - 1e-6),
        close_to_float32("sentence-transformers", batches[0][1], 1 - 1e-6, batches),
        Implementation(
            static.name,
            static.encode,
            lambda texts, found, _: _apart(found, static.by_definition(texts)),
            "mean of its tokens' vectors, within 1e-5",
        ),
    ]


def close_to_float32(
    name: str, encode: Encode, least: float, many: tuple[tuple[str, Encode], ...] = ()
) -> Implementation:
    """Make an implementation whose answers must have a cosine of `least` to float32."""

    def wrong(_: Sequence[str], found: np.ndarray, float32: np.ndarray) -> str | None:
        if found.shape != float32.shape:
            return f"wanted shape {float32.shape}, got {found.shape}"
        lengths = np.linalg.norm(found.astype(np.float64), axis=1)
        if not np.abs(lengths - 1).max() <= 1e-5:  # so that NaN is found as well
            return f"wanted rows of unit length, got {lengths.min()} to {lengths.max()}"
        cosines = np.einsum("ij,ij->i", found.astype(np.float64), float32.astype(np.float64))
        return None if cosines.min() >= least else f"wanted cosines of {least} to float32, got {cosines.min()}"

    return Implementation(name, encode, wrong, f"cosine to float32 of {least:g} or more", many)


def sentence_transformers(threads: int, batch: int) -> Encode:
    """Make a function that encodes by sentence-transformers, as its users call it."""
    import torch

    model = _sentence_transformer()

    def encode(texts: Sequence[str]) -> np.ndarray:
        torch.set_num_threads(threads)  # for the whole process: another part may have asked for another number
        found: np.ndarray = model.encode(list(texts), batch_size=batch, show_progress_bar=False)
        return found

    return encode


@cache
def _sentence_transformer() -> Any:
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.disable_progress_bar()
    return SentenceTransformer(str(minilm_source("minilm-torch")), device="cpu", local_files_only=True)


def _apart(found: np.ndarray, wanted: np.ndarray) -> str | None:
    if found.shape != wanted.shape:
        return f"wanted shape {wanted.shape}, got {found.shape}"
    most = float(np.abs(found - wanted).max())
    return None if most <= 1e-5 else f"wanted the mean of its tokens' vectors, got one {most} apart"
