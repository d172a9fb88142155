"""``hmem eval reinforce``: whether memories that were useful together help later questions."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from hmem_fast.cli.argument import add_run_options, write_json
from hmem_fast.cli.terminal import progress, table
from hmem_fast.encode import resolve
from hmem_fast.evaluate.locomo_file import load_locomo
from hmem_fast.evaluate.reinforce import REINFORCE_KS, run_reinforce
from hmem_fast.evaluate.result import DataFile
from hmem_fast.memory import RANKING_VERSION, LinkedPipeline

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--data", metavar="FILE", type=Path, required=True, help="LoCoMo's JSON file, .xz as it is")
    parser.add_argument("--encoder", metavar="E", default="minilm", help="encoder (default: minilm)")
    add_run_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure, print a table, and write what was asked for; ``--limit`` takes the first conversations."""
    started = time.perf_counter()
    every = load_locomo(arguments.data)
    chosen = every if arguments.limit is None else every[: arguments.limit]
    encoder = resolve(arguments.encoder, threads=arguments.threads)
    with progress("conversations") as show:
        scored = run_reinforce(chosen, encoder, seed=arguments.seed, progress=show)
    rows = [streamed.row(seed=arguments.seed, off=scored[0]) for streamed in scored]
    look = "" if arguments.limit is None else ", a quick look"
    _print(rows, f"LoCoMo, the second half of the questions of {len(chosen)} conversations{look}")
    if arguments.json is not None:
        settings = {
            "encoder": arguments.encoder,
            "space_id": encoder.space_id,
            "producer": encoder.producer,
            "ranking_version": RANKING_VERSION,
            "pipeline": asdict(cast("Any", LinkedPipeline())),
            "conversations": [conversation.sample_id for conversation in chosen],
            "seed": arguments.seed,
            "threads": arguments.threads,
        }
        write_json(
            arguments.json,
            "reinforce",
            command=arguments.argv,
            settings=settings if arguments.limit is None else {**settings, "limit": arguments.limit},
            data=[DataFile.of(arguments.data, items=sum(len(c.questions) for c in every))],
            threads=arguments.threads,
            rows=rows,
            seconds=time.perf_counter() - started,
        )
    return 0


def _print(rows: Sequence[Mapping[str, Any]], title: str) -> None:
    table(
        ("links", *(f"R@{k}" for k in REINFORCE_KS), "MRR", "how many", "R@10 gained", "95 %"),
        [
            (
                row["name"],
                *(f"{row['recall'][str(k)]:.3f}" for k in REINFORCE_KS),
                f"{row['mrr']:.3f}",
                f"{row['links']}",
                f"{row['gain']['10']:+.4f}" if "gain" in row else "",
                "{:+.4f} to {:+.4f}".format(*row["gain_ci"]["10"]) if "gain" in row else "",
            )
            for row in rows
        ],
        title=title,
    )
