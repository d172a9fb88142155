"""Hugging Face hub names: the one place that may use the network, and only for a name that the user gave."""

from __future__ import annotations

import re
from pathlib import Path

from hmem_fast.encode.source import is_source_folder
from hmem_fast.errors import ModelNotFoundError
from hmem_fast.extra import require

__all__ = ["hub_folder", "is_hub_name"]

PREFIX = "hub:"

_WANTED_FILES = ("*.json", "*.txt", "*.safetensors")
_UNWANTED_FILES = ("onnx/*", "openvino/*")


def is_hub_name(name: str) -> bool:
    """Tell whether a name begins with ``hub:``. Any other is a path: a typing error must not reach the network."""
    return name.startswith(PREFIX)


def hub_folder(name: str) -> Path:
    """Find a model in the hub's local cache, or download it if it is not there.

    Raises
    ------
    ModelNotFoundError
        If `name` is no hub name, or neither the cache nor the hub has such a model; offline (``HF_HUB_OFFLINE=1``, no
        network) only the cache is asked.
    """
    model = name.removeprefix(PREFIX)
    if not is_hub_name(name) or re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", model, re.ASCII) is None:
        raise ModelNotFoundError(
            f"source: wanted a sentence-transformers folder or a hub name (hub:organisation/model), {name!r} is neither"
        )
    hub = require("huggingface_hub", extra="encode", purpose="looking up a hub name")
    wanted = {"allow_patterns": list(_WANTED_FILES), "ignore_patterns": list(_UNWANTED_FILES)}
    try:
        cached = Path(hub.snapshot_download(model, local_files_only=True, **wanted))
        if is_source_folder(cached) and any(cached.rglob("*.safetensors")):
            return cached
    except Exception:  # noqa: BLE001, S110 - not in the hub's cache: there are several exceptions for that
        pass
    try:
        return Path(hub.snapshot_download(model, **wanted))
    except Exception as error:  # no network, no such model, no access: each has its own
        raise ModelNotFoundError(
            f"source: there is no folder {model!r}, and the hub gave no model of that name: {error}"
        ) from error
