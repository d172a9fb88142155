"""Kill a writer again and again, and look at what is left.

    python tests/crash.py --kills 200 --seed 0

Children store, change, forget, purge, write snapshots, close and open again, with a journal of what they begin and
what was acknowledged; each is killed after a random time. Then the store must hold what was acknowledged, and of the
one call that was not, all or nothing; its index must equal a fresh one; and nothing that was purged may be found in
any file.
Prints one JSON object; exit status 1 where something was lost.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import hmem_fast.memory.saver as saver
from hmem_fast.encode import HashingEncoder
from hmem_fast.errors import SnapshotWarning, StoreNotFoundError
from hmem_fast.memory import Memory

#: No child lives longer; most of what one does takes a few milliseconds.
LONGEST_LIFE_SECONDS = 0.12

#: Memories at which some are forgotten: what is looked at after each kill must not grow.
_MANY = 200

_OPERATIONS = ("store", "store_many", "store_many", "update", "forget", "purge", "flush", "flush", "reopen")


def open_memory(path: Path, mode: str = "w") -> Memory:
    return Memory.open(path, encoder=HashingEncoder(64), mode=mode)


def text_of(number: int) -> str:
    """A text whose words stand in no other memory: its number in letters that no stemmer takes off."""
    letters = "".join("bcfhjkpqvz"[int(digit)] for digit in f"{number:07}")
    return f"Wort{letters} is what was said. And who was there with token{letters}?"


class Child:
    """One life of a writer. What it begins and what was acknowledged stands in the journal, line by line."""

    def __init__(self, path: Path, journal: int, first: int, seed: int, held: list[int]) -> None:
        self._path = path
        self._journal = journal
        self._next = first
        self._random = random.Random(seed)
        self._held = list(held)

    def live(self) -> None:
        """Work until killed."""
        saver._MUCH, saver._LITTLE = 24, 8  # snapshots of little, often and in the background
        self._memory = open_memory(self._path)
        while True:
            operation = self._random.choice(_OPERATIONS)
            if len(self._held) > _MANY:
                operation = "forget"
            if operation in ("update", "forget", "purge") and not self._held:
                operation = "store"
            getattr(self, "_" + operation)()

    def _say(self, *what: object) -> None:
        os.write(self._journal, json.dumps(what).encode() + b"\n")

    def _some(self, most: int) -> list[int]:
        return self._random.sample(self._held, k=min(len(self._held), self._random.randint(1, most)))

    def _items(self, n: int) -> list[dict[str, object]]:
        first, self._next = self._next, self._next + n
        session = self._random.choice([None, "s", "t"])
        return [{"text": text_of(number), "session": session, "speaker": "Ann"} for number in range(first, first + n)]

    def _store(self) -> None:
        (item,) = self._items(1)
        self._say("begin", "store", [item["text"]])
        memory_id = self._memory.store(**item)
        self._held.append(memory_id)
        self._say("done", [memory_id])

    def _store_many(self) -> None:
        items = self._items(self._random.randint(2, 30))
        self._say("begin", "store", [item["text"] for item in items])
        ids = self._memory.store_many(items)
        self._held += ids
        self._say("done", ids)

    def _update(self) -> None:
        (memory_id,) = self._some(1)
        (item,) = self._items(1)
        self._say("begin", "update", memory_id, item["text"])
        self._memory.update(memory_id, text=item["text"])
        self._say("done")

    def _forget(self) -> None:
        self._take("forget", self._some(_MANY // 2 if len(self._held) > _MANY else 3))

    def _purge(self) -> None:
        self._take("purge", self._some(3))

    def _take(self, how: str, ids: list[int]) -> None:
        self._say("begin", how, ids)
        getattr(self._memory, how)(ids)
        self._held = [memory_id for memory_id in self._held if memory_id not in ids]
        self._say("done")

    def _flush(self) -> None:
        self._say("begin", "flush")
        self._memory.flush()
        self._say("done")

    def _reopen(self) -> None:
        self._say("begin", "reopen")
        self._memory.close()
        self._memory = open_memory(self._path)
        self._say("done")


class Run:
    """The store between the lives of its writers, and what must be in it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.path = folder / "store"
        self._journal = folder / "journal"
        self._random = random.Random(seed)
        self._n_texts = 0
        self.contents: dict[int, str] = {}
        self.purged: set[str] = set()
        self.killed_in: Counter[str] = Counter()
        self.acknowledged = 0

    def live_and_die(self) -> None:
        """Let a child live for a while, kill it, and check."""
        self._journal.write_bytes(b"")
        seed, life = self._random.randrange(1 << 30), self._random.uniform(0, LONGEST_LIFE_SECONDS)
        process = os.fork()
        if process == 0:
            self._be_the_child(seed)
        time.sleep(life)
        os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        assert os.WIFSIGNALED(status), f"the child ended by itself, with status {status}"
        assert os.WTERMSIG(status) == signal.SIGKILL, f"the child died of signal {os.WTERMSIG(status)}"
        self._check()

    def _be_the_child(self, seed: int) -> None:
        try:
            journal = os.open(self._journal, os.O_WRONLY | os.O_APPEND)
            Child(self.path, journal, self._n_texts, seed, sorted(self.contents)).live()
        except BaseException:  # noqa: BLE001 - nothing may escape into a second run
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(1)

    def _check(self) -> None:
        lines = self._journal.read_bytes().split(b"\n")[:-1]  # the last one may be cut short
        said = [json.loads(line) for line in lines]
        pending: list[object] | None = None
        for what, *rest in said:
            if what == "begin":
                pending = rest
            else:
                assert pending is not None
                self._acknowledge(pending, rest)
                pending = None
                self.acknowledged += 1
        self.killed_in[str(pending[0]) if pending else ("between" if said else "open")] += 1
        self._look(pending)

    def _acknowledge(self, begun: list[object], answer: list[object]) -> None:
        match begun:
            case "store", list(texts):
                (ids,) = answer
                assert isinstance(ids, list)
                assert not self.contents.keys() & set(ids), "an id was given twice"
                self.contents.update(zip(ids, texts, strict=True))
                self._n_texts += len(texts)
            case "update", int(memory_id), str(text):
                self.contents[memory_id] = text
                self._n_texts += 1
            case ("forget" | "purge") as how, list(ids):
                gone = {self.contents.pop(memory_id) for memory_id in ids}
                self.purged |= gone if how == "purge" else set()

    def _look(self, pending: list[object] | None) -> None:
        """Open what is left, as a reader or as the next writer, and take over what the last call did, if it did it."""
        if not self.path.exists() or not (self.path / "truth.sqlite3").exists():
            assert not self.contents
            return
        mode = self._random.choice("rw")
        with warnings.catch_warnings():
            warnings.simplefilter("error", SnapshotWarning)  # a killed writer leaves no damaged snapshot
            try:
                memory = open_memory(self.path, mode)
            except StoreNotFoundError:
                # Killed before the store was made: then a writer makes it, and a reader says that there is none.
                assert not self.contents
                assert mode == "r"
                return
            with memory:
                held = {record.id: record.text for record in memory}
                assert memory.verify().ok
        if held != self.contents:
            assert pending is not None, f"lost or invented: {held.items() ^ self.contents.items()}"
            self._take_over(pending, held)
        elif pending is not None and pending[0] in ("store", "update"):
            self._n_texts += len(pending[-1]) if isinstance(pending[-1], list) else 1
        if mode == "w":
            self._search_for_purged()

    def _take_over(self, pending: list[object], held: dict[int, str]) -> None:
        match pending:
            case "store", list(texts):
                new = sorted(held.keys() - self.contents.keys())
                expected = {**self.contents, **dict(zip(new, texts, strict=True))}
                self._n_texts += len(texts)
            case "update", int(memory_id), str(text):
                expected = {**self.contents, memory_id: text}
                self._n_texts += 1
            case ("forget" | "purge") as how, list(ids):
                expected = {memory_id: text for memory_id, text in self.contents.items() if memory_id not in ids}
                if how == "purge":
                    self.purged |= {self.contents[memory_id] for memory_id in ids}
            case _:
                raise AssertionError(f"{pending} changed {held.items() ^ self.contents.items()}")
        assert held == expected, f"part of {pending[0]}: {held.items() ^ expected.items()}"
        self.contents = expected

    def _search_for_purged(self) -> None:
        purged = {text.split()[0] for text in self.purged} - {text.split()[0] for text in self.contents.values()}
        words = {form.encode() for word in purged for form in (word, word.lower())}
        for file in self.path.iterdir():
            found = file.read_bytes()
            for word in words:
                assert word not in found, f"{word!r} is still in {file.name}"


def main() -> int:
    """Kill as often as asked, and say what happened."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="kept where something is wrong; a new one by default")
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="hmem-crash-"))
    run = Run(folder, arguments.seed)
    for kill in range(arguments.kills):
        try:
            run.live_and_die()
        except AssertionError as error:
            print(f"after kill {kill} (seed {arguments.seed}, {folder}): {error}", file=sys.stderr)
            return 1
    print(
        json.dumps(
            {
                "kills": arguments.kills,
                "acknowledged": run.acknowledged,
                "killed_in": dict(sorted(run.killed_in.items())),
                "memories": len(run.contents),
                "purged": len(run.purged),
                "lost": 0,
                "partial": 0,
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
