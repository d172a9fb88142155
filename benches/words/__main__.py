"""BM25 by TextIndex beside bm25s and tantivy, over turns of dialogue.

    python -m benches.words                     # 20,000 and 100,000 turns: two minutes
    python -m benches.words --sizes 1000 --record

The turns are made from LoCoMo's (`turns.py` says how), the queries are its questions of 5 to 15 words; k = 10, one
thread. TextIndex and bm25s have the same formula and words, so the command fails if their best scores differ by more
than float32's rounding; tantivy has its own formula, which keeps lengths in one byte.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from datetime import UTC, datetime
from typing import Any

# Libraries read these once, when they are imported; so nothing that computes is imported above `main`.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benches.words", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", nargs="+", type=_positive, default=[20_000, 100_000], help="turns")
    parser.add_argument("--rounds", type=_positive, default=20, help="alternating rounds of 100 queries")
    parser.add_argument("--json", metavar="OUT", help="write the result object there")
    parser.add_argument("--record", action="store_true", help="write benches/records/DATE-words.md")
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"wanted at least 1, got {value}")
    return value


def main(arguments: list[str]) -> int:
    """Measure each size and print a table for it."""
    options = _options(arguments)
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    from benches.encode.texts import missing_files

    if missing := missing_files():
        print(f"wanted {missing[0]}; point HMEM_DATA at the data folder", file=sys.stderr)
        return 2
    from benches.words.measure import measure
    from benches.words.report import as_text, result_of, write_record
    from hmem_fast.evaluate.result import write_result

    started = time.perf_counter()
    rows: list[dict[str, Any]] = []
    for size in options.sizes:
        of_size = list(measure(size, options.rounds))
        rows += of_size
        print(f"\n{as_text(of_size)}", flush=True)
    command = ["python", "-m", "benches.words", "--sizes", *map(str, options.sizes), "--rounds", str(options.rounds)]
    result = result_of(rows, options.rounds, command=command, seconds=time.perf_counter() - started)
    if options.json:
        write_result(options.json, result)
    if options.record:
        print(f"wrote {write_record(result, datetime.now(UTC).date()).name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
