"""``hmem recall``: find what was meant."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from hmem_fast.cli.argument import add_json, at_least_one, text, write_json
from hmem_fast.cli.item_file import parse_time
from hmem_fast.cli.reason import print_reasons
from hmem_fast.cli.terminal import note, one_line
from hmem_fast.errors import InvalidValueError
from hmem_fast.memory import PIPELINES, Explanation, Hit, HitExplanation, Memory, Recall

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("store", metavar="STORE", type=Path, help="folder of the store")
    parser.add_argument("query", metavar="QUERY", type=text, help="a question, a noisy copy, a related text")
    parser.add_argument("-k", metavar="N", type=at_least_one, default=5, help="hits wanted (default: 5)")
    parser.add_argument(
        "--where",
        metavar="NAME=VALUE",
        type=text,
        action="append",
        default=[],
        help="only memories with this speaker, session or metadata; a name given twice means either; metadata is "
        'read as JSON where it is some (2024 is a number, "2024" in quotes a text); time=START..END, either side may '
        "be left out, takes ISO times with a zone or seconds",
    )
    parser.add_argument(
        "--pipeline", metavar="P", choices=tuple(PIPELINES), default="default", help=", ".join(PIPELINES)
    )
    parser.add_argument("--explain", action="store_true", help="say why each hit was found")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the hits, best first; no hit is no failure."""
    started = time.perf_counter()
    where = _where(arguments.where)
    with Memory.open(arguments.store, mode="r") as memory:
        recall = memory.recall(
            arguments.query, arguments.k, where=where, explain=arguments.explain, pipeline=arguments.pipeline
        )
    _print(recall)
    if arguments.json is not None:
        settings = {
            "store": str(arguments.store),
            "query": arguments.query,
            "k": arguments.k,
            "pipeline": arguments.pipeline,
            "where": arguments.where,
            "ranking_version": recall.ranking_version,
        }
        explanation = {} if recall.explanation is None else {"explanation": _explanation(recall.explanation)}
        write_json(
            arguments.json,
            "recall",
            command=arguments.argv,
            settings=settings,
            rows=_rows(recall),
            seconds=time.perf_counter() - started,
            **explanation,
        )
    return 0


def _print(recall: Recall) -> None:
    if not recall:
        note("nothing was found")
    reasons = {reason.id: reason for reason in recall.explanation.hits} if recall.explanation else {}
    if recall.explanation is not None:
        asked = recall.explanation
        if asked.encoded is not None and asked.encoded != asked.query:
            print(f"encoded as: {one_line(asked.encoded)}")
        if asked.named:
            print(f"names:      {', '.join(asked.named)}")
        if asked.words:
            print(f"words:      {' '.join(asked.words)}")
        spent = ", ".join(f"{step} {value:.2f}" for step, value in asked.milliseconds.items())
        print(f"ranked:     {asked.candidates} memories by {asked.pipeline}; ms: {spent}")
    for rank, hit in enumerate(recall, 1):
        about = ", ".join(
            part for part in (hit.speaker, hit.session, hit.time and hit.time.isoformat(timespec="minutes")) if part
        )
        print(f"{rank}. [{hit.id}] {hit.score:.3f}  {one_line(hit.text)}" + (f"  ({one_line(about)})" if about else ""))
        if hit.id in reasons:
            print_reasons(reasons[hit.id])


def _where(conditions: list[str]) -> dict[str, Any] | None:
    where: dict[str, Any] = {}
    for condition in conditions:
        name, equals, value = condition.partition("=")
        if not equals or not name:
            raise InvalidValueError(f"--where: wanted NAME=VALUE, got {condition!r}")
        if name == "time":
            if name in where:
                raise InvalidValueError(f"--where: wanted one time=START..END, got a second one, {condition!r}")
            where[name] = _time_range(value)
        else:
            where.setdefault(name, []).append(value if name in {"speaker", "session"} else _json_or_text(value))
    return where or None


def _time_range(value: str) -> tuple[Any, Any]:
    start, dots, end = value.partition("..")
    if not dots:
        raise InvalidValueError(f"--where: time: wanted START..END, got {value!r}")
    try:
        return (parse_time(start) if start else None, parse_time(end) if end else None)
    except InvalidValueError as error:
        raise InvalidValueError(f"--where: {error}") from None


def _json_or_text(value: str) -> str | int | float | bool:
    try:
        read = json.loads(value)
    except ValueError:
        return value
    return read if isinstance(read, str | int | float) else value


def _rows(recall: Recall) -> list[dict[str, Any]]:
    reasons = {reason.id: _reason(reason) for reason in recall.explanation.hits} if recall.explanation else {}
    return [
        {"rank": rank, **_hit(hit), **({"explanation": reasons[hit.id]} if hit.id in reasons else {})}
        for rank, hit in enumerate(recall, 1)
    ]


def _hit(hit: Hit) -> dict[str, Any]:
    fields = {
        "id": hit.id,
        "text": hit.text,
        "score": hit.score,
        "speaker": hit.speaker,
        "session": hit.session,
        "time": None if hit.time is None else hit.time.isoformat(),
        "metadata": dict(hit.metadata),
        "external_id": hit.external_id,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _reason(reason: HitExplanation) -> dict[str, Any]:
    keys = [
        {"kind": key.kind, "score": key.score, **({} if key.text is None else {"text": key.text})}
        for key in reason.keys
    ]
    return {"parts": dict(reason.parts), "keys": keys, "words": dict(reason.words)}


def _explanation(explanation: Explanation) -> dict[str, Any]:
    told = {
        "encoded": explanation.encoded,
        "named": list(explanation.named),
        "words": list(explanation.words),
        "weights": dict(explanation.weights),
        "milliseconds": dict(explanation.milliseconds),
        "candidates": explanation.candidates,
    }
    return {name: value for name, value in told.items() if value is not None}
