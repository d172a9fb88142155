"""``hmem eval multihop``: are the passages found that a question needs together."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hmem_fast.cli.argument import add_run_options, write_json
from hmem_fast.cli.terminal import note, progress, table
from hmem_fast.encode import resolve
from hmem_fast.evaluate.multihop import MULTIHOP_KS, multihop_methods, run_multihop
from hmem_fast.evaluate.multihop_file import load_corpus, load_multihop
from hmem_fast.evaluate.result import DataFile
from hmem_fast.memory import RANKING_VERSION

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "--questions", metavar="FILE", type=Path, required=True, help="MuSiQue's or HotpotQA's JSON, .xz as it is"
    )
    parser.add_argument(
        "--corpus", metavar="FILE", type=Path, required=True, help="passages, a JSON list of {title, text}"
    )
    parser.add_argument("--encoder", metavar="E", default="minilm", help="encoder (default: minilm)")
    parser.add_argument(
        "--half", type=int, choices=(1, 2), help="every other question, from the first or from the second one on"
    )
    add_run_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure, print a table, and write what was asked for."""
    started = time.perf_counter()
    corpus = load_corpus(arguments.corpus)
    every, dropped = load_multihop(arguments.questions, corpus)
    half = every if arguments.half is None else every[arguments.half - 1 :: 2]
    questions = half[: arguments.limit]
    encoder = resolve(arguments.encoder, threads=arguments.threads)
    with progress("multihop") as show:
        scored = run_multihop(questions, corpus, encoder, seed=arguments.seed, progress=show)
    nearest = next(result for result in scored if result.name == "nearest")
    rows = [result.row(seed=arguments.seed, nearest=nearest) for result in scored]
    asked = f"{len(questions)} questions"
    if len(questions) < len(half):
        asked = f"the first {asked} of {len(half)}: a quick look"
    _print(rows, f"Multi-hop, {asked}, {len(corpus)} passages; encoder {arguments.encoder}")
    if dropped:
        note(f"left out: {dropped} questions of which not all supporting passages are in the corpus")
    if arguments.json is not None:
        settings = {
            "encoder": arguments.encoder,
            "space_id": encoder.space_id,
            "producer": encoder.producer,
            "ranking_version": RANKING_VERSION,
            "pipelines": {method.name: method.settings() for method in multihop_methods(arguments.seed)},
            "dropped_questions": dropped,
            "seed": arguments.seed,
            "threads": arguments.threads,
        }
        chosen = {"half": arguments.half, "limit": arguments.limit}
        write_json(
            arguments.json,
            "multihop",
            command=arguments.argv,
            settings={**settings, **{name: value for name, value in chosen.items() if value is not None}},
            data=[
                DataFile.of(arguments.questions, items=len(every) + dropped),
                DataFile.of(arguments.corpus, items=len(corpus)),
            ],
            threads=arguments.threads,
            rows=rows,
            seconds=time.perf_counter() - started,
        )
    return 0


def _print(rows: Sequence[Mapping[str, Any]], title: str) -> None:
    table(
        ("method", *(f"R@{k} (95 %)" for k in MULTIHOP_KS), "R@5 over nearest", "ms p50", "p99"),
        [
            (
                row["name"],
                *(_with_interval(row["recall"][str(k)], row["recall_ci"][str(k)]) for k in MULTIHOP_KS),
                _with_interval(row["gain_over_nearest"]["5"], row["gain_over_nearest_ci"]["5"], sign="+")
                if "gain_over_nearest" in row
                else "",
                f"{row['recall_ms']['p50']:.2f}",
                f"{row['recall_ms']['p99']:.2f}",
            )
            for row in rows
        ],
        title=title,
    )


def _with_interval(value: float, interval: Sequence[float], sign: str = "") -> str:
    low, high = interval
    return f"{value:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"
