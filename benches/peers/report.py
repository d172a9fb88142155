"""From a comparison to what is kept of it: the result object, and a dated page."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from benches.libraries import versions
from benches.peers.compare import Comparison, Plan
from benches.peers.floors import FLOORS
from benches.peers.methods import BASELINE, TUNED
from benches.peers.methods.graphs import EF_BUILD, LINKS
from benches.peers.table import as_markdown
from hmem_fast.core import isa
from hmem_fast.evaluate.result import DataFile, make_result

__all__ = ["TASK", "result_of", "write_record"]

TASK = "bench-dense"
_RECORDS = Path(__file__).resolve().parents[1] / "records"
_DISTRIBUTIONS = ("numpy", "torch", "faiss-cpu", "hnswlib", "usearch", "scikit-learn")


def result_of(
    comparison: Comparison, plan: Plan, *, command: Sequence[str], seconds: float, data: Sequence[DataFile]
) -> dict[str, Any]:
    """Put the result together, as all of the project's measurements are."""
    settings = {
        "metric": "inner product of unit rows",
        "baseline": BASELINE,
        "ratio": f"p50_us divided by that of {BASELINE!r} in the same op: below 1 is faster",
        "ratio_tuned": f"the same to {TUNED!r}, which uses BLAS from 20 queries in a call",
        "cpu_p50_us": "as p50_us, in CPU time of the process: without what other programs on the machine took",
        "noise": "slowest minus fastest round's median, divided by p50_us",
        "recall": "fraction of the float64 scan's k best, ties forgiven",
        "rounds": plan.rounds,
        "queries": plan.queries,
        "batch": plan.batch,
        "k": plan.k,
        "threads": plan.threads,
        "isa": isa(),
        "graphs": f"M={LINKS}, efConstruction={EF_BUILD}",
        "floors": FLOORS,
        "libraries": versions(_DISTRIBUTIONS),
        **_builds(),
    }
    return make_result(
        TASK,
        command=command,
        settings=settings,
        rows=comparison.rows,
        seconds=seconds,
        threads=plan.threads,
        data=data,
        missing=comparison.missing,
        wrong=comparison.wrong,
    )


def write_record(result: Mapping[str, Any], day: date) -> Path:
    """Write the page of that day's run, over an earlier one of the same day and data."""
    settings = result["settings"]
    compared = ", ".join(f"{name} {version}" for name, version in settings["libraries"].items())
    machine = result["machine"]
    page = f"""# Dense search beside other libraries, {day.isoformat()}

```sh
{shlex.join(result["command"])}
```

hmem_fast {result["version"]} ({settings["isa"]}), {compared}; {machine["cpu"]}, {", ".join(machine["features"])};
{settings["threads"]} thread(s) each, one process, {settings["rounds"]} alternating rounds,
{result["seconds"]:.0f} seconds in all.

Medians over all calls of all rounds. "×flat" is the time divided by that of {settings["baseline"]}: below 1 is
faster. "×tuned" is the same to {TUNED}, which uses BLAS from 20 queries in a call. "±" is what lies between
the slowest and the fastest round; "on cpu" is the median without the time in which another program had the CPU.
Recall is that of the float64 scan's best {settings["k"]}, ties forgiven. A batch is {settings["batch"]} queries in
one call. Graphs: {settings["graphs"]}.

{as_markdown(result["rows"], result["missing"])}
"""
    _RECORDS.mkdir(exist_ok=True)
    sets = "-".join(dict.fromkeys(row["set"] for row in result["rows"]))
    path = _RECORDS / f"{day.isoformat()}-dense-{sets}.md"
    path.write_text(page, encoding="utf-8")
    return path


def _builds() -> dict[str, Any]:
    """How the libraries were compiled, where they tell."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    told = {"numpy_blas": f"{blas['name']} {blas['version']}"}
    try:
        import faiss
    except ImportError:
        return told
    return told | {
        "faiss_compiled": faiss.get_compile_options().strip(),
        "faiss_blas_threshold": int(faiss.cvar.distance_compute_blas_threshold),
    }
