"""What tests of the durable truth share."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from hmem_fast.store import NewKey, connection

#: Formats that older versions wrote, and what they answered.
GOLDEN = Path(__file__).resolve().parent / "golden"

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def a_key(seed=0, dim=3, kind="cue", text="a cue"):
    return NewKey(kind, text, np.random.default_rng(seed).standard_normal(dim).astype("<f4").tobytes(), "test")


def add(store, text, keys=None, **fields):
    with store.transaction() as transaction:
        memory_id = transaction.insert_memory(text, **fields)
        transaction.insert_keys(memory_id, [a_key()] if keys is None else keys)
    return memory_id


def delete(store, *memory_ids):
    with store.transaction() as transaction:
        for memory_id in memory_ids:
            transaction.delete_memory(memory_id)


def edit(folder, *statements):
    """Change the file behind the library's back."""
    with closing(sqlite3.connect(folder / "truth.sqlite3", isolation_level=None)) as file:
        for statement in statements:
            file.execute(*((statement,) if isinstance(statement, str) else statement))


def ask(folder, query):
    """Read the file behind the library's back."""
    with closing(sqlite3.connect(folder / "truth.sqlite3", isolation_level=None)) as file:
        return file.execute(query).fetchall()


def tables(folder):
    """Every table and index, as it was declared."""
    rows = ask(folder, "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master")
    return sorted((kind, name, table, " ".join(sql.split())) for kind, name, table, sql in rows)


def in_child(act):
    """Do something in a forked process; gives its exit code, negative for a signal. An exception is code 1."""
    child = os.fork()
    if child == 0:
        try:
            act()
        except BaseException as error:  # noqa: BLE001 - nothing may escape into a second pytest
            sys.stderr.write(f"child: {error!r}\n")
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def die_at_statement(n):
    """Kill this process when SQLite is about to run its statement number `n` on a connection that opens from now on."""
    left = [n]

    def connect(uri, plain=connection._connect):
        made = plain(uri)

        def count(_):
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1

        made.set_trace_callback(count)
        return made

    connection._connect = connect
