"""Durable writes a second, beside plain SQLite."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import numpy as np

from benches.store.data import DIM, items, text, vectors
from hmem_fast import Memory


def plain(folder: Path, rows: np.ndarray, batch: int) -> float:
    """What anybody would write first: one table, a transaction a batch, write-ahead log, everything synced."""
    with closing(sqlite3.connect(folder / "plain.sqlite3", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE memories (id INTEGER PRIMARY KEY, text TEXT, metadata TEXT, vector BLOB)")
        started = time.perf_counter()
        for start in range(0, len(rows), batch):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT INTO memories (text, metadata, vector) VALUES (?, ?, ?)",
                [
                    (text(i), json.dumps({"n": i}), rows[i].tobytes())
                    for i in range(start, min(len(rows), start + batch))
                ],
            )
            connection.execute("COMMIT")
        seconds = time.perf_counter() - started
        assert connection.execute("SELECT count(*) FROM memories").fetchone() == (len(rows),)
    return seconds


def ours(folder: Path, rows: np.ndarray, batch: int) -> float:
    """`Memory.store` one by one, or `Memory.store_many`, with ready vectors; all of it can be recalled at the end."""
    with Memory.open(folder / "memory", encoder=None, dim=DIM) as memory:
        started = time.perf_counter()
        if batch == 1:
            for i, row in enumerate(rows):
                memory.store(text(i), vector=row, metadata={"n": i})
        else:
            memory.store_many(items(rows))
        seconds = time.perf_counter() - started
        assert len(memory) == len(rows)
        assert memory.recall(rows[-1], k=1)[0].text == text(len(rows) - 1)
    return seconds


def measure(folder: Path, batch: int, n: int, rounds: int) -> list[dict[str, object]]:
    """Alternate the two; give medians of rows a second."""
    rows = vectors(n)
    seconds: dict[str, list[float]] = {"sqlite": [], "hmem_fast": []}
    for _ in range(rounds):
        for name, write in (("sqlite", plain), ("hmem_fast", ours)):
            own = folder / name
            shutil.rmtree(own, ignore_errors=True)
            own.mkdir(parents=True)
            seconds[name].append(write(own, rows, batch))
            shutil.rmtree(own)
    ratios = [a / b for a, b in zip(seconds["sqlite"], seconds["hmem_fast"], strict=True)]
    return [
        {
            "op": f"write by {batch}",
            "implementation": name,
            "memories": n,
            "rows_per_second": n / float(np.median(taken)),
            **({"ratio": float(np.median(ratios))} if name == "hmem_fast" else {}),
        }
        for name, taken in seconds.items()
    ]
