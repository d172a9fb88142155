"""MiniLM from its package: exported once, kept in the cache, made again where it is damaged."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from hmem_fast.encode.catalogue import EXPORTS, cache_dir, minilm_source, packaged_minilm
from hmem_fast.encode.export import export_onnx
from hmem_fast.encode.export_folder import ExportReport
from hmem_fast.encode.native import NativeEncoder
from hmem_fast.encode.native_export import export_native
from hmem_fast.encode.onnx import OnnxEncoder
from hmem_fast.errors import ModelError
from hmem_fast.types import Encoder

__all__ = ["open_minilm"]


class _Backend(NamedTuple):
    """How an export is made, and how it is opened."""

    export: Callable[..., ExportReport]
    open: Callable[..., Encoder]


_BACKENDS = {"minilm": _Backend(export_native, NativeEncoder), "minilm-f32": _Backend(export_onnx, OnnxEncoder)}

_temporary: dict[tuple[str, Path], Path] = {}
"""Exports of this process that could not be put into the cache: name and source's folder -> the temporary one."""

_exporting = threading.Lock()


def open_minilm(name: str, *, threads: int, tell: Callable[[str], None]) -> Encoder:
    """Open the export of that name from the cache; make it first where it is missing or damaged.

    Where the cache cannot be written, it is made in a temporary folder, for this process.

    Parameters
    ----------
    name : str
        One of `catalogue.EXPORTS`.
    threads : int
        Texts to encode at once.
    tell : callable
        Called with a line when something takes time or is not as it should be.

    Raises
    ------
    ModelNotFoundError
        If there is no export and the package is not installed.
    ModelError
        If the export is damaged and the package is not installed.
    MissingDependencyError
        If `name` needs a package that is not installed.
    """
    backend, exported = _BACKENDS[name], cache_dir() / name
    if (exported / EXPORTS[name].file).is_file():
        try:
            return backend.open(exported, threads=threads)
        except ModelError as error:
            if packaged_minilm() is None:
                raise
            tell(f"{name}: {error}; exporting it again")
    source = minilm_source(name, exported)
    with _exporting:
        if (name, source) in _temporary:
            return backend.open(_temporary[name, source], threads=threads)
        tell(f"{name}: exporting {source} to {exported}, once")
        try:
            backend.export(source, exported, replace=True)
        except OSError as error:
            exported = _temporary[name, source] = _export_for_this_process(backend, source, name)
            tell(f"{name}: the cache cannot be written ({error}); exported to {exported} for this process only")
    return backend.open(exported, threads=threads)


def _export_for_this_process(backend: _Backend, source: Path, name: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="hmem-encoder-"))
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:  # not when a forked child leaves
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    backend.export(source, folder / name)
    return folder / name
