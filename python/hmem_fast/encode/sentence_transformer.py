"""The reference encoder: sentence-transformers on PyTorch. Slower on a CPU; reads every architecture that it knows."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from hmem_fast.encode.hub import hub_folder
from hmem_fast.encode.source import read_source
from hmem_fast.encode.text import MAX_CHARACTERS, checked_texts
from hmem_fast.encode.tokenizer import Tokenizer
from hmem_fast.errors import InvalidValueError, ModelError
from hmem_fast.extra import require
from hmem_fast.types import FloatArray, TokenVectors

__all__ = ["SentenceTransformerEncoder"]

_BATCH = 32


class SentenceTransformerEncoder:
    """Encode with sentence-transformers.

    A folder is opened without any network access. A hub name is looked up in the hub's local cache, and downloaded only
    if it is not there (``HF_HUB_OFFLINE=1`` forbids even that).

    Vectors may differ in the last bits with the batch they are computed in. Calls from several threads take turns.

    Parameters
    ----------
    source : path or str
        A sentence-transformers folder, or a hub name, ``"hub:sentence-transformers/all-MiniLM-L6-v2"``.
    device : str
        Where torch computes.
    threads : int or None
        Number of threads of torch **in the whole process**; None leaves torch's setting alone.

    Raises
    ------
    MissingDependencyError
        If sentence-transformers is not installed.
    ModelNotFoundError
        If there is no such folder, or the hub (or its cache, offline) has no such model.
    ModelError
        If the folder is incomplete or damaged.
    """

    def __init__(self, source: str | os.PathLike[str], *, device: str = "cpu", threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise InvalidValueError(f"threads: wanted at least 1, got {threads}")
        self._name = os.fspath(source)
        library = require("sentence_transformers", extra="encode", purpose="encoding with sentence-transformers")
        self._torch: Any = require("torch", extra="encode", purpose="encoding with sentence-transformers")
        if threads is not None:
            self._torch.set_num_threads(threads)
        self._folder = Path(source) if Path(source).is_dir() else hub_folder(self._name)
        self._source = read_source(self._folder)
        with _quiet():
            try:
                self._model = library.SentenceTransformer(
                    str(self._folder), device=device, local_files_only=True
                ).float()
            except Exception as error:  # whatever the library cannot load, it says in its own way
                raise ModelError(f"{self._folder}: sentence-transformers cannot load it: {error}") from error
        self._model.max_seq_length = self._source.max_length
        self._tokenizer = Tokenizer(
            self._source.tokenizer, max_length=self._source.max_length, prefix=self._source.prefix
        )
        self._lock = threading.Lock()
        self._space_id = self._source.space_id()
        self._dim = int(self._sentences([""]).shape[1])

    @property
    def dim(self) -> int:
        """Width of the vectors."""
        return self._dim

    @property
    def space_id(self) -> str:
        """Names the embedding space; an export of the same folder has the same."""
        return self._space_id

    @property
    def producer(self) -> str:
        """``"torch-f32"``."""
        return "torch-f32"

    @property
    def max_length(self) -> int:
        """Most tokens of a text, special ones included; the rest is cut, and `truncated` counts it."""
        return self._source.max_length

    @property
    def truncated(self) -> int:
        """How many texts were cut since this encoder was opened."""
        return self._tokenizer.truncated

    @property
    def folder(self) -> Path:
        """The model's folder."""
        return self._folder

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """Encode each text into one unit row.

        Shapes
        ------
        texts   n strings
        result  (n, dim)  float32, C order, unit rows

        Raises
        ------
        DTypeError
            If `texts` is one string, or an item is no string.
        InvalidValueError
            If a text holds a lone surrogate.
        """
        checked = checked_texts(texts)
        if not checked:
            return np.empty((0, self.dim), dtype=np.float32)
        for text in checked:
            self._tokenizer.tokenize(text)  # for the count of cut texts alone: 30 µs beside 15 ms of encoding
        return self._sentences(checked)

    def encode_tokens(self, texts: Sequence[str]) -> TokenVectors:
        """Encode each text into one unit vector a token, special tokens left out.

        Raises
        ------
        DTypeError
            If `texts` is one string, or an item is no string.
        InvalidValueError
            If a text holds a lone surrogate.
        """
        transformer = self._model[0].auto_model
        vectors, tokens = (
            [np.empty((0, transformer.config.hidden_size), dtype=np.float32)],
            [np.empty(0, dtype=np.int64)],
        )
        offsets = [0]
        for text in checked_texts(texts):
            tokenized = self._tokenizer.tokenize(text)
            ids = self._torch.from_numpy(tokenized.ids)[None].to(self._model.device)
            with self._lock, self._torch.inference_mode():
                hidden = transformer(input_ids=ids, attention_mask=self._torch.ones_like(ids)).last_hidden_state[0]
                unit = self._torch.nn.functional.normalize(hidden, dim=-1).cpu().numpy()
            vectors.append(unit[tokenized.words])
            tokens.append(tokenized.ids[tokenized.words])
            offsets.append(offsets[-1] + len(tokens[-1]))
        return TokenVectors(np.concatenate(vectors), np.array(offsets, dtype=np.int64), np.concatenate(tokens))

    def __repr__(self) -> str:
        return f"SentenceTransformerEncoder({self._name!r})  # {self.space_id}, {self.producer}"

    def _sentences(self, texts: list[str]) -> FloatArray:
        prepared = [self._source.prefix + text[:MAX_CHARACTERS] for text in texts]
        # One caller at a time: each call sets the tokenizer's padding anew, which is not thread-safe.
        with self._lock:
            rows = self._model.encode(
                prepared, prompt="", batch_size=_BATCH, show_progress_bar=False, normalize_embeddings=True
            )
        return np.ascontiguousarray(rows, dtype=np.float32)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from drawing a progress bar for loading from disk."""
    logging = require("transformers.utils.logging", extra="encode", purpose="encoding with sentence-transformers")
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
