"""What an export left at a path: the file of the core's encoder, or the folder of an ONNX one."""

from __future__ import annotations

from pathlib import Path

from hmem_fast.encode.manifest import FILES, MANIFEST
from hmem_fast.encode.native import NativeEncoder
from hmem_fast.encode.native_file import MAGIC, NATIVE_FILE
from hmem_fast.encode.onnx import OnnxEncoder
from hmem_fast.errors import ModelError

__all__ = ["open_exported"]


def open_exported(path: Path, *, threads: int = 1) -> NativeEncoder | OnnxEncoder | None:
    """Open the export that a folder holds, or that a file belongs to; None where there is none.

    A file of the core's encoder may have any name: it is known by its first bytes.

    Raises
    ------
    ModelError
        If it is damaged, or a folder holds one of each kind: which of them is meant, nobody can tell.
    MissingDependencyError
        If it is an ONNX export, and onnxruntime is not installed.
    """
    if path.is_file():
        if path.name in {MANIFEST, *FILES}:
            path = path.parent
            return OnnxEncoder(path, threads=threads) if (path / MANIFEST).is_file() else None
        return NativeEncoder(path, threads=threads) if path.name == NATIVE_FILE or _is_native(path) else None
    kinds: dict[str, type[NativeEncoder | OnnxEncoder]] = {MANIFEST: OnnxEncoder, NATIVE_FILE: NativeEncoder}
    found = [name for name in kinds if (path / name).is_file()]
    if len(found) > 1:
        raise ModelError(
            f"{path}: wanted one export, it holds two ({' and '.join(found)}); name the file that is meant"
        )
    return kinds[found[0]](path, threads=threads) if found else None


def _is_native(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or error}") from error
