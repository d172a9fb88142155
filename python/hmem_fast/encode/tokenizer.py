"""A model's tokenizer.json with our own settings: no padding, and the limit that the model has, not that file."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hmem_fast.encode.text import MAX_CHARACTERS
from hmem_fast.errors import ModelError
from hmem_fast.extra import require
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
        tokenizers = require("tokenizers", extra="onnx", purpose="reading tokenizer.json")
        try:
            # From bytes, not from a path: the file's encoding must not depend on the locale.
            self._tokenizer = tokenizers.Tokenizer.from_buffer(path.read_bytes())
        except OSError as error:
            raise ModelError(f"{path}: the tokenizer cannot be read: {error}") from error
        except Exception as error:  # the package raises bare Exception for whatever it cannot parse
            raise ModelError(f"{path}: this is no tokenizer that the package tokenizers can read: {error}") from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length=max_length)
        self._prefix = prefix
        self._lock = threading.Lock()
        self._truncated = 0

    @property
    def truncated(self) -> int:
        """How many texts were cut so far."""
        return self._truncated

    def tokenize(self, text: str) -> Tokenized:
        """Tokenize one text, cut to what the model reads."""
        encoding = self._tokenizer.encode(self._prefix + text[:MAX_CHARACTERS])
        if len(text) > MAX_CHARACTERS or encoding.overflowing:
            with self._lock:
                self._truncated += 1
        return Tokenized(
            np.array(encoding.ids, dtype=np.int64), np.array(encoding.special_tokens_mask, dtype=np.int64) == 0
        )
