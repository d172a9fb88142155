"""How close 8-bit vectors are to float32, and whether a text's vector depends on what else is in the call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benches.encode.implementations import CORE, ONNX_INT8, Encode, int8_encoders, sentence_transformers
from benches.encode.onnx_batch import in_one_batch
from benches.encode.texts import docstrings, intents, questions, sample, turns
from benches.peers.cache import digest, kept
from hmem_fast.encode import OnnxEncoder

__all__ = ["BATCH", "cosines", "measure", "overlap"]

BATCH = 32
_QUERIES = 300
_K = 10
_CHARACTERS = 400
"""Of a docstring: whole ones are cut at 256 tokens, which take ten times as long as a turn does."""

Row = dict[str, Any]


def measure(model: Path, count: int = 1_000) -> Iterator[Row]:
    """Give a row for each implementation and set of texts, then one for each that is asked alone and in a batch."""
    float32, encoders = int8_encoders(model)
    asked, said, other = questions(), turns(), sample(intents(), count + _QUERIES, seed=1)
    documented = [text[:_CHARACTERS] for text in sample(docstrings(1_200), 400)]
    sets = {
        "turns of LoCoMo, asked by its questions": (sample(said, count), sample(asked, _QUERIES)),
        "clinc150, asked by others of it": (other[:count], other[count:]),
        "docstrings of numpy, asked by others": (documented[:300], documented[300:]),
    }
    for name, (keys, queries) in sets.items():
        exact_keys, exact_queries = _float32(float32, keys), _float32(float32, queries)
        for implementation, encoder in encoders.items():
            found_keys, found_queries = encoder.encode(keys), encoder.encode(queries)
            close = cosines(found_keys, exact_keys)
            yield {
                "op": "cosine to float32",
                "set": name,
                "texts": len(keys),
                "queries": len(queries),
                "implementation": implementation,
                "mean": float(close.mean()),
                "p1": float(np.percentile(close, 1)),
                "min": float(close.min()),
                "overlap_queries": overlap(found_queries, exact_keys, exact_queries, exact_keys),
                "overlap_both": overlap(found_queries, found_keys, exact_queries, exact_keys),
            }
    yield from _batches(encoders, float32, sample(said, 4 * BATCH))


def cosines(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Cosine of each row to its counterpart, in float64."""
    a, b = found.astype(np.float64), wanted.astype(np.float64)
    products: np.ndarray = np.einsum("ij,ij->i", a, b)
    return products / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))


def overlap(
    queries: np.ndarray, keys: np.ndarray, exact_queries: np.ndarray, exact_keys: np.ndarray, k: int = _K
) -> float:
    """Mean share of the best `k` by exact vectors that are among the best `k` by the others."""
    found, wanted = (
        np.argsort(-(a.astype(np.float64) @ b.astype(np.float64).T), axis=1, kind="stable")[:, :k]
        for a, b in ((queries, keys), (exact_queries, exact_keys))
    )
    return float(np.mean([len(set(a) & set(b)) / k for a, b in zip(found.tolist(), wanted.tolist(), strict=True)]))


def _batches(encoders: dict[str, Any], float32: OnnxEncoder, texts: Sequence[str]) -> Iterator[Row]:
    """Compare each text alone with the same text in a batch."""
    ways: dict[str, tuple[Encode, Encode]] = {
        CORE: (encoders[CORE].encode, encoders[CORE].encode),
        ONNX_INT8: (encoders[ONNX_INT8].encode, in_one_batch(encoders[ONNX_INT8])),
        "onnxruntime float32": (float32.encode, in_one_batch(float32)),
        "sentence-transformers": (sentence_transformers(1, 1), sentence_transformers(1, BATCH)),
    }
    for name, (alone, together) in ways.items():
        each = np.concatenate([alone([text]) for text in texts])
        parts = [together(texts[start : start + BATCH]) for start in range(0, len(texts), BATCH)]
        batched = np.concatenate(parts)
        yield {
            "op": f"alone and in batches of {BATCH}",
            "implementation": name,
            "texts": len(texts),
            "largest_difference": float(np.abs(each.astype(np.float64) - batched).max()),
            "lowest_cosine": float(min(1.0, cosines(each, batched).min())),
            "same_bits": bool(np.array_equal(each, batched)),
        }


def _float32(encoder: OnnxEncoder, texts: Sequence[str]) -> np.ndarray:
    name = f"encode-{digest(encoder.space_id, encoder.producer, *texts)}"
    return kept(name, lambda: encoder.encode(texts))
