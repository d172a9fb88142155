"""The encoder for a CPU: ONNX Runtime, one text at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from hmem_fast.encode.manifest import FILES, Manifest, check_folder, read_manifest, verify_folder
from hmem_fast.encode.text import checked_texts
from hmem_fast.encode.thread import checked_threads
from hmem_fast.encode.tokenizer import Tokenized, Tokenizer
from hmem_fast.errors import ModelError, ModelNotFoundError
from hmem_fast.extra import require
from hmem_fast.types import FloatArray, TokenVectors

__all__ = ["OnnxEncoder"]


class OnnxEncoder:
    """Encode with a folder that `export_onnx` made.

    Each text runs alone and unpadded. So a text always gives the same bits, whatever it is encoded together with; on a
    CPU that is as fast as a batch. With several threads, texts are spread over them; one text never uses more than one.

    An encoder may be used from several threads at once.

    Parameters
    ----------
    folder : path
        The exported folder.
    threads : int
        How many texts to work on at once; at most the CPUs that this process may use.

    Raises
    ------
    ModelNotFoundError
        If there is no such folder.
    ModelError
        If the folder is incomplete or damaged. At opening, sizes are compared and the tokenizer is hashed; `verify`
        hashes the model too.
    MissingDependencyError
        If onnxruntime is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str], *, threads: int = 1) -> None:
        self._threads = checked_threads(threads)
        self._folder = Path(folder)
        if not self._folder.is_dir():
            raise ModelNotFoundError(f"folder: wanted an exported encoder, there is no folder {self._folder}")
        self._manifest = read_manifest(self._folder)
        check_folder(self._folder, self._manifest)
        model, tokenizer = (self._folder / name for name in FILES)
        self._session = _open_session(model, self._manifest)
        self._tokenizer = Tokenizer(tokenizer, max_length=self._manifest.max_length, prefix=self._manifest.prefix)

    @property
    def dim(self) -> int:
        """Width of the vectors."""
        return self._manifest.dim

    @property
    def space_id(self) -> str:
        """Names the embedding space; the same for every backend and precision of one model."""
        return self._manifest.space_id

    @property
    def producer(self) -> str:
        """Backend and precision, ``"onnx-f32"``."""
        return self._manifest.producer

    @property
    def max_length(self) -> int:
        """Most tokens of a text, special ones included; the rest is cut, and `truncated` counts it."""
        return self._manifest.max_length

    @property
    def truncated(self) -> int:
        """How many texts were cut since this encoder was opened."""
        return self._tokenizer.truncated

    @property
    def folder(self) -> Path:
        """The exported folder."""
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
        rows = np.empty((len(checked), self.dim), dtype=np.float32)

        def encode_one(number: int) -> None:
            rows[number] = self._run("sentence", self._tokenizer.tokenize(checked[number]))

        self._spread(encode_one, len(checked))
        return rows

    def encode_tokens(self, texts: Sequence[str]) -> TokenVectors:
        """Encode each text into one unit vector a token, special tokens left out.

        Raises
        ------
        DTypeError
            If `texts` is one string, or an item is no string.
        InvalidValueError
            If a text holds a lone surrogate.
        """
        checked = checked_texts(texts)
        vectors = [np.empty((0, self.dim), dtype=np.float32)] * len(checked)
        tokens = [np.empty(0, dtype=np.int64)] * len(checked)

        def encode_one(number: int) -> None:
            tokenized = self._tokenizer.tokenize(checked[number])
            vectors[number] = self._run("tokens", tokenized)[tokenized.words]
            tokens[number] = tokenized.ids[tokenized.words]

        self._spread(encode_one, len(checked))
        offsets = np.zeros(len(checked) + 1, dtype=np.int64)
        np.cumsum([len(ids) for ids in tokens], out=offsets[1:])
        if not checked:
            return TokenVectors(np.empty((0, self.dim), dtype=np.float32), offsets, np.empty(0, dtype=np.int64))
        return TokenVectors(np.concatenate(vectors), offsets, np.concatenate(tokens))

    def verify(self) -> None:
        """Check every byte of the folder against its manifest.

        Raises
        ------
        ModelError
            If a file is not what was exported.
        """
        verify_folder(self._folder, self._manifest)

    def __repr__(self) -> str:
        return f"OnnxEncoder({str(self._folder)!r}, threads={self._threads})  # {self.space_id}, {self.producer}"

    def _run(self, output: str, tokenized: Tokenized) -> FloatArray:
        ids = tokenized.ids[np.newaxis]
        result: FloatArray = self._session.run([output], {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0][0]
        return result

    def _spread(self, work: Callable[[int], None], count: int) -> None:
        """Call ``work(0)`` to ``work(count - 1)``, on up to `threads` threads that live for this call only."""
        if min(self._threads, count) <= 1:
            for number in range(count):
                work(number)
            return
        with ThreadPoolExecutor(min(self._threads, count), thread_name_prefix="hmem-encode") as pool:
            for _ in pool.map(work, range(count)):
                pass


def _runtime() -> ModuleType:
    """Import onnxruntime with its telemetry off.

    From 1.29 on the official builds report to Microsoft, beginning at the import; encoding must not use the network.
    Who wants that, sets ``ORT_DISABLE_TELEMETRY=0``. Whoever imports onnxruntime before us has decided already.
    """
    wanted = os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    runtime = require("onnxruntime", extra="onnx", purpose="encoding with an ONNX model")
    if wanted != "0" and hasattr(runtime, "disable_telemetry_events"):
        runtime.disable_telemetry_events()
    return runtime


def _open_session(path: Path, manifest: Manifest) -> Any:  # noqa: ANN401 - onnxruntime ships no types
    runtime = _runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors only: they become exceptions
    try:
        session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a class for each kind of damage, in a private module
        raise ModelError(f"{path}: onnxruntime cannot load it: {error}") from error
    inputs = {value.name for value in session.get_inputs()}
    outputs = {value.name: value.shape for value in session.get_outputs()}
    if inputs != {"input_ids", "attention_mask"} or set(outputs) != {"sentence", "tokens"}:
        raise ModelError(
            f"{path}: wanted inputs input_ids, attention_mask and outputs sentence, tokens; "
            f"got {', '.join(sorted(inputs))} and {', '.join(sorted(outputs))}"
        )
    if outputs["sentence"][-1] != manifest.dim:
        raise ModelError(f"{path}: the manifest says {manifest.dim} wide, the model gives {outputs['sentence'][-1]}")
    return session
