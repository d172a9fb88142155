"""From rows to what is read: lines, and a dated page."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

__all__ = ["as_text", "write_record"]

_RECORDS = Path(__file__).resolve().parents[1] / "records"

Row = Mapping[str, Any]


def as_text(row: Row) -> str:
    """One row on one line."""
    return "  ".join(f"{name}={_short(value)}" for name, value in row.items())


def write_record(result: Mapping[str, Any], day: date) -> Path:
    """Write the page of that day's run, over an earlier one of the same day."""
    machine, rows, settings = result["machine"], result["rows"], result["settings"]
    before, after = settings["load"]
    timed = [row for row in rows if row["op"] != "chain"]
    chains = [row for row in rows if row["op"] == "chain"]
    speed = _table(
        timed, ("op", "implementation", "memories", "p50_us", "cpu_p50_us", "ratio", "bytes_per_association")
    )
    right = _table(chains, ("memories", "links", "corrupt", "chains", "correct"))
    page = f"""# Separator, index codes and associator, {day.isoformat()}

```sh
{shlex.join(result["command"])}
```

hmem_fast {result["version"]} ({settings["isa"]}); {machine["cpu"]}, one thread,
{result["seconds"]:.0f} seconds, load {before} to {after}. Codes are 50 of 16,384 units, rows 384 numbers. Medians over
all calls of {settings["rounds"]} alternating rounds (a third of them for learning); times of a call that does several
things are divided by their number. `ratio`: {settings["ratio"]}.

{speed}

## Chains

Index codes, six hops, .8 links a memory; `corrupt` is the share of a code's units that are replaced before each hop,
`correct` the share of chains that were right, unit for unit, at every hop.

{right}
"""
    _RECORDS.mkdir(exist_ok=True)
    path = _RECORDS / f"{day.isoformat()}-associative.md"
    path.write_text(page, encoding="utf-8")
    return path


def _table(rows: Sequence[Row], names: Sequence[str]) -> str:
    lines = [names, ["---"] * len(names), *([_short(row.get(name, "")) for name in names] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
