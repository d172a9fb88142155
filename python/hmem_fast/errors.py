"""Every exception that hmem_fast raises on purpose.

Each class has two bases: `HmemError`, so that one ``except`` catches whatever the library refuses, and the built-in
exception that a Python programmer would expect for that kind of failure. A message names the argument, what came and
what was wanted: ``queries: wanted shape (m, 384), got (2, 768)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

__all__ = [
    "ClosedError",
    "DTypeError",
    "DuplicateIdError",
    "EncoderMismatchError",
    "HmemError",
    "InternalError",
    "InvalidValueError",
    "IsaError",
    "MissingDependencyError",
    "ModelError",
    "ModelNotFoundError",
    "NetworkFolderWarning",
    "NoEncoderError",
    "ReadOnlyError",
    "ShapeError",
    "SnapshotError",
    "SnapshotWarning",
    "StoreCorruptError",
    "StoreIOError",
    "StoreLockedError",
    "StoreManyError",
    "StoreNotFoundError",
    "StoreVersionError",
    "UnknownIdError",
]


class HmemError(Exception):
    """Base of all exceptions that hmem_fast raises on purpose."""


class ShapeError(HmemError, ValueError):
    """An array has the wrong rank or width."""


class DTypeError(HmemError, TypeError):
    """An array or value has a type that cannot be used without guessing (integers where floats are meant, objects)."""


class InvalidValueError(HmemError, ValueError):
    """A value is outside what the operation is defined for: NaN, infinity, a zero vector under cosine, ``k < 1``."""


class DuplicateIdError(HmemError, ValueError):
    """An id is already in use; replacing has to be asked for."""


class UnknownIdError(HmemError, KeyError):
    """An id is not (or no longer) there."""

    def __str__(self) -> str:
        """Give the message itself; KeyError would show its repr."""
        return str(self.args[0]) if self.args else ""


class IsaError(HmemError, RuntimeError):
    """``HMEM_ISA`` names an instruction set that does not exist or that this CPU lacks."""


class InternalError(HmemError, RuntimeError):
    """A bug in the compiled core. The object that raised it refuses further use; please report it."""


class MissingDependencyError(HmemError, ImportError):
    """An optional package is needed; the message names the extra to install."""


class ModelError(HmemError, ValueError):
    """A model folder or file is incomplete, damaged, or of an architecture that is not supported."""


class ModelNotFoundError(HmemError, FileNotFoundError):
    """No encoder of that name or path could be found; the message lists where was looked."""


class NoEncoderError(HmemError, RuntimeError):
    """Text came where only ready vectors can be used, because the memory was opened without an encoder."""


class EncoderMismatchError(HmemError, ValueError):
    """The store is bound to another embedding space than the encoder's."""


class ClosedError(HmemError, RuntimeError):
    """The object was closed, or belongs to the process this one was forked from."""


class ReadOnlyError(HmemError, PermissionError):
    """A write was asked of a memory that was opened with ``mode="r"``."""


class StoreNotFoundError(HmemError, FileNotFoundError):
    """There is no store at that path, and the mode does not allow making one."""


class StoreLockedError(HmemError, BlockingIOError):
    """Another process is the store's writer; the message names its process id."""


class StoreVersionError(HmemError, RuntimeError):
    """The store was written by a newer version of hmem_fast, or by an older one and is opened for reading."""


class StoreCorruptError(HmemError, RuntimeError):
    """A stored row does not match its checksum, or the file is not a store."""


class StoreIOError(HmemError, OSError):
    """The disk is full, a file cannot be opened, or the system refused to read or write it."""


class SnapshotError(HmemError, RuntimeError):
    """A snapshot cannot be used; the truth can."""


class StoreManyError(HmemError, ValueError):
    """`Memory.store_many` stopped at an item; what was committed before it stays.

    Attributes
    ----------
    ids : tuple of int
        The memory ids that are durably stored, in the order of the items.
    position : int
        Position of the first item that is not stored.
    """

    def __init__(self, message: str, *, ids: Sequence[int], position: int) -> None:
        super().__init__(message)
        self.ids = tuple(ids)
        self.position = position

    def __reduce__(self) -> tuple[object, ...]:
        """Let the error travel between processes, keyword arguments and all."""
        return partial(type(self), ids=self.ids, position=self.position), self.args


class NetworkFolderWarning(UserWarning):
    """The store's folder lies on a network file system, where locks and the order of writes cannot be relied on."""


class SnapshotWarning(UserWarning):
    """A snapshot could not be used or written. Nothing is lost: the index is built from the truth."""
