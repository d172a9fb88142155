"""``python -m benches.peers``, from the root of the repository."""

from __future__ import annotations

import argparse
import os
import sys

_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"wanted at least 1, got {value}")
    return value


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benches.peers", description="Dense search beside other libraries.")
    parser.add_argument("--sets", nargs="+", choices=["real", "clustered", "mix"], default=["real"])
    parser.add_argument("--sizes", nargs="+", type=_positive, default=[20_000, 100_000])
    parser.add_argument("--k", type=_positive, default=20)
    parser.add_argument("--rounds", type=_positive, default=7)
    parser.add_argument("--queries", type=_positive, default=100, help="calls with one query, a round and method")
    parser.add_argument("--batch", type=_positive, default=256, help="queries of the call with many")
    parser.add_argument("--threads", type=_positive, default=1, help="for each library")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these methods, whatever the size")
    parser.add_argument("--json", metavar="OUT", help="write the result object there")
    parser.add_argument("--record", action="store_true", help="write benches/records/DATE-dense-SETS.md")
    return parser.parse_args(arguments)


def _main(arguments: list[str]) -> int:
    options = _options(arguments)
    # Libraries read these once, when they are imported; so nothing that computes is imported above.
    os.environ.update(dict.fromkeys(_THREADS, str(options.threads)))
    from benches.peers.run import run

    # Where the files went is no part of what was measured.
    told = ["--sets", *options.sets, "--sizes", *map(str, options.sizes)]
    for name in ("k", "rounds", "queries", "batch", "threads"):
        told += [f"--{name}", str(getattr(options, name))]
    told += ["--only", *options.only] if options.only else []
    return run(options, ["python", "-m", "benches.peers", *told])


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
