"""The core's encoder beside ONNX Runtime's, sentence-transformers' and a static one; and a recall with it.

    python -m benches.encode                                            # all parts: five to seven minutes
    python -m benches.encode --parts speed start speed fidelity speed   # in this order: speed at three moments

Parts: `speed` (one text of 12 to 128 tokens; a thousand turns), `fidelity` (cosines to float32, top 10, batches),
`start` (a process to its first vector), `recall` (by text, among 20,000 memories, and where the time goes). All are
about all-MiniLM-L6-v2 on texts of HMEM_DATA; what takes long to make is kept in HMEM_CACHE.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PARTS = ("speed", "fidelity", "start", "recall")

# Libraries read these once, when they are imported; so nothing that computes is imported above `main`.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benches.encode", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="in this order; may repeat")
    parser.add_argument("--threads", type=_positive, default=1, help="of each implementation, for speed")
    parser.add_argument("--rounds", type=_positive, default=20, help="alternating rounds, for speed")
    parser.add_argument("--memories", type=_positive, default=20_000, help="for recall")
    parser.add_argument("--model", type=Path, metavar="PATH", help="the core's model (default: exported, once)")
    parser.add_argument("--json", metavar="OUT", help="write the result object there")
    parser.add_argument("--record", action="store_true", help="write benches/records/DATE-encode.md")
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"wanted at least 1, got {value}")
    return value


def main(arguments: list[str]) -> int:
    """Run the parts and print a table for each."""
    options = _options(arguments)
    os.environ.update(dict.fromkeys(_THREADS, str(options.threads)))
    from benches.encode.texts import missing_files

    if missing := missing_files():
        print(f"wanted {missing[0]}; point HMEM_DATA at the data folder", file=sys.stderr)
        return 2
    from benches.encode.implementations import native_model
    from benches.encode.report import result_of, write_record
    from benches.encode.table import as_text
    from hmem_fast.evaluate.result import write_result

    started = time.perf_counter()
    model = native_model(options.model)
    parts = []
    for name in options.parts:
        began, load = datetime.now(UTC), os.getloadavg()[0]
        rows = list(_measured(name, model, options))
        about = {"part": name, "began": f"{began:%H:%M}", "load": [round(load, 1), round(os.getloadavg()[0], 1)]}
        parts.append(about | {"rows": rows})
        print(f"\n{as_text(parts[-1])}", flush=True)
    told = ["--parts", *options.parts]
    for name in ("threads", "rounds", "memories"):
        told += [f"--{name}", str(getattr(options, name))]
    command = ["python", "-m", "benches.encode", *told]
    result = result_of(parts, model, options, command=command, seconds=time.perf_counter() - started)
    if options.json:
        write_result(options.json, result)
    if options.record:
        print(f"wrote {write_record(result, datetime.now(UTC).date()).name}")
    return 0


def _measured(name: str, model: Path, options: argparse.Namespace) -> Iterable[dict[str, Any]]:
    from benches.encode import fidelity, recall, speed, start

    parts: dict[str, Callable[[], Iterable[dict[str, Any]]]] = {
        "speed": lambda: speed.measure(model, options.threads, options.rounds),
        "fidelity": lambda: fidelity.measure(model),
        "start": lambda: start.measure(model),
        "recall": lambda: recall.measure(model, options.memories),
    }
    return parts[name]()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
