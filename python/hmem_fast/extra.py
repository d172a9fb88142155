"""Optional packages, imported where they are first used."""

from __future__ import annotations

import importlib
from types import ModuleType

from hmem_fast.errors import MissingDependencyError

__all__ = ["require"]


def require(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import an optional package, or say which extra brings it.

    Raises
    ------
    MissingDependencyError
        If the module cannot be imported; the message names the extra, and the cause is the import's own error.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0].replace("_", "-")
        reason = "it is not installed" if isinstance(error, ModuleNotFoundError) else f"its import failed ({error})"
        raise MissingDependencyError(
            f'{purpose} needs the package {package}, and {reason}: pip install "hmem_fast[{extra}]"', name=module
        ) from error
