"""The rows as a table; the result object; a dated page."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from benches.encode.texts import data_files
from benches.libraries import versions
from benches.peers.table import aligned
from benches.words.methods import K1, B
from hmem_fast.core import isa
from hmem_fast.evaluate.result import make_result

__all__ = ["as_text", "result_of", "write_record"]

_DISTRIBUTIONS = ("bm25s", "numba", "numpy", "tantivy")
_RECORDS = Path(__file__).resolve().parents[1] / "records"
_HEAD = ("", "p50 µs a query", "p99", "on a CPU", "×", "× on a CPU", "same rows", "build s", "bytes a row")

Row = Mapping[str, Any]


def result_of(rows: Sequence[Row], rounds: int, *, command: Sequence[str], seconds: float) -> dict[str, Any]:
    """Put the result together, as all of the project's measurements are."""
    settings = {
        "rounds": rounds,
        "k1": K1,
        "b": B,
        "isa": isa(),
        "libraries": versions(_DISTRIBUTIONS),
        "ratio": "median over rounds of the time by TextIndex': above 1 is slower",
        "load": round(os.getloadavg()[0], 1),
    }
    return make_result("bench-words", command=command, settings=settings, rows=rows, seconds=seconds, data=data_files())


def as_text(rows: Sequence[Row]) -> str:
    """Format the rows of a size for a terminal."""
    return "\n\n".join(f"{title}\n{aligned(lines)}" for title, lines in _tables(rows))


def write_record(result: Mapping[str, Any], day: date) -> Path:
    """Write the page of that day's run, over an earlier one of the same day."""
    settings, machine = result["settings"], result["machine"]
    compared = ", ".join(f"{name} {version}" for name, version in settings["libraries"].items())
    page = f"""# BM25 by TextIndex and by others, {day.isoformat()}

```sh
{shlex.join(result["command"])}
```

hmem_fast {result["version"]} ({settings["isa"]}), {compared}; {machine["cpu"]}; one thread each,
{result["seconds"]:.0f} seconds in all, load {settings["load"]:.1f}.

Turns made from LoCoMo's, asked by its questions of 5 to 15 words, k = 10, k1 = {settings["k1"]}, b = {settings["b"]};
all have the words of `analyze`. TextIndex is given the text of a query and cuts it within its time, the others are
given its words. bm25s has the same formula: the best scores of each query were compared, and are the same but for
float32's rounding; {_about_numba(settings["libraries"])} tantivy has a formula of its own,
which keeps lengths in one byte; "same rows" is the mean share of TextIndex' ten that another has too.

Alternating rounds of one process, {settings["rounds"]} of them. A ratio is the median over rounds of the time by that
of TextIndex in the same round: above 1 is slower. Other programs take the CPU away, which time on a CPU leaves out.
Time to build is that of cutting words and of the index for TextIndex, of the index alone for the others. Bytes are
those of arrays for bm25s, without its vocabulary, and those of files for tantivy.

"""
    tables = []
    for size in dict.fromkeys(row["memories"] for row in result["rows"]):
        for title, (head, *lines) in _tables([row for row in result["rows"] if row["memories"] == size]):
            rule = ("---", *("---:",) * (len(head) - 1))
            tables.append(f"## {title}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *lines)))
    _RECORDS.mkdir(exist_ok=True)
    path = _RECORDS / f"{day.isoformat()}-words.md"
    path.write_text(page + "\n\n".join(tables) + "\n", encoding="utf-8")
    return path


def _about_numba(libraries: Mapping[str, str]) -> str:
    if "numba" in libraries:
        return "it ran with numba, its fastest setting."
    return "numba, with which it is said to be fastest, was not installed."


def _tables(rows: Sequence[Row]) -> list[tuple[str, list[tuple[str, ...]]]]:
    tables = []
    for op in dict.fromkeys(row["op"] for row in rows):
        of_op = [row for row in rows if row["op"] == op]
        title = f"{of_op[0]['memories']:,} turns, {'one query a call' if op == 'one' else op}"
        tables.append((title, [_HEAD, *(_line(row) for row in of_op)]))
    return tables


def _line(row: Row) -> tuple[str, ...]:
    times = (f"{row[key]:,.1f}" for key in ("p50_us", "p99_us", "cpu_p50_us"))
    ratios = (f"{row[key]:.2f}" for key in ("ratio", "cpu_ratio", "overlap"))
    return (row["implementation"], *times, *ratios, f"{row['build_s']:.2f}", f"{row['bytes_per_row']:,.0f}")
