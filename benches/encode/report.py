"""From the parts to what is kept of them: the result object, and a dated page."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from benches.encode.onnx_int8 import SETTINGS
from benches.encode.table import as_markdown
from benches.encode.texts import data_files
from benches.libraries import versions
from hmem_fast.core import isa
from hmem_fast.encode.manifest import sha256_of
from hmem_fast.evaluate.result import make_result

__all__ = ["over_runs", "result_of", "write_record"]

_DISTRIBUTIONS = ("numpy", "onnxruntime", "tokenizers", "torch", "sentence-transformers", "model2vec")
_RECORDS = Path(__file__).resolve().parents[1] / "records"


def result_of(
    parts: Sequence[Mapping[str, Any]],
    model: Path,
    options: argparse.Namespace,
    *,
    command: Sequence[str],
    seconds: float,
) -> dict[str, Any]:
    """Put the result together, as all of the project's measurements are."""
    about = [{key: part[key] for key in ("part", "began", "load")} for part in parts]
    return make_result(
        "bench-encode",
        command=command,
        settings={
            "rounds": options.rounds,
            "memories": options.memories,
            "model_sha256": sha256_of(model),
            "isa": isa(),
            "onnx_int8": SETTINGS,
            "libraries": versions(_DISTRIBUTIONS),
            "ratio": "median over rounds of the time by the core's: above 1 is slower",
            "parts": about,
        },
        rows=[{"run": number, **row} for number, part in enumerate(parts) for row in part["rows"]],
        seconds=seconds,
        threads=options.threads,
        data=data_files(),
    )


def over_runs(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[int, str], list[float]]:
    """Collect the ratios on a CPU of single texts: (tokens, implementation) -> one a run of the part."""
    found: dict[tuple[int, str], list[float]] = {}
    for row in rows:
        if row["op"] == "encode one":
            found.setdefault((row["tokens"], row["implementation"]), []).append(row["cpu_ratio"])
    return found


def write_record(result: Mapping[str, Any], day: date) -> Path:
    """Write the page of that day's run, over an earlier one of the same day."""
    settings, machine = result["settings"], result["machine"]
    compared = ", ".join(f"{name} {version}" for name, version in settings["libraries"].items())
    parts = [
        {**about, "rows": [row for row in result["rows"] if row["run"] == number]}
        for number, about in enumerate(settings["parts"])
    ]
    page = f"""# Encoding by the core and by others, {day.isoformat()}

```sh
{shlex.join(result["command"])}
```

hmem_fast {result["version"]} ({settings["isa"]}), {compared}; {machine["cpu"]}, {", ".join(machine["features"])};
{machine["threads"]} thread(s) each, {result["seconds"]:.0f} seconds in all. all-MiniLM-L6-v2 everywhere; core's model
{settings["model_sha256"][:16]}.

ONNX Runtime's INT8 is `quantize_dynamic` of the same float32 graph: {_settings(settings["onnx_int8"])}; it and float32
run one text at a time, unpadded, by one thread that does not spin. The static encoder has a vector for each token, no
context, and another space; it is here for its speed.

Everything from text to vector, tokenizing included, in alternating rounds of one process; {settings["rounds"]} of
them. A ratio is the median over rounds of the time by that of the core in the same round: above 1 is slower. Before
texts are timed, the answers to all of them are compared with float32 (those of the static one with its definition).
The load is that of the last minute, before and after: other programs take the CPU away, which time on a CPU leaves out.

{_spread(result["rows"])}
"""
    page += "\n\n".join(as_markdown(part) for part in parts) + "\n"
    _RECORDS.mkdir(exist_ok=True)
    path = _RECORDS / f"{day.isoformat()}-encode.md"
    path.write_text(page, encoding="utf-8")
    return path


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in settings.items())


def _spread(rows: Sequence[Mapping[str, Any]]) -> str:
    """Say what several runs of `speed` gave; nothing where there was one."""
    ratios = over_runs(rows)
    if not ratios or len(next(iter(ratios.values()))) < 2:
        return ""
    lengths = list(dict.fromkeys(length for length, _ in ratios))
    lines = ["Time on a CPU by the core's, median and range of the runs of `speed`:\n"]
    lines += ["| | " + " | ".join(f"{length} tokens" for length in lengths) + " |", "|---" * (len(lengths) + 1) + "|"]
    for name in dict.fromkeys(name for _, name in ratios):
        cells = []
        for length in lengths:
            values = ratios[length, name]
            cells.append(f"{np.median(values):.2f} ({min(values):.2f} to {max(values):.2f})")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
