"""Who said each memory, in a few bytes a memory."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from hmem_fast.memory.name import Participants
from hmem_fast.types import IdArray

__all__ = ["Speakers"]

#: Instead of a speaker's number: nobody is named; the memory is gone.
_NOBODY, _GONE = -1, -2

Numbers = NDArray[np.int32]


class Speakers:
    """The speaker of each memory. One thread changes it, any number ask meanwhile.

    Ids are given in ascending order and never twice, so a new one stands behind all others, and old ones are found by
    binary search.
    """

    def __init__(self) -> None:
        #: The distinct speakers. Replaced, never changed: searches may be reading it.
        self.participants = Participants()
        self._names: list[str] = []
        self._number_of: dict[str, int] = {}
        self._turns: list[int] = []
        # What searches see: replaced as a whole, so that both have one length. The arrays behind have room to grow.
        self._seen: tuple[IdArray, Numbers] = (np.empty(0, np.int64), np.empty(0, np.int32))
        self._room = self._seen

    def put(self, memory_ids: IdArray, speakers: Sequence[str | None]) -> None:
        """Note who said these memories, whose ids ascend."""
        numbers = np.array([self._number(speaker) for speaker in speakers], dtype=np.int32)
        known, _ = self._seen
        last = int(known[-1]) if len(known) else -1
        n_known = int(np.searchsorted(memory_ids, last, side="right"))
        if n_known:
            self._set(memory_ids[:n_known], numbers[:n_known])
        self._append(memory_ids[n_known:], numbers[n_known:])
        self._name_participants()

    def remove(self, memory_ids: IdArray) -> None:
        """Forget who said these memories; ids that are not there are passed over."""
        self._set(memory_ids, np.full(len(memory_ids), _GONE, np.int32))
        self._name_participants()

    def spoken_by(self, memory_ids: IdArray, names: Collection[str]) -> NDArray[np.float64]:
        """Say for each memory whether one of these participants said it: 1 or 0."""
        wanted = {self._number_of[name] for name in names if name in self._number_of}
        if not wanted:
            return np.zeros(len(memory_ids))
        rows, there = self._find(memory_ids)
        numbers = self._seen[1][rows]
        spoken = np.zeros(len(memory_ids))
        for number in wanted:  # mostly one: `np.isin` takes ten times as long for so few
            spoken[there] += numbers == number
        return spoken

    def _find(self, memory_ids: IdArray) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Give the rows of the memories that are known, and which of `memory_ids` these are."""
        ids, _ = self._seen
        rows = np.searchsorted(ids, memory_ids)
        there = rows < len(ids)
        there[there] = ids[rows[there]] == memory_ids[there]
        return rows[there], there

    def to_bytes(self) -> bytes:
        """Write what is held, for a snapshot: drawn in docs/snapshot.md.

        A name that nobody goes by any more is left out: it may have been purged.
        """
        ids, numbers = self._seen
        kept = numbers != _GONE
        in_use = [number for number, turns in enumerate(self._turns) if turns]
        renumbered = np.full(len(self._names) + 1, _NOBODY, np.int32)  # the last one is what _NOBODY counts from behind
        renumbered[in_use] = np.arange(len(in_use))
        numbers = np.where(kept, renumbered[np.maximum(numbers, _NOBODY)], _GONE)
        names = json.dumps([self._names[number] for number in in_use], ensure_ascii=False).encode()
        header = np.array([len(names), kept.sum()], dtype="<u8").tobytes()
        return b"".join((header, names, ids[kept].astype("<i8").tobytes(), numbers[kept].astype("<i4").tobytes()))

    @classmethod
    def from_bytes(cls, raw: bytes) -> Speakers:
        """Read what `to_bytes` wrote.

        Raises
        ------
        ValueError
            If it is something else.
        """
        n_names, n = (int(length) for length in np.frombuffer(raw, "<u8", 2))
        if len(raw) != 16 + n_names + 12 * n:
            raise ValueError(f"wanted {16 + n_names + 12 * n} bytes of speakers, got {len(raw)}")
        names = json.loads(raw[16 : 16 + n_names])
        ids = np.frombuffer(raw, "<i8", n, 16 + n_names).astype(np.int64)
        numbers = np.frombuffer(raw, "<i4", n, 16 + n_names + 8 * n).astype(np.int32)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError("wanted names of speakers, got something else")
        if np.any(ids[1:] <= ids[:-1]) or np.any((numbers < _NOBODY) | (numbers >= len(names))):
            raise ValueError("wanted ascending ids, each with the number of a name")
        speakers = cls()
        for name in names:
            speakers._number(name)
        speakers._append(ids, numbers)
        speakers._name_participants()
        return speakers

    def _number(self, speaker: str | None) -> int:
        if speaker is None:
            return _NOBODY
        number = self._number_of.get(speaker)
        if number is None:
            number = len(self._names)
            self._names.append(speaker)
            self._turns.append(0)
            self._number_of[speaker] = number
        return number

    def _set(self, memory_ids: IdArray, numbers: Numbers) -> None:
        """Change the speaker of memories that are known; their ids need not be, and may come in any order."""
        rows, there = self._find(memory_ids)
        known = self._seen[1]
        self._count(known[rows], -1)
        known[rows] = numbers[there]
        self._count(numbers[there], 1)

    def _append(self, memory_ids: IdArray, numbers: Numbers) -> None:
        n, more = len(self._seen[0]), len(memory_ids)
        if n + more > len(self._room[0]):
            size = max(n + more, 2 * n, 64)
            ids, known = np.empty(size, np.int64), np.empty(size, np.int32)
            ids[:n], known[:n] = self._seen
            self._room = (ids, known)
        ids, known = self._room
        ids[n : n + more], known[n : n + more] = memory_ids, numbers
        self._count(numbers, 1)
        self._seen = (ids[: n + more], known[: n + more])

    def _count(self, numbers: Numbers, by: int) -> None:
        for number, turns in zip(*np.unique(numbers, return_counts=True), strict=True):
            if number >= 0:
                self._turns[number] += by * int(turns)

    def _name_participants(self) -> None:
        names = [name for name, turns in zip(self._names, self._turns, strict=True) if turns]
        if len(names) != len(self.participants.names) or set(names) != set(self.participants.names):
            self.participants = Participants(names)
