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


def tables(folder: Path, rows: np.ndarray, batch: int) -> float:
    """The tables and indexes of a store, filled by plain statements: what the layout costs, without a check of ours."""
    with Memory.open(folder / "memory", encoder=None, dim=DIM):
        pass
    with closing(sqlite3.connect(folder / "memory" / "truth.sqlite3", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        started = time.perf_counter()
        for start in range(0, len(rows), batch):
            ids = range(start + 1, min(len(rows), start + batch) + 1)
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT INTO memories (memory_id, text, metadata, checksum) VALUES (?, ?, ?, 0)",
                [(i, text(i - 1), json.dumps({"n": i - 1})) for i in ids],
            )
            connection.executemany(
                "INSERT INTO turns (memory_id, seq, unkeyed, checksum) VALUES (?, 0, 0, 0)", [(i,) for i in ids]
            )
            connection.executemany(
                "INSERT INTO keys (memory_id, kind, vector, checksum) VALUES (?, 'vector', ?, 0)",
                [(i, rows[i - 1].tobytes()) for i in ids],
            )
            connection.executemany(
                "INSERT INTO changes (operation, memory_id, stamp) VALUES ('put', ?, 0)", [(i,) for i in ids]
            )
            connection.execute("COMMIT")
        seconds = time.perf_counter() - started
        assert connection.execute("SELECT count(*) FROM keys").fetchone() == (len(rows),)
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
    """Alternate the three; give medians of rows a second, and of ratios to plain SQLite."""
    rows = vectors(n)
    ways = {"sqlite": plain, "sqlite, the store's tables": tables, "hmem_fast": ours}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, write in ways.items():
            own = folder / name
            shutil.rmtree(own, ignore_errors=True)
            own.mkdir(parents=True)
            seconds[name].append(write(own, rows, batch))
            shutil.rmtree(own)
    ratios = {
        name: float(np.median([a / b for a, b in zip(seconds["sqlite"], taken, strict=True)]))
        for name, taken in seconds.items()
    }
    return [
        {
            "op": f"write by {batch}",
            "implementation": name,
            "memories": n,
            "rows_per_second": n / float(np.median(taken)),
            **({"ratio": ratios[name]} if name != "sqlite" else {}),
        }
        for name, taken in seconds.items()
    ]
