"""An encoder that remembers, for runs in which several pipelines read the same texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hmem_fast.types import Encoder, FloatArray

__all__ = ["CachedEncoder"]


class CachedEncoder:
    """Encodes each distinct text once, and gives copies of what it kept.

    It grows by one vector a text and forgets nothing: made for one run, not for a service.

    Parameters
    ----------
    encoder : Encoder
        The one that encodes.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._vectors: dict[str, FloatArray] = {}

    @property
    def dim(self) -> int:
        """Width of the vectors."""
        return self._encoder.dim

    @property
    def space_id(self) -> str:
        """Name of the embedding space: that of the encoder inside."""
        return self._encoder.space_id

    @property
    def producer(self) -> str:
        """Backend and precision: those of the encoder inside."""
        return self._encoder.producer

    def __len__(self) -> int:
        """Number of texts it has encoded."""
        return len(self._vectors)

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """Encode each text, as `Encoder.encode` does.

        Shapes
        ------
        texts   n strings
        result  (n, dim)  float32, C order, unit rows; (0, dim) for no texts
        """
        new = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        if new:
            self._vectors.update(zip(new, self._encoder.encode(new), strict=True))
        rows = np.empty((len(texts), self.dim), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            row[:] = self._vectors[text]
        return rows

    def __repr__(self) -> str:
        return f"CachedEncoder({self._encoder!r}, {len(self)} texts)"
