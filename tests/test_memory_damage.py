"""What a disk can do to a store: cut it, flip its bits, be full. Whatever it is, it is told, or it does no harm."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import warnings

import pytest

from hmem_fast.encode import HashingEncoder
from hmem_fast.errors import HmemError
from hmem_fast.memory import Memory

ENCODER = HashingEncoder(16)

#: Damages a file; more of them in a long run.
TRIES = int(os.environ.get("HMEM_DAMAGES", "150"))


def open_memory(path, mode="r"):
    return Memory.open(path, encoder=ENCODER, mode=mode)


def everything(memory):
    """What a user can see of a memory."""
    hits = [[(hit.id, hit.score, hit.text) for hit in memory.recall(q, k=50)] for q in ("bees", "Ann at 3", "roof?")]
    return [record.to_item() for record in memory], hits


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "store"
    with open_memory(path, "w") as memory:
        memory.store_many(
            {
                "text": f"Bees at {i}. On the roof?",
                "speaker": ("Ann", "Ben")[i % 2],
                "session": "s",
                "time": 1e9 + i,
                "metadata": {"n": i},
                "external_id": f"x{i}",
                "cues": ["who has bees"],
            }
            for i in range(12)
        )
        memory.forget(3)
        memory.flush()
    with open_memory(path) as memory:
        return path, everything(memory)


def files_of(whole):
    return sorted(file.name for file in whole[0].iterdir() if file.stat().st_size > 100)


def check(path, expected, what):
    """Either it says what is wrong, or it answers as if nothing were; or `verify` finds it.

    SQLite keeps no checksum of the order in its own pages, so that a row may go missing unseen until somebody looks.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a snapshot that is not used
        try:
            with open_memory(path) as memory:
                found = everything(memory)
                if found != expected:
                    assert not memory.verify().ok, f"{what} was not noticed"
                    return "found"
        except HmemError:
            return "told"
    return "harmless"


def damaged(whole, tmp_path, name, raw):
    path = tmp_path / "store"
    if not path.exists():
        shutil.copytree(whole[0], path)
    for file in path.iterdir():  # what opening has left behind
        if not (whole[0] / file.name).exists():
            file.unlink()
    (path / name).write_bytes(raw)
    return path


@pytest.mark.parametrize("kind", ["truth", "snapshot", "vectors"])
def test_a_flipped_bit_is_told_or_harmless(whole, tmp_path, kind):
    for name in (name for name in files_of(whole) if name.startswith(kind)):
        raw = (whole[0] / name).read_bytes()
        places = random.Random(0)
        for _ in range(TRIES):
            place, bit = places.randrange(len(raw)), 1 << places.randrange(8)
            flipped = raw[:place] + bytes([raw[place] ^ bit]) + raw[place + 1 :]
            check(damaged(whole, tmp_path, name, flipped), whole[1], f"bit {bit} of byte {place} of {name}")
        damaged(whole, tmp_path, name, raw)


@pytest.mark.parametrize("kind", ["truth", "snapshot", "vectors"])
def test_a_file_that_was_cut_is_told_or_harmless(whole, tmp_path, kind):
    for name in (name for name in files_of(whole) if name.startswith(kind)):
        raw = (whole[0] / name).read_bytes()
        places = random.Random(1)
        ends = {0, 1, len(raw) - 1, *(places.randrange(len(raw)) for _ in range(TRIES))}
        for end in sorted(ends):
            check(damaged(whole, tmp_path, name, raw[:end]), whole[1], f"{name} cut to {end} bytes")
        damaged(whole, tmp_path, name, raw)


def test_a_whole_store_is_not_called_damaged(whole, tmp_path):
    name = files_of(whole)[0]
    assert check(damaged(whole, tmp_path, name, (whole[0] / name).read_bytes()), whole[1], "nothing") == "harmless"


FULL_DISK = """
import json, resource, signal, sys, warnings
from hmem_fast.encode import HashingEncoder
from hmem_fast.errors import StoreIOError
from hmem_fast.memory import Memory

warnings.simplefilter("ignore")  # of snapshots that could not be written
path, limit = sys.argv[1], int(sys.argv[2])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then a write past the limit fails, as on a full disk
ids, refused = [], 0
memory = Memory.open(path, encoder=HashingEncoder(16))
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
for i in range(40):
    try:
        ids += [[memory.store(f"number {i}"), f"number {i}"]]
        if i % 5 == 4:
            memory.flush()
        if i % 13 == 12:
            gone, _ = ids[-1]
            memory.purge(gone)
            del ids[-1]
    except StoreIOError:
        refused += 1
        if i % 13 == 12 and ids and ids[-1][0] not in memory:
            del ids[-1]  # deleted, and not wiped out yet
held = sorted([record.id, record.text] for record in memory)
assert held == sorted(ids), (held, ids)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
ids += [[memory.store("there is room again"), "there is room again"]]
memory.flush()
memory.close()
print(json.dumps([ids, refused]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no limit of file sizes")
def test_a_full_disk_at_any_write_loses_nothing(tmp_path):
    refused = []
    for limit in [0, 1000, 4096, 10_000, 20_000, 40_000, 70_000, 100_000, 150_000, 300_000, 1_000_000]:
        path = tmp_path / str(limit)
        run = subprocess.run(
            [sys.executable, "-c", FULL_DISK, str(path), str(limit)], capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, f"limit {limit}: {run.stderr}"
        ids, n = json.loads(run.stdout)
        refused.append(n)
        with open_memory(path) as memory:
            assert sorted([record.id, record.text] for record in memory) == sorted(ids)
            assert memory.verify().ok
        assert not [file for file in path.iterdir() if file.name.endswith((".tmp", ".part"))]
    assert refused[0] > 0 == refused[-1], refused
