"""Separator, index codes and associator beside dense numpy; and chains of associations.

    python -m benches.associative                        # about two minutes, 2.2 GB of memory for the dense matrices
    python -m benches.associative --record               # also writes benches/records/DATE-associative.md

Codes are 50 of 16,384 units, rows 384 numbers at random, one thread. All calls are whole Python calls. Every answer
that is timed is checked.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from datetime import UTC, datetime
from itertools import chain

# Libraries read these once, when they are imported; so nothing that computes is imported above `main`.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def main(arguments: list[str]) -> None:
    """Measure, print a row for each figure."""
    parser = argparse.ArgumentParser(prog="python -m benches.associative")
    parser.add_argument("--sizes", nargs="*", type=int, default=[20_000, 100_000], help="associations, for speed")
    parser.add_argument("--chains", nargs="*", type=int, default=[20_000, 60_000, 100_000], help="memories, for chains")
    parser.add_argument("--rounds", type=int, default=9, help="alternating rounds")
    parser.add_argument("--json", metavar="OUT", help="write the result object there")
    parser.add_argument("--record", action="store_true", help="write benches/records/DATE-associative.md")
    options = parser.parse_args(arguments)
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    from benches.associative import chains, speed
    from benches.associative.report import as_text, write_record
    from hmem_fast.core import isa
    from hmem_fast.evaluate.result import make_result, write_result

    started, load, rows = time.perf_counter(), os.getloadavg()[0], []
    for row in chain(speed.measure(options.sizes, options.rounds), chains.measure(options.chains)):
        rows.append(row)
        print(as_text(row), flush=True)
    told = [f"--rounds={options.rounds}", "--sizes", *map(str, options.sizes), "--chains", *map(str, options.chains)]
    result = make_result(
        "bench-associative",
        command=["python", "-m", "benches.associative", *told],
        settings={
            "isa": isa(),
            "ratio": "median over rounds of the time on a CPU of numpy's way by ours: above 1, ours is faster",
            "rounds": options.rounds,
            "load": [round(load, 1), round(os.getloadavg()[0], 1)],
        },
        rows=rows,
        seconds=time.perf_counter() - started,
    )
    if options.json:
        write_result(options.json, result)
    if options.record:
        print(f"wrote {write_record(result, datetime.now(UTC).date()).name}")


if __name__ == "__main__":
    main(sys.argv[1:])
