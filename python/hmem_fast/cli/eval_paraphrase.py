"""``hmem eval paraphrase``: memories under several cues, asked in words that nobody stored."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hmem_fast.cli.argument import add_run_options, at_least_one, write_json
from hmem_fast.cli.terminal import progress, table
from hmem_fast.encode import resolve
from hmem_fast.evaluate.clinc_file import CLINC, load_clinc
from hmem_fast.evaluate.data_folder import data_file
from hmem_fast.evaluate.paraphrase import BETAS, CUES, READOUTS, run_paraphrase
from hmem_fast.evaluate.result import DataFile

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "--data", metavar="FILE", type=Path, help=f"clinc150's JSON file, .xz as it is (default: {CLINC} in HMEM_DATA)"
    )
    parser.add_argument(
        "--cues", metavar="N", nargs="+", type=at_least_one, default=list(CUES), help="cues of each memory"
    )
    parser.add_argument("--encoder", metavar="E", default="minilm", help="encoder (default: minilm)")
    add_run_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure, print a table, and write what was asked for."""
    started = time.perf_counter()
    path = data_file(CLINC) if arguments.data is None else arguments.data
    clinc = load_clinc(path)
    encoder = resolve(arguments.encoder, threads=arguments.threads)
    with progress("paraphrase") as show:
        rows = run_paraphrase(
            clinc, encoder, cues=arguments.cues, seed=arguments.seed, limit=arguments.limit, progress=show
        )
    _print(rows, arguments)
    if arguments.json is not None:
        settings = {
            "encoder": arguments.encoder,
            "space_id": encoder.space_id,
            "producer": encoder.producer,
            "cues": arguments.cues,
            "betas": list(BETAS),
            "beta_chosen_on": "val",
            "reported_on": "test",
            "seed": arguments.seed,
            "threads": arguments.threads,
        }
        write_json(
            arguments.json,
            "paraphrase",
            command=arguments.argv,
            settings=settings if arguments.limit is None else {**settings, "limit": arguments.limit},
            data=[DataFile.of(path, items=len(clinc.train) + len(clinc.val) + len(clinc.test))],
            threads=arguments.threads,
            rows=rows,
            seconds=time.perf_counter() - started,
        )
    return 0


def _print(rows: Sequence[Mapping[str, Any]], arguments: argparse.Namespace) -> None:
    columns: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        columns.setdefault(f"1 to {row['cues']}" if row["uneven"] else str(row["cues"]), {})[row["readout"]] = row
    quick = "" if arguments.limit is None else ": a quick look"
    table(
        ("right memory first", *(f"{cues} cues" for cues in columns)),
        [(readout, *(_cell(found[readout]) for found in columns.values())) for readout in READOUTS],
        title=f"clinc150, {rows[0]['questions']} questions of the test part{quick}; encoder {arguments.encoder}",
    )
    print()
    for cues, found in columns.items():
        row = found["energy"]
        low, high = row["minus_max_ci"]
        print(f"energy less max, {cues} cues: {row['minus_max']:+.4f} [{low:+.4f}, {high:+.4f}]")


def _cell(row: Mapping[str, Any]) -> str:
    low, high = row["top1_ci"]
    beta = f" (beta {row['beta']:g})" if "beta" in row else ""
    return f"{row['top1']:.3f} [{low:.3f}, {high:.3f}]{beta}"
