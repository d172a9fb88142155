"""What `OnnxEncoder` does not do: many texts in one pass, padded to the longest."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from hmem_fast.encode import OnnxEncoder

__all__ = ["in_one_batch"]


def in_one_batch(encoder: OnnxEncoder) -> Callable[[Sequence[str]], np.ndarray]:
    """Make a function that encodes all its texts in one pass of the encoder's graph."""
    session, tokenizer = encoder._session, encoder._tokenizer  # noqa: SLF001 - a batch is asked of the graph itself

    def encode(texts: Sequence[str]) -> np.ndarray:
        tokenized = [tokenizer.tokenize(text).ids for text in texts]
        ids = np.zeros((len(texts), max(map(len, tokenized))), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, tokens in enumerate(tokenized):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        found: np.ndarray = session.run(["sentence"], {"input_ids": ids, "attention_mask": mask})[0]
        return found

    return encode
