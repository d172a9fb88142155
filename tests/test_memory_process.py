"""Several processes and one store: one writer, readers that follow, and writers that are killed."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import Counter

import pytest

from hmem_fast.errors import StoreLockedError
from hmem_fast.memory import Memory

WRITER = """
import sys
from hmem_fast.memory import Memory
memory = Memory.open(sys.argv[1], encoder="hashing")
print("open", flush=True)
"""

ONE_BY_ONE = (
    WRITER
    + """
number = len(memory)
while True:
    print(memory.store(f"note {number} about bees. Why?", speaker="Ann", session="s"), flush=True)
    number += 1
"""
)

IN_BATCHES = (
    WRITER
    + """
batch = 0
while True:
    items = [{"text": f"note {i} about bees", "metadata": {"batch": f"{sys.argv[2]}-{batch}"}} for i in range(50)]
    for memory_id in memory.store_many(items):
        print(memory_id)
    sys.stdout.flush()
    if batch % 3 == 2:
        print("forgetting", memory_id, flush=True)
        memory.forget(memory_id)
        print("forgot", memory_id, flush=True)
    batch += 1
"""
)


def start(code, *arguments):
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert process.stdout.readline() == "open\n"
    return process


@pytest.fixture
def store(tmp_path):
    return tmp_path / "m.hmem"


def test_a_second_writer_is_refused_with_the_owners_process_id(store):
    process = start(WRITER + "import time; time.sleep(60)", store)
    try:
        with pytest.raises(StoreLockedError, match=f"process {process.pid} is the writer"):
            Memory.open(store, encoder="hashing")
    finally:
        process.kill()
        process.communicate()
    Memory.open(store).close()


def test_a_reader_in_another_process_sees_what_was_committed(store):
    code = """
import sys, json
from hmem_fast.memory import Memory
memory = Memory.open(sys.argv[1], mode="r")
print("open", flush=True)
for query in sys.stdin:
    print(json.dumps([hit.text for hit in memory.recall(query)]), flush=True)
"""
    with Memory.open(store, encoder="hashing") as writer:
        process = subprocess.Popen(
            [sys.executable, "-c", code, store], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        assert process.stdout.readline() == "open\n"

        def ask(query):
            process.stdin.write(query + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        assert ask("bees") == []
        memory_id = writer.store("My sister keeps bees.")
        assert ask("bees") == ["My sister keeps bees."]
        writer.update(memory_id, text="My sister sold her bees.")
        assert ask("bees") == ["My sister sold her bees."]
        writer.forget(memory_id)
        assert ask("bees") == []
        process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("code", [ONE_BY_ONE, IN_BATCHES], ids=["one by one", "in batches"])
def test_a_killed_writer_loses_nothing_that_it_acknowledged(store, code):
    """Ten kills each: every id that was printed is there, batches are whole, and answers are those of a rebuild."""
    random.seed(0)
    stored, forgetting, forgotten = set(), set(), set()
    for life in range(10):
        process = start(code, store, life)
        time.sleep(random.uniform(0.01, 0.25))
        process.kill()
        printed, _ = process.communicate()
        for line in printed.splitlines(keepends=True):
            if not line.endswith("\n"):
                break  # cut off, so not acknowledged
            *what, memory_id = line.split()
            {"": stored, "forgetting": forgetting, "forgot": forgotten}["".join(what)].add(int(memory_id))

        with Memory.open(store) as memory:
            records = list(memory)
            held = {record.id for record in records}
            assert stored - forgetting <= held
            assert not forgotten & held
            assert {hit.id for hit in memory.recall("bees", k=len(held) or 1, pipeline="bm25")} == held
            if code is IN_BATCHES:
                sizes = Counter(record.metadata["batch"] for record in records)
                assert set(sizes.values()) <= {49, 50}, "a batch is there as a whole; at most one of it was forgotten"
    assert stored
