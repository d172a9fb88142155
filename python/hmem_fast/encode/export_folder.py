"""The folder of an export: it appears whole or not at all, and what is none of ours is never replaced."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hmem_fast.errors import InvalidValueError

__all__ = ["ExportReport", "make_folder", "refuse_foreign"]

_ATTEMPTS = 10


@dataclass(frozen=True)
class ExportReport:
    """What an export made.

    Attributes
    ----------
    folder : Path
        Where it is.
    bytes : int
        Size of all its files.
    seconds : float
        How long it took.
    dim, max_length : int
        Width of the vectors; most tokens of a text.
    space_id, producer : str
        As the encoder will give them.
    """

    folder: Path
    bytes: int
    seconds: float
    dim: int
    max_length: int
    space_id: str
    producer: str


def refuse_foreign(target: Path, files: Sequence[str], *, replace: bool) -> None:
    """Refuse, before any work is done, to write over what is no export, or over another one unasked.

    Parameters
    ----------
    target : Path
        The folder to make.
    files : sequence of str
        All that an export of this kind holds; the first is the one without which it is none.
    replace : bool
        Whether what is left of an export may be replaced.

    Raises
    ------
    InvalidValueError
        If `target` is a file, or holds anything else.
    """
    if not target.exists():
        return
    if not target.is_dir():
        raise InvalidValueError(f"out: wanted a folder to make, {target} is a file")
    names = {entry.name for entry in target.iterdir()}
    if names - set(files):
        raise InvalidValueError(
            f"out: {target} holds other things ({', '.join(sorted(names)[:3])} …); name another folder"
        )
    if names and not replace and not (target / files[0]).is_file():
        raise InvalidValueError(f"out: {target} holds part of an export; remove it, or ask to replace it")


def make_folder(
    target: Path, fill: Callable[[Path], object], is_same: Callable[[Path], bool], *, replace: bool
) -> None:
    """Have a folder filled beside its place, then put it there; another process may be doing the same at this moment.

    Parameters
    ----------
    target : Path
        Where it shall be.
    fill : callable
        Writes all files into the folder that it is given, and leaves them on the disk.
    is_same : callable
        Tells of a folder whether it holds this very export, undamaged; it is left as it is then.
    replace : bool
        Replace what is there otherwise.

    Raises
    ------
    InvalidValueError
        If something else is there that may not be replaced.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent))
    try:
        # A temporary folder is private to its owner; the export should be readable as any other new folder is.
        made.chmod(0o777 & ~_umask())
        fill(made)
        _put_in_place(made, target, is_same, replace=replace)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _put_in_place(made: Path, target: Path, is_same: Callable[[Path], bool], *, replace: bool) -> None:
    failure: OSError | None = None
    for _ in range(_ATTEMPTS):
        try:
            if target.is_dir() and not any(target.iterdir()):
                target.rmdir()  # renaming onto an empty folder is refused on Windows
            made.rename(target)
        except OSError as error:
            failure = error
        else:
            return
        if not target.exists():
            continue  # what stood in the way was moved aside by another process
        if is_same(target):
            return
        if not replace:
            raise InvalidValueError(
                f"out: {target} holds another or a damaged export; name another folder, or ask to replace it"
            )
        _move_aside(target, made)
    raise failure or InvalidValueError(f"out: other processes keep writing to {target}")


def _move_aside(target: Path, made: Path) -> None:
    """Take what is in the way out of it, whole, then delete it: no reader ever sees half a folder."""
    aside = made.with_name(f"{made.name}.old")
    try:
        target.rename(aside)
    except FileNotFoundError:
        return
    shutil.rmtree(aside, ignore_errors=True)


def _umask() -> int:
    """Read the umask; there is no way to read it but to set it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
