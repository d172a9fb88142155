"""A model's tokenizer.json with our own settings: no padding, and the limit that the model has, not that file."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from hmem_fast import core
from hmem_fast.errors import ModelError
from hmem_fast.types import IdArray

__all__ = ["Tokenized", "Tokenizer"]


class Tokenized(NamedTuple):
    """One text's tokens, as the model wants them.

    Shapes
    ------
    ids    (length,)  int64, special tokens among them
    words  (length,)  bool, False where the tokenizer added a special token
    """

    ids: IdArray
    words: np.ndarray[tuple[int], np.dtype[np.bool_]]


class Tokenizer:
    """Tokenizes one text at a time in the caller's thread, and counts the texts that did not fit.

    Parameters
    ----------
    path : Path
        The model's ``tokenizer.json``. Its own settings for padding and truncation are put aside: MiniLM's pads every
        text to 128 tokens and cuts there, although the model's limit is 256.
    max_length : int
        Most tokens of a text, special ones included.
    prefix : str
        Put before every text.
    """

    def __init__(self, path: Path, *, max_length: int, prefix: str = "") -> None:
        try:
            self._tokenizer = core.Tokenizer(path.read_bytes(), max_length, prefix)
        except OSError as error:
            raise ModelError(f"{path}: the tokenizer cannot be read: {error}") from error
        except ValueError as error:
            raise ModelError(f"{path}: {error}") from error

    @property
    def truncated(self) -> int:
        """How many texts were cut so far."""
        return self._tokenizer.truncated

    def tokenize(self, text: str) -> Tokenized:
        """Tokenize one text, cut to what the model reads."""
        ids, special = self._tokenizer.tokenize(text)
        return Tokenized(ids, ~special)
