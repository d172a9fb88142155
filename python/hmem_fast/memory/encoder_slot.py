"""The encoder of an open memory: found when it is first needed, and checked against the store's embedding space."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from hmem_fast.encode import resolve
from hmem_fast.errors import EncoderMismatchError, InvalidValueError, NoEncoderError, ShapeError
from hmem_fast.types import Encoder, FloatArray

__all__ = ["EncoderSlot"]


class EncoderSlot:
    """Holds an encoder, or the name of one that is looked up at first use, or nothing.

    A memory whose model is not on this machine can be opened, read, searched by words and tidied up: only what needs
    the model fails, and says what to install.
    """

    def __init__(
        self, *, name: str | None, encoder: Encoder | None, space_id: str | None, dim: int, waived: bool = False
    ) -> None:
        self.name = name
        #: Whether the caller has said that there is none, and so expects recalls by words or vectors.
        self.waived = waived
        self.space_id = space_id
        self.dim = dim
        self._encoder = encoder
        self._finding = threading.Lock()

    @property
    def makes_keys(self) -> bool:
        """Whether the store's keys are encoded text, and not ready vectors."""
        return self.space_id is not None

    def get(self) -> Encoder:
        """Give the encoder, looking it up the first time.

        Raises
        ------
        NoEncoderError
            If the memory was opened without one.
        ModelNotFoundError, MissingDependencyError
            If it cannot be had on this machine.
        EncoderMismatchError
            If what goes by its name here makes vectors of another space.
        """
        with self._finding:
            if self._encoder is None:
                if self.name is None:
                    raise NoEncoderError(
                        "this memory was opened without an encoder: give vectors, or open it with encoder=…"
                        if self.waived
                        else f"the encoder of this store has no name to find it by (its space is {self.space_id}): "
                        "open it with encoder=… and the same object, or with encoder=None to search by words"
                    )
                found = resolve(self.name)
                check_space(found, self.space_id, self.dim)
                self._encoder = found
            return self._encoder

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """Encode texts and check what came back."""
        encoder = self.get()
        vectors = np.ascontiguousarray(encoder.encode(texts), dtype=np.float32)
        if vectors.shape != (len(texts), self.dim):
            raise ShapeError(f"encoder: wanted shape ({len(texts)}, {self.dim}), got {vectors.shape}")
        if not np.isfinite(vectors).all():
            raise InvalidValueError(f"encoder: wanted finite vectors, {encoder.producer} gave NaN or an infinity")
        return vectors


def check_space(encoder: Encoder, space_id: str | None, dim: int) -> None:
    """Refuse an encoder whose vectors cannot be compared with the stored ones."""
    if encoder.space_id != space_id or encoder.dim != dim:
        held = f"vectors of space {space_id}" if space_id else "ready vectors of no known encoder"
        raise EncoderMismatchError(
            f"encoder: the store holds {held} ({dim} wide), got one of space {encoder.space_id} ({encoder.dim} wide). "
            "To re-encode, open a new store with the other encoder and give it the memories of this one: "
            "new.store_many(record.to_item() for record in old)"
        )
