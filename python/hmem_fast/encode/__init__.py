"""Encoders: texts in, unit vectors out. Nothing is imported but what is used, and nothing is fetched unasked."""

from __future__ import annotations

from hmem_fast.encode.catalogue import FoundEncoder, cache_dir, find_encoders
from hmem_fast.encode.comparison import Comparison, compare_with_sentence_transformers
from hmem_fast.encode.export import export_onnx
from hmem_fast.encode.export_folder import ExportReport
from hmem_fast.encode.hashing import HashingEncoder
from hmem_fast.encode.lookup import recorded_name, resolve
from hmem_fast.encode.native import NativeEncoder
from hmem_fast.encode.native_export import export_native
from hmem_fast.encode.onnx import OnnxEncoder
from hmem_fast.encode.sentence_transformer import SentenceTransformerEncoder
from hmem_fast.types import Encoder, TokenCodes, TokenEncoder, TokenVectors

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
