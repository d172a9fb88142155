"""What tests of a memory's files share."""

from __future__ import annotations

import shutil
import subprocess
import sys

from hmem_fast.encode import HashingEncoder
from hmem_fast.memory import Memory

ENCODER = HashingEncoder(64)
QUESTIONS = ["What did Ann say of bees?", "number 7", "the roof of Ben"]


def open_memory(path, mode="w"):
    return Memory.open(path, encoder=ENCODER, mode=mode, durability="none")


def items(n, first=0):
    return [
        {
            "text": f"Number {i} has bees. And {i % 7} on the roof?",
            "speaker": ("Ann", "Ben", None)[i % 3],
            "session": ("s", "t", None)[i % 5 % 3],
        }
        for i in range(first, first + n)
    ]


def answers(memory):
    return [
        [(hit.id, hit.score) for hit in memory.recall(question, k=50, pipeline=pipeline)]
        for question in QUESTIONS
        for pipeline in ("default", "bm25", "nearest")
    ]


def files(path, prefix=""):
    return {
        file.name: file.read_bytes()
        for file in path.iterdir()
        if file.name.startswith((prefix,) if prefix else ("snapshot-", "vectors-"))
    }


def without_snapshots(path):
    for name in files(path):
        (path / name).unlink()
    return path


def rebuilt(path, tmp_path):
    """What a memory answers that knows the truth alone."""
    copy = tmp_path / "copy"
    shutil.copytree(path, copy)
    with open_memory(without_snapshots(copy), "r") as memory:
        found = answers(memory)
    shutil.rmtree(copy)
    return found


class InAProcess:
    """A reader in another process, which has the memory open and answers when it is asked."""

    SCRIPT = """
import sys
from hmem_fast.encode import HashingEncoder
from hmem_fast.memory import Memory
memory = Memory.open(sys.argv[1], encoder=HashingEncoder(64), mode="r")
print("open", flush=True)
for line in sys.stdin:
    print(len(memory.recall("bees", k=1000, pipeline="bm25")), "found", flush=True)
"""

    def __init__(self, path):
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.SCRIPT, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout.readline() == "open\n"

    def __enter__(self):
        return self.process

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()
