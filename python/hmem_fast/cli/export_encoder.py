"""``hmem export-encoder``: make an encoder folder that needs no torch."""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hmem_fast.cli.argument import add_json, write_json
from hmem_fast.cli.terminal import note
from hmem_fast.encode import compare_with_sentence_transformers, export_onnx

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "--model",
        metavar="NAME|DIR",
        required=True,
        help="minilm, the folder of a sentence-transformers model, or a hub name (hub:organisation/model)",
    )
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder to make")
    parser.add_argument("--format", choices=("onnx",), default="onnx", help="what to make (default: onnx)")
    parser.add_argument("--precision", choices=("f32",), default="f32", help="of the weights (default: f32)")
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
    report = export_onnx(arguments.model, arguments.out, precision=arguments.precision, replace=arguments.replace)
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
        settings = {name: getattr(arguments, name) for name in ("model", "format", "precision", "compare")}
        seconds = time.perf_counter() - started
        write_json(
            arguments.json, "export-encoder", command=arguments.argv, settings=settings, rows=[row], seconds=seconds
        )
    return 0
