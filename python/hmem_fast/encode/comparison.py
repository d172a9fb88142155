"""How far an export is from the model that it was made of."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hmem_fast.encode.catalogue import source_folder
from hmem_fast.encode.exported import open_exported
from hmem_fast.encode.sentence_transformer import SentenceTransformerEncoder
from hmem_fast.errors import InvalidValueError, ModelNotFoundError

__all__ = ["Comparison", "compare_with_sentence_transformers"]

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


def compare_with_sentence_transformers(
    folder: str | os.PathLike[str], model: str | os.PathLike[str], texts: Sequence[str] | None = None
) -> Comparison:
    """Encode texts with an export and, by sentence-transformers, with the `model` it was made of; compare the vectors.

    Raises
    ------
    ModelNotFoundError
        If `folder` holds no export, or there is no such model.
    InvalidValueError
        If `texts` is empty.
    MissingDependencyError
        If sentence-transformers is not installed, or what the export needs.
    """
    sample = list(_TEXTS if texts is None else texts)
    if not sample:
        raise InvalidValueError("texts: wanted at least one to compare, got none")
    exported = open_exported(Path(folder))
    if exported is None:
        raise ModelNotFoundError(f"folder: wanted an exported encoder, {folder} holds none")
    ours = exported.encode(sample)
    theirs = SentenceTransformerEncoder(source_folder(model)).encode(sample)
    lengths = np.linalg.norm(ours.astype(np.float64), axis=1) * np.linalg.norm(theirs.astype(np.float64), axis=1)
    cosines = np.einsum("nd,nd->n", ours, theirs, dtype=np.float64) / lengths
    return Comparison(
        texts=len(sample),
        max_abs_difference=float(np.abs(ours - theirs).max()),
        cosine_mean=float(cosines.mean()),
        cosine_min=float(cosines.min()),
    )
