"""``hmem export-encoder``: make an encoder folder that needs no torch."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from hmem_fast.cli.argument import add_json, write_json
from hmem_fast.cli.terminal import note
from hmem_fast.data_file import open_data
from hmem_fast.encode import (
    ExportReport,
    compare_with_sentence_transformers,
    export_native,
    export_onnx,
)
from hmem_fast.errors import InvalidValueError

__all__ = ["configure", "run"]


class _Format(NamedTuple):
    """One kind of export: how it is made, and in which precision."""

    export: Callable[..., ExportReport]
    precision: str
    calibrates: bool


_FORMATS = {
    "onnx": _Format(export_onnx, "f32", calibrates=False),
    "native": _Format(export_native, "int8", calibrates=True),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "--model",
        metavar="NAME|DIR",
        required=True,
        help="minilm, the folder of a sentence-transformers model, or a hub name (hub:organisation/model)",
    )
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder to make")
    parser.add_argument(
        "--format",
        choices=tuple(_FORMATS),
        default="onnx",
        help="for ONNX Runtime, or for hmem_fast's own core (default: onnx)",
    )
    parser.add_argument(
        "--precision",
        choices=tuple(form.precision for form in _FORMATS.values()),
        help="of the weights: f32 for onnx, int8 for native (default: the one that the format has)",
    )
    parser.add_argument(
        "--calibrate",
        metavar="FILE",
        type=Path,
        help="round int8 weights so that these texts, one a line, change least; some hundred lines (.xz is unpacked)",
    )
    parser.add_argument("--replace", action="store_true", help="replace another export that is there already")
    parser.add_argument(
        "--compare",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="measure the difference to sentence-transformers, where that is installed (default: yes)",
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Export, print what was made, and how far it is from sentence-transformers."""
    started = time.perf_counter()
    form = _FORMATS[arguments.format]
    report = form.export(arguments.model, arguments.out, replace=arguments.replace, **_options(arguments, form))
    row: dict[str, Any] = {**asdict(report), "folder": str(report.folder)}
    if not arguments.compare:
        note("not compared with sentence-transformers")
    elif find_spec("sentence_transformers") is None:
        note("not compared with sentence-transformers, which is not installed")
    else:
        row |= asdict(compare_with_sentence_transformers(report.folder, arguments.model))
    for name, value in row.items():
        print(f"{name:<18} {value:.9g}" if isinstance(value, float) else f"{name:<18} {value}")
    note(f"use it: --encoder {report.folder}")
    if arguments.json is not None:
        settings: dict[str, Any] = {name: getattr(arguments, name) for name in ("model", "format", "compare")}
        settings["precision"] = form.precision
        settings["calibrate"] = None if arguments.calibrate is None else str(arguments.calibrate)
        seconds = time.perf_counter() - started
        write_json(
            arguments.json, "export-encoder", command=arguments.argv, settings=settings, rows=[row], seconds=seconds
        )
    return 0


def _options(arguments: argparse.Namespace, form: _Format) -> dict[str, Any]:
    """Give what the export takes besides, or say what does not go together."""
    if arguments.precision not in {None, form.precision}:
        raise InvalidValueError(
            f"--precision: --format {arguments.format} has {form.precision}, got {arguments.precision}"
        )
    if arguments.calibrate is None:
        return {"precision": form.precision}
    if not form.calibrates:
        raise InvalidValueError(f"--calibrate: only --format native rounds weights, got --format {arguments.format}")
    return {"precision": form.precision, "calibrate": list(_lines(arguments.calibrate))}


def _lines(path: Path) -> Iterator[str]:
    """Read texts, one a line; empty lines are passed over."""
    with open_data(path, wanted="a file of texts, one a line", argument="--calibrate") as file:
        for number, line in enumerate(file, start=1):
            try:
                text = line.decode("utf-8").strip()
            except UnicodeDecodeError as error:
                raise InvalidValueError(f"--calibrate: wanted UTF-8; {path}, line {number}: {error}") from error
            if text:
                yield text
