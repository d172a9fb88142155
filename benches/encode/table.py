"""The rows of a part as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benches.peers.table import aligned

__all__ = ["as_markdown", "as_text"]

Row = Mapping[str, Any]
Line = tuple[str, ...]


def as_text(part: Row) -> str:
    """Format a part for a terminal."""
    tables = [f"{title}\n{aligned(lines)}" for title, lines in _tables(part)]
    return "\n\n".join([_heading(part), *tables])


def as_markdown(part: Row) -> str:
    """Format a part as Markdown."""
    tables = []
    for title, (head, *lines) in _tables(part):
        rule = ("---", *("---:",) * (len(head) - 1))
        tables.append(f"{title}\n\n" + "\n".join("| " + " | ".join(line) + " |" for line in (head, rule, *lines)))
    return "\n\n".join([f"## {_heading(part)}", *tables])


def _heading(part: Row) -> str:
    before, after = part["load"]
    return f"{part['part']}, {part['began']} UTC, load {before:.1f} to {after:.1f}"


def _tables(part: Row) -> list[tuple[str, list[Line]]]:
    made = {"speed": _speed, "fidelity": _fidelity, "start": _start, "recall": _recall}
    return made[part["part"]](part["rows"])


def _speed(rows: Sequence[Row]) -> list[tuple[str, list[Line]]]:
    ones = [row for row in rows if row["op"] == "encode one"]
    lengths = list(dict.fromkeys(row["tokens"] for row in ones))
    by_length: list[Line] = [("", *(f"{length} tokens" for length in lengths))]
    for name in dict.fromkeys(row["implementation"] for row in ones):
        of_name = {row["tokens"]: row for row in ones if row["implementation"] == name}
        by_length.append((name, *(_time_and_ratios(of_name[length]) for length in lengths)))
    tables = [("One text a call: ms, times the core's (in brackets: of time on a CPU)", by_length)]
    for threads in dict.fromkeys(row["threads"] for row in rows if row["op"] == "encode many"):
        many = [row for row in rows if row["op"] == "encode many" and row["threads"] == threads]
        lines: list[Line] = [("", "texts a second", "× time", "× time on a CPU")]
        lines += [
            (row["implementation"], f"{row['texts_per_s']:,.0f}", _ratio(row["ratio"]), _ratio(row["cpu_ratio"]))
            for row in many
        ]
        tables.append((f"{many[0]['texts']:,} turns, {threads} thread(s)", lines))
    return tables


def _fidelity(rows: Sequence[Row]) -> list[tuple[str, list[Line]]]:
    tables = []
    close = [row for row in rows if row["op"] == "cosine to float32"]
    for name in dict.fromkeys(row["set"] for row in close):
        of_set = [row for row in close if row["set"] == name]
        lines: list[Line] = [("cosine to float32", "mean", "p1", "min", "top 10, queries int8", "both int8")]
        lines += [
            (row["implementation"], *(f"{row[key]:.5f}" for key in ("mean", "p1", "min")),
             *(f"{row[key]:.3f}" for key in ("overlap_queries", "overlap_both")))
            for row in of_set
        ]  # fmt: skip
        tables.append((f"{name} ({of_set[0]['texts']:,} texts, {of_set[0]['queries']} queries)", lines))
    batched = [row for row in rows if row["op"] != "cosine to float32"]
    lines = [("", "largest difference", "lowest cosine", "same bits")]
    lines += [
        (row["implementation"], f"{row['largest_difference']:.1e}", f"{row['lowest_cosine']:.6f}",
         "yes" if row["same_bits"] else "no")
        for row in batched
    ]  # fmt: skip
    tables.append((f"{batched[0]['op']} ({batched[0]['texts']} texts)", lines))
    return tables


def _start(rows: Sequence[Row]) -> list[tuple[str, list[Line]]]:
    lines: list[Line] = [("", "ms", "ms on a CPU", "peak MB", "resident MB", "Pss MB", "anonymous MB")]
    lines += [
        (row["implementation"], f"{row['ms']:,.0f}", f"{row['cpu_ms']:,.0f}",
         *(f"{row[key]:,.1f}" for key in ("peak_mb", "rss_mb", "pss_mb", "anonymous_mb")))
        for row in rows
    ]  # fmt: skip
    return [("From the start of a process to the first vector", lines)]


def _recall(rows: Sequence[Row]) -> list[tuple[str, list[Line]]]:
    whole, parts = ([row for row in rows if row["op"] == op] for op in ("recall", "part of a recall"))
    calls: list[Line] = [("encoder", "p10 ms", "p50 ms", "p99 ms", "p50 on a CPU", "×")]
    calls += [
        (
            row["implementation"],
            *(f"{row[key]:.2f}" for key in ("p10_ms", "p50_ms", "p99_ms", "cpu_p50_ms")),
            _ratio(row["ratio"]),
        )
        for row in whole
    ]
    shares: list[Line] = [("part, with the core's encoder", "p10 ms", "p50 ms", "p99 ms")]
    shares += [(row["part"], *(f"{row[key]:.3f}" for key in ("p10_ms", "p50_ms", "p99_ms"))) for row in parts]
    about = f"{whole[0]['memories']:,} memories, {whole[0]['keys']:,} keys; {whole[0]['questions']} questions"
    return [(about, calls), ("Where the time goes", shares)]


def _time_and_ratios(row: Row) -> str:
    return f"{row['p50_ms']:.2f} {_ratio(row['ratio'])} ({_ratio(row['cpu_ratio'])})"


def _ratio(value: float) -> str:
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
