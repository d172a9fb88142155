"""A static encoder in the manner of model2vec: a vector for each token, averaged. No context, and hardly any time.

Each entry of the vocabulary goes alone through MiniLM; principal components and weights by rank follow, with
model2vec's own settings. Where the package is installed, its `StaticModel` encodes with this table; else numpy does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benches.peers.cache import digest, kept
from hmem_fast.encode import OnnxEncoder

__all__ = ["StaticEncoder", "table_of"]

_DIM = 256
_SIF = 1e-4
_AT_ONCE = 512


class StaticEncoder:
    """Means of the tokens' vectors, of unit length."""

    def __init__(self, float32: OnnxEncoder) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_buffer((float32.folder / "tokenizer.json").read_bytes())
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._unknown = self._tokenizer.token_to_id("[UNK]")
        size = self._tokenizer.get_vocab_size()
        self.table = kept(f"static-{digest(float32.space_id, size, _DIM, _SIF)}", lambda: table_of(float32, size))
        self.name = "static, numpy"
        self._model = None
        try:
            from model2vec import StaticModel
        except ImportError:
            return
        self._model = StaticModel(self.table, self._tokenizer, normalize=True)
        self.name = "static, model2vec"

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Encode each text."""
        if self._model is not None:
            found: np.ndarray = self._model.encode(list(texts))
            return found
        return self.by_definition(texts)

    def by_definition(self, texts: Sequence[str]) -> np.ndarray:
        """Do the same in numpy."""
        encoded = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        # A token that the vocabulary lacks says nothing.
        known = [[token for token in encoding.ids if token != self._unknown] for encoding in encoded]
        rows = np.array([self.table[ids].mean(axis=0) for ids in known], dtype=np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows


def table_of(float32: OnnxEncoder, size: int) -> np.ndarray:
    """Distil the table: half a minute.

    Shapes
    ------
    result  (size, 256)  float32
    """
    session = float32._session  # noqa: SLF001 - ids go in here, where an encoder takes texts
    ids = np.arange(size, dtype=np.int64)[:, np.newaxis]
    first, last = (np.full_like(ids, token) for token in (101, 102))
    wrapped = np.hstack([first, ids, last])
    parts = [
        session.run(["sentence"], {"input_ids": part, "attention_mask": np.ones_like(part)})[0]
        for part in np.split(wrapped, range(_AT_ONCE, size, _AT_ONCE))
    ]
    rows = np.concatenate(parts).astype(np.float64)
    rows -= rows.mean(axis=0)
    _, vectors = np.linalg.eigh(rows.T @ rows)
    shares = 1 / np.arange(2, size + 2)
    weights = _SIF / (_SIF + shares / shares.sum())
    return (rows @ vectors[:, ::-1][:, :_DIM] * weights[:, np.newaxis]).astype(np.float32)
