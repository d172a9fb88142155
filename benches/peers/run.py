"""The benchmark's run: sets and sizes one after another, then the table, the files, and the verdict."""

from __future__ import annotations

import argparse
import sys
import time
from datetime import UTC, datetime

from benches.peers.compare import Comparison, Plan, compare
from benches.peers.data_sets import SETS, real_files
from benches.peers.methods import all_methods
from benches.peers.report import result_of, write_record
from benches.peers.table import as_text
from hmem_fast.evaluate.data_folder import data_folder
from hmem_fast.evaluate.result import write_result
from hmem_fast.evaluate.texts import text_files

__all__ = ["run"]


def run(options: argparse.Namespace, command: list[str]) -> int:
    """Run what was asked. 1 if a method that promises the float64 scan's answers gave another, else 0."""
    names = [method.name for method in all_methods(options.threads)]
    if unknown := [name for name in options.only if name not in names]:
        print(f"--only: wanted names of {', '.join(names)}; got {', '.join(unknown)}", file=sys.stderr)
        return 2
    if "real" in options.sets and (lacking := [name for name in text_files() if not (data_folder() / name).is_file()]):
        print(
            f"--sets real: wanted {lacking[0]} in {data_folder()}; point HMEM_DATA at the data folder", file=sys.stderr
        )
        return 2
    plan = Plan(options.k, options.rounds, options.queries, options.batch, options.threads, tuple(options.only))
    start = time.perf_counter()
    total = Comparison()
    for name in options.sets:
        done: set[int] = set()
        for size in options.sizes:
            data = SETS[name](size)
            if len(data.rows) in done:
                continue
            if len(data.rows) < size:
                print(f"{name}: has {len(data.rows):,} rows, not {size:,}: all of them are used")
            done.add(len(data.rows))
            part = compare(data, plan)
            print(f"\n{as_text(part.rows, part.missing)}\n", flush=True)
            total.rows += part.rows
            total.missing += part.missing
            total.wrong += part.wrong
    files = real_files() if "real" in options.sets else []
    seconds = time.perf_counter() - start
    result = result_of(total, plan, command=command, seconds=seconds, data=files)
    if options.json:
        write_result(options.json, result)
    if options.record:
        print(f"wrote {write_record(result, datetime.now(UTC).date()).name}")
    for line in total.wrong:
        print(f"WRONG: {line}", file=sys.stderr)
    return 1 if total.wrong else 0
