"""Encoders: texts in, unit vectors out. Nothing is imported but what is used, and nothing is fetched unasked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hmem_fast.encode.native import NativeEncoder
from hmem_fast.lazy import lazy_names
from hmem_fast.types import Encoder, TokenCodes, TokenEncoder, TokenVectors

if TYPE_CHECKING:
    from hmem_fast.encode.catalogue import FoundEncoder, cache_dir, find_encoders
    from hmem_fast.encode.comparison import Comparison, compare_with_sentence_transformers
    from hmem_fast.encode.export import export_onnx
    from hmem_fast.encode.export_folder import ExportReport
    from hmem_fast.encode.hashing import HashingEncoder
    from hmem_fast.encode.lookup import recorded_name, resolve
    from hmem_fast.encode.native_export import export_native
    from hmem_fast.encode.onnx import OnnxEncoder
    from hmem_fast.encode.sentence_transformer import SentenceTransformerEncoder

__all__ = [
    "Comparison",
    "Encoder",
    "ExportReport",
    "FoundEncoder",
    "HashingEncoder",
    "NativeEncoder",
    "OnnxEncoder",
    "SentenceTransformerEncoder",
    "TokenCodes",
    "TokenEncoder",
    "TokenVectors",
    "cache_dir",
    "compare_with_sentence_transformers",
    "export_native",
    "export_onnx",
    "find_encoders",
    "recorded_name",
    "resolve",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Comparison": "hmem_fast.encode.comparison",
        "ExportReport": "hmem_fast.encode.export_folder",
        "FoundEncoder": "hmem_fast.encode.catalogue",
        "HashingEncoder": "hmem_fast.encode.hashing",
        "OnnxEncoder": "hmem_fast.encode.onnx",
        "SentenceTransformerEncoder": "hmem_fast.encode.sentence_transformer",
        "cache_dir": "hmem_fast.encode.catalogue",
        "compare_with_sentence_transformers": "hmem_fast.encode.comparison",
        "export_native": "hmem_fast.encode.native_export",
        "export_onnx": "hmem_fast.encode.export",
        "find_encoders": "hmem_fast.encode.catalogue",
        "recorded_name": "hmem_fast.encode.lookup",
        "resolve": "hmem_fast.encode.lookup",
    },
)
