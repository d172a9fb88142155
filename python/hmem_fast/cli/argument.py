"""Arguments that several subcommands take, checked before anything is done."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hmem_fast.errors import InvalidValueError

__all__ = [
    "add_ids",
    "add_json",
    "add_run_options",
    "add_store",
    "at_least_one",
    "output_path",
    "plot_path",
    "text",
    "write_json",
]

_PICTURES = (".png", ".svg", ".pdf")


def text(given: str) -> str:
    """Read a text as UTF-8, whatever the locale made of it."""
    try:
        return os.fsencode(given).decode("utf-8")
    except ValueError:
        raise argparse.ArgumentTypeError(f"wanted a text in UTF-8, got {given!r}") from None


def at_least_one(given: str) -> int:
    """Read a count."""
    try:
        count = int(given)
    except ValueError:
        count = 0
    if count < 1:
        raise argparse.ArgumentTypeError(f"wanted a whole number of at least 1, got {given!r}")
    return count


def output_path(given: str) -> Path:
    """Read the name of a file to write; its folder must be there now, not after a long run."""
    path = Path(given)
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"wanted a file in an existing folder, got {given!r}")
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"wanted a file, got the folder {given!r}")
    return path


def plot_path(given: str) -> Path:
    """Read the name of a picture to write."""
    path = output_path(given)
    if path.suffix not in _PICTURES:
        raise argparse.ArgumentTypeError(f"wanted a file that ends in {', '.join(_PICTURES)}, got {given!r}")
    return path


def add_store(parser: argparse.ArgumentParser) -> None:
    """Add STORE, a store that is there."""
    parser.add_argument("store", metavar="STORE", type=Path, help="folder of the store")


def add_ids(parser: argparse.ArgumentParser, about: str) -> None:
    """Add ID …, the memories that are meant."""
    parser.add_argument("ids", metavar="ID", type=int, nargs="+", help=about)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add ``--json OUT``."""
    parser.add_argument("--json", metavar="OUT", type=output_path, help="also write the result to this file, as JSON")


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add what every evaluation takes: ``--json``, ``--seed``, ``--threads``, ``--limit``."""
    add_json(parser)
    parser.add_argument(
        "--seed", metavar="N", type=int, default=0, help="where something is drawn by chance (default: 0)"
    )
    parser.add_argument(
        "--threads", metavar="N", type=at_least_one, default=1, help="texts to encode at once (default: 1)"
    )
    parser.add_argument("--limit", metavar="N", type=at_least_one, help="a quick look: the first N items only")


def write_json(path: Path, task: str, **parts: Any) -> None:  # noqa: ANN401 - handed on to make_result
    """Write a result file; the parts are those of `evaluate.make_result`."""
    from hmem_fast.evaluate.result import make_result, write_result  # noqa: PLC0415 - needed only where asked for

    result: Mapping[str, Any] = make_result(task, **parts)
    try:
        write_result(path, result)
    except OSError as error:
        raise InvalidValueError(
            f"--json: wanted a file that can be written; {path}: {error.strerror or error}"
        ) from error
