"""``hmem eval locomo``: which turns of a long conversation are found by a question about it."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hmem_fast.cli.argument import add_run_options, plot_path, write_json
from hmem_fast.cli.terminal import note, progress, table
from hmem_fast.encode import resolve
from hmem_fast.errors import InvalidValueError
from hmem_fast.evaluate.locomo import METHODS, SESSION_KS, TIMED_K, TURN_KS, find_methods, first_questions, run_locomo
from hmem_fast.evaluate.locomo_file import CATEGORIES, Conversation, load_locomo
from hmem_fast.evaluate.locomo_plot import check_plot, plot_locomo
from hmem_fast.evaluate.result import DataFile
from hmem_fast.memory import RANKING_VERSION
from hmem_fast.types import Encoder

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--data", metavar="FILE", type=Path, required=True, help="LoCoMo's JSON file, .xz as it is")
    parser.add_argument(
        "--pipeline",
        metavar="P",
        nargs="+",
        action="extend",
        help="rows to make (default: all): " + "; ".join(f"{method.name}: {method.about}" for method in METHODS),
    )
    parser.add_argument("--encoder", metavar="E", default="minilm", help="encoder (default: minilm)")
    parser.add_argument(
        "--conversations", metavar="ID", nargs="+", action="extend", help="only these conversations, by sample_id"
    )
    parser.add_argument(
        "--captions",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether captions of images are part of the turns' text (default: they are)",
    )
    add_run_options(parser)
    parser.add_argument("--plot", metavar="OUT.png", type=plot_path, help="also draw R@10 by method and category")


def run(arguments: argparse.Namespace) -> int:
    """Measure, print two tables, and write what was asked for."""
    started = time.perf_counter()
    methods = find_methods(arguments.pipeline)
    if arguments.plot is not None:
        check_plot()
    every = load_locomo(arguments.data, captions=arguments.captions)
    chosen = _chosen(every, arguments.conversations)
    pairs = first_questions(chosen, arguments.limit)
    encoder = resolve(arguments.encoder, threads=arguments.threads)
    with progress("LoCoMo") as show:
        scored = run_locomo(chosen, encoder, methods=methods, limit=arguments.limit, progress=show)
    rows = [result.row() for result in scored]
    used = [conversation.sample_id for conversation, _ in pairs]
    title = _title(rows, used, sum(len(c.questions) for c in chosen), arguments)
    _print(rows, title)
    _tell_dropped(chosen)
    if arguments.json is not None:
        write_json(
            arguments.json,
            "locomo",
            command=arguments.argv,
            settings=_settings(arguments, encoder, used, {method.name: method.settings() for method in methods}),
            data=[DataFile.of(arguments.data, items=sum(len(c.questions) for c in every))],
            threads=arguments.threads,
            rows=rows,
            seconds=time.perf_counter() - started,
        )
    if arguments.plot is not None:
        plot_locomo(rows, arguments.plot, title=title)
        note(f"drew {arguments.plot}")
    return 0


def _chosen(conversations: Sequence[Conversation], wanted: Sequence[str] | None) -> list[Conversation]:
    if wanted is None:
        return list(conversations)
    known = [conversation.sample_id for conversation in conversations]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise InvalidValueError(f"--conversations: wanted some of {', '.join(known)}, got {unknown[0]!r}")
    return [conversation for conversation in conversations if conversation.sample_id in wanted]


def _settings(
    arguments: argparse.Namespace, encoder: Encoder, used: Sequence[str], methods: Mapping[str, Any]
) -> dict[str, Any]:
    settings = {
        "encoder": arguments.encoder,
        "space_id": encoder.space_id,
        "producer": encoder.producer,
        "ranking_version": RANKING_VERSION,
        "pipelines": dict(methods),
        "conversations": list(used),
        "captions": arguments.captions,
        "seed": arguments.seed,
        "threads": arguments.threads,
        "timed_k": TIMED_K,
    }
    return settings if arguments.limit is None else {**settings, "limit": arguments.limit}


def _title(rows: Sequence[Mapping[str, Any]], used: Sequence[str], asked: int, arguments: argparse.Namespace) -> str:
    questions = f"{rows[0]['questions']} questions"
    if arguments.limit is not None and rows[0]["questions"] < asked:
        questions = f"the first {questions} of {asked}: a quick look"
    return f"LoCoMo by turn, {questions}, {', '.join(used)}; encoder {arguments.encoder}"


def _print(rows: Sequence[Mapping[str, Any]], title: str) -> None:
    table(
        (
            "method",
            *(f"R@{k}" for k in TURN_KS),
            "MRR",
            *(f"hit@{k}" for k in TURN_KS[1:3]),
            "all@10",
            *(f"session@{k}" for k in SESSION_KS),
            "ms p50",
            "p99",
        ),
        [
            (
                row["name"],
                *(_rate(row["recall"][str(k)]) for k in TURN_KS),
                _rate(row["mrr"]),
                *(_rate(row["hit"][str(k)]) for k in TURN_KS[1:3]),
                _rate(row["recall_all"]["10"]),
                *(_rate(row["session_hit"][str(k)]) for k in SESSION_KS),
                f"{row['recall_ms']['p50']:.2f}",
                f"{row['recall_ms']['p99']:.2f}",
            )
            for row in rows
        ],
        title=title,
    )
    print()
    asked = {category: values["questions"] for category, values in rows[0]["by_category"].items()}
    table(
        ("R@10 by category", *(f"{CATEGORIES.get(int(c), c)} ({n})" for c, n in asked.items())),
        [(row["name"], *(_rate(row["by_category"][c]["recall"]["10"]) for c in asked)) for row in rows],
    )


def _tell_dropped(conversations: Sequence[Conversation]) -> None:
    questions = sum(conversation.dropped_questions for conversation in conversations)
    evidence = sum(conversation.dropped_evidence for conversation in conversations)
    if questions or evidence:
        note(f"left out: {questions} questions without evidence, {evidence} evidence ids that name no turn")


def _rate(value: float) -> str:
    return f"{value:.3f}"
