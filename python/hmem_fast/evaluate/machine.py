"""The machine that a result was made on, and the version that made it."""

from __future__ import annotations

import platform
import sys
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from hmem_fast import core

__all__ = ["cpu_model", "features", "package_version", "version_of"]


def package_version() -> str:
    """Version of hmem_fast that is installed."""
    return version_of("hmem_fast") or "unknown"


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


def version_of(distribution: str) -> str | None:
    """Version of a distribution that is installed, without importing it; None where it is not."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
