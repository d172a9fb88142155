"""``hmem eval chains``: whether a Hebbian network leads from memory to memory over several hops."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from typing import Any

from hmem_fast.cli.argument import add_run_options, at_least_one, write_json
from hmem_fast.cli.terminal import progress, table
from hmem_fast.encode import resolve
from hmem_fast.errors import InvalidValueError
from hmem_fast.evaluate.chains import CODES, CUES, LOAD, N_ACTIVE, N_UNITS, POWER, SIZES, run_chains
from hmem_fast.evaluate.data_folder import data_folder
from hmem_fast.evaluate.kept_vectors import kept_vectors
from hmem_fast.evaluate.result import DataFile
from hmem_fast.evaluate.texts import mixed_texts

__all__ = ["configure", "run"]

#: Chains that are followed for each row.
_CHAINS = 1000


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    sizes = ", ".join(f"{size:,}" for size in SIZES)
    parser.add_argument(
        "--memories",
        metavar="N",
        nargs="+",
        type=at_least_one,
        default=SIZES,
        help=f"how many memories there are; a row for each (default: {sizes})",
    )
    parser.add_argument("--hops", metavar="N", type=at_least_one, default=6, help="hops of a chain (default: 6)")
    parser.add_argument("--code", nargs="+", choices=CODES, default=["random"], help="codes (default: random)")
    parser.add_argument(
        "--corrupt",
        metavar="P",
        type=_share,
        default=0.0,
        help="share of a code's active units that is replaced before each hop, 0 to 1 (default: 0)",
    )
    parser.add_argument(
        "--power", metavar="P", type=float, default=POWER, help=f"what overlaps are raised to (default: {POWER:g})"
    )
    parser.add_argument(
        "--theta",
        metavar="N",
        type=at_least_one,
        help="least overlap that counts (default: fitted to chance); --power 1 --theta 1 is a dense linear matrix",
    )
    parser.add_argument(
        "--chains", metavar="N", type=at_least_one, default=_CHAINS, help=f"chains a row (default: {_CHAINS})"
    )
    parser.add_argument("--encoder", metavar="E", default="minilm", help="encoder (default: minilm)")
    add_run_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure, print a table, and write what was asked for."""
    started = time.perf_counter()
    folder = data_folder()
    texts, found = mixed_texts(folder)
    most = max(arguments.memories)
    if most > len(texts):
        raise InvalidValueError(
            f"--memories: wanted at most {len(texts):,}, the distinct texts there are, got {most:,}"
        )
    smallest = int(min(arguments.memories) * LOAD)
    if smallest <= arguments.hops:
        raise InvalidValueError(f"--memories: wanted more than {arguments.hops} in the ring, got {smallest}")
    encoder = resolve(arguments.encoder, threads=arguments.threads)
    chains = arguments.chains if arguments.limit is None else min(arguments.limit, arguments.chains)
    with progress("texts") as show:
        vectors = kept_vectors(encoder, texts[:most], show)
    n_rows = len(arguments.memories) * len(arguments.code) * len(CUES)
    with progress("rows") as show:
        rows = list(
            run_chains(
                texts,
                vectors,
                encoder,
                sizes=arguments.memories,
                codes=arguments.code,
                hops=arguments.hops,
                corrupt=arguments.corrupt,
                power=arguments.power,
                theta=arguments.theta,
                chains=chains,
                seed=arguments.seed,
                progress=lambda done: show(done, n_rows),
            )
        )
    look = "" if arguments.limit is None else ": a quick look"
    power = f"overlaps to the power of {arguments.power:g}"
    theta = "" if arguments.theta is None else f", from {arguments.theta} on"
    _print(rows, f"Chains of {arguments.hops} hops, {chains} a row{look}; {LOAD} links a memory; {power}{theta}")
    if arguments.json is not None:
        settings = {
            "encoder": arguments.encoder,
            "space_id": encoder.space_id,
            "producer": encoder.producer,
            "memories": list(arguments.memories),
            "hops": arguments.hops,
            "code": list(arguments.code),
            "corrupt": arguments.corrupt,
            "power": arguments.power,
            **({} if arguments.theta is None else {"theta": arguments.theta}),
            "chains": chains,
            "links_a_memory": LOAD,
            "n_units": N_UNITS,
            "n_active": N_ACTIVE,
            "seed": arguments.seed,
            "threads": arguments.threads,
        }
        write_json(
            arguments.json,
            "chains",
            command=arguments.argv,
            settings=settings if arguments.limit is None else {**settings, "limit": arguments.limit},
            data=[DataFile.of(folder / name, items=n) for name, n in found.items()],
            threads=arguments.threads,
            rows=rows,
            seconds=time.perf_counter() - started,
        )
    return 0


def _share(given: str) -> float:
    try:
        share = float(given)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"wanted a number from 0 to 1, got {given!r}")
    return share


def _print(rows: Sequence[Mapping[str, Any]], title: str) -> None:
    table(
        ("code", "cue", "memories", "corrupt", "start", "correct", "right at each hop", "cosine at the last", "hop µs"),
        [
            (
                row["code"],
                row["cue"],
                f"{row['memories']:,}",
                f"{row['corrupt']:.2f}",
                f"{row['started']:.3f}",
                f"{row['correct']:.3f}",
                " ".join(f"{share:.2f}" for share in row["by_hop"]),
                f"{row['cosine_by_hop'][-1]:.3f}",
                f"{row['hop_us']['p50']:.0f}",
            )
            for row in rows
        ],
        title=title,
    )
