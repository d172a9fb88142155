"""Result rows as text: one table for each set and size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["aligned", "as_markdown", "as_text", "floor_line", "sections"]

_OP = ("×flat", "×tuned", "±", "on cpu", "recall")
HEAD = ("implementation", "one query", *_OP, "of a batch", *_OP, "build", "bytes/row")

Row = Mapping[str, Any]


def sections(rows: Sequence[Row]) -> Iterable[tuple[str, int, list[Row]]]:
    """Split the rows by set and size, in the order in which they come."""
    for name, memories in dict.fromkeys((row["set"], row["memories"]) for row in rows):
        yield name, memories, [row for row in rows if (row["set"], row["memories"]) == (name, memories)]


def lines_of(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """One line for each implementation: one query in a call on the left, a batch on the right."""
    ops = {(row["implementation"], row["op"]): row for row in rows if row["op"] != "floor"}
    lines = []
    for name in dict.fromkeys(name for name, _ in ops):
        one, batch = ops.get((name, "search"), {}), ops.get((name, "search-batch"), {})
        lines.append((name, *_measured(one), *_measured(batch), *_built(one)))
    return lines


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; the first to the left, all others to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def floor_line(rows: Sequence[Row]) -> str:
    """What the machine could do while the methods ran, in one line."""
    parts = []
    for row in rows:
        if row["op"] == "floor":
            rate = f"{row['gflop_per_s']:.0f} GFLOP/s" if "gflop_per_s" in row else f"{row['gb_per_s']:.1f} GB/s"
            parts.append(f"{row['implementation']} {rate}")
    return "one core: " + ", ".join(parts)


def as_text(rows: Sequence[Row], missing: Sequence[Row]) -> str:
    """Format everything for a terminal."""
    parts = []
    for name, memories, of_set in sections(rows):
        parts.append(f"{_title(name, memories, of_set)}\n{aligned([HEAD, *lines_of(of_set)])}\n{floor_line(of_set)}")
    parts += [
        f"missing from {row['set']} {row['memories']:,}: {row['implementation']}: {row['reason']}" for row in missing
    ]
    return "\n\n".join(parts)


def as_markdown(rows: Sequence[Row], missing: Sequence[Row]) -> str:
    """Format everything as Markdown."""
    parts = []
    for name, memories, of_set in sections(rows):
        lines = [HEAD, ("---", *("---:",) * (len(HEAD) - 1)), *lines_of(of_set)]
        table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        parts.append(f"## {_title(name, memories, of_set)}\n\n{table}\n\n{floor_line(of_set)}")
    if missing:
        parts.append(
            "\n".join(
                f"* {row['set']} {row['memories']:,} without {row['implementation']}: {row['reason']}"
                for row in missing
            )
        )
    return "\n\n".join(parts)


def _title(name: str, memories: int, rows: Sequence[Row]) -> str:
    judged = [row for row in rows if "gap_at_k" in row]
    gap = f", median gap behind rank {judged[0]['k']}: {judged[0]['gap_at_k']:.1e}" if judged else ""
    return f"{name}, {memories:,} rows of {rows[0]['width']}{gap} (µs for each query)"


def _measured(row: Row) -> tuple[str, ...]:
    if not row:
        return ("",) * (len(_OP) + 1)
    ratio = f"{row['ratio']:.2f}" if "ratio" in row else ""
    tuned = f"{row['ratio_tuned']:.2f}" if "ratio_tuned" in row else ""
    noise = f"{row['noise']:.0%}" if "noise" in row else ""
    found = f"{row['recall']:.4f}" if "recall" in row else ""
    cpu = _microseconds(row["cpu_p50_us"]) if "cpu_p50_us" in row else ""
    return _microseconds(row["p50_us"]), ratio, tuned, noise, cpu, found


def _built(row: Row) -> tuple[str, ...]:
    if "build_s" not in row:
        return ("", "")
    return f"{row['build_s']:.1f} s", f"{row['bytes_per_row']:,.0f}"


def _microseconds(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
