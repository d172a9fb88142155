"""``hmem eval completion``: stored patterns come back with noise on them; which methods find the right one."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from hmem_fast.cli.argument import add_run_options, at_least_one, write_json
from hmem_fast.cli.terminal import note, progress, table
from hmem_fast.encode import resolve
from hmem_fast.errors import InvalidValueError
from hmem_fast.evaluate.completion import BETAS, MEMORIES, NOISE, clustered_patterns, run_completion
from hmem_fast.evaluate.dialogue_texts import read_dialogue_texts

__all__ = ["configure", "run"]

_K, _STEPS, _CUES = 20, 3, 500


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "--memories", metavar="N", nargs="+", type=at_least_one, default=list(MEMORIES), help="patterns that are stored"
    )
    parser.add_argument(
        "--noise",
        metavar="X",
        nargs="+",
        type=_not_negative,
        default=list(NOISE),
        help="length of the noise, as a multiple of the pattern's",
    )
    parser.add_argument(
        "--beta", metavar="B", nargs="+", type=_above_zero, default=list(BETAS), help="inverse temperatures of settling"
    )
    parser.add_argument("--encoder", metavar="E", default="minilm", help="encoder (default: minilm)")
    add_run_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure, print a table a set, and write what was asked for."""
    started = time.perf_counter()
    most = max(arguments.memories)
    texts, files = read_dialogue_texts()
    if len(texts) < most:
        raise InvalidValueError(f"--memories: wanted at most {len(texts)}, one for each text in HMEM_DATA, got {most}")
    encoder = resolve(arguments.encoder, threads=arguments.threads)
    note(f"encoding {most} of {len(texts)} texts")
    patterns = {
        "real": encoder.encode(texts[:most]),
        "clustered": clustered_patterns(most, encoder.dim, seed=arguments.seed),
    }
    settings = {
        "memories": arguments.memories,
        "noise": arguments.noise,
        "betas": arguments.beta,
        "k": _K,
        "steps": _STEPS,
        "n_cues": _CUES if arguments.limit is None else min(_CUES, arguments.limit),
        "seed": arguments.seed,
    }
    with progress("completion") as show:
        rows = run_completion(patterns, **settings, progress=show)
    for name in patterns:
        _print([row for row in rows if row["set"] == name], arguments.noise)
        print()
    if arguments.json is not None:
        named = {
            **settings,
            "encoder": arguments.encoder,
            "space_id": encoder.space_id,
            "producer": encoder.producer,
            "threads": arguments.threads,
        }
        write_json(
            arguments.json,
            "completion",
            command=arguments.argv,
            settings=named if arguments.limit is None else {**named, "limit": arguments.limit},
            data=files,
            threads=arguments.threads,
            rows=rows,
            seconds=time.perf_counter() - started,
        )
    return 0


def _print(rows: Sequence[Mapping[str, Any]], noise: Sequence[float]) -> None:
    lines: dict[tuple[str, int], list[str]] = {}
    for row in rows:
        beta = f", beta {row['beta']:g}" if "beta" in row else ""
        lines.setdefault((f"{row['name']}{beta}", row["memories"]), []).append(f"{row['correct']:.3f}")
    cosines = {row["noise"]: row["cosine"] for row in rows}
    table(
        ("right pattern", "memories", *(f"noise {level:g} (cos {cosines[level]:.2f})" for level in noise)),
        [(name, str(size), *cells) for (name, size), cells in lines.items()],
        title=f"{rows[0]['set']} patterns, {rows[0]['cues']} cues",
    )


def _number(given: str) -> float:
    try:
        return float(given)
    except ValueError:
        return math.nan


def _not_negative(given: str) -> float:
    number = _number(given)
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"wanted a number of at least 0, got {given!r}")
    return number


def _above_zero(given: str) -> float:
    number = _number(given)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"wanted a number above 0, got {given!r}")
    return number
