"""Memory: what is stored, recalled and forgotten, and the one door to all of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any, Self

import numpy as np

from hmem_fast.errors import ClosedError, StoreManyError, UnknownIdError
from hmem_fast.memory.encoder_slot import EncoderSlot
from hmem_fast.memory.follower import Follower
from hmem_fast.memory.keys import KeyRecipe
from hmem_fast.memory.live_index import LiveIndex
from hmem_fast.memory.opening import RECORDED, Recorded, open_parts
from hmem_fast.memory.purge import PURGE_PENDING, finish_purge
from hmem_fast.memory.recalling import Recalling
from hmem_fast.memory.records import read_records
from hmem_fast.memory.result import ForgetPlan, Record
from hmem_fast.memory.transfer_import import check_imported
from hmem_fast.memory.turn import NewTurn, check_id, check_ids
from hmem_fast.memory.writer import check_source_of_keys
from hmem_fast.store import Durability, Mode, TraceStore
from hmem_fast.store.record import check_text
from hmem_fast.types import Encoder, FloatArray

__all__ = ["Memory"]

#: Items that `store_many` commits at a time.
_CHUNK = 1000

_KEEP: Any = object()  # marks an argument of `update` that was not given


class Memory(Recalling):
    """A long-term memory: texts go in, a later question gives back what was meant.

    Open one with `Memory.open`; use it as a context manager or call `close`. Any number of threads may use one memory
    at once. One process writes a store, others may read it at the same time.

    Examples
    --------
    >>> from hmem_fast import Memory
    >>> with Memory.open(":memory:", encoder="hashing") as memory:
    ...     _ = memory.store("I started at Acme as a data engineer.", speaker="Ann")
    ...     _ = memory.store("My sister keeps bees on her roof.", speaker="Ben")
    ...     memory.recall("Who has bees?", k=1)[0].text
    'My sister keeps bees on her roof.'
    """

    def __init__(
        self, store: TraceStore, index: LiveIndex, slot: EncoderSlot, recipe: KeyRecipe, max_text_bytes: int
    ) -> None:
        super().__init__(store, index, slot, recipe)
        self._max_text_bytes = max_text_bytes

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        encoder: Encoder | str | Recorded | None = RECORDED,
        dim: int | None = None,
        mode: Mode = "w",
        durability: Durability = "power",
        *,
        recipe: KeyRecipe | None = None,
        max_text_bytes: int = 1 << 20,
        link_turns: bool = False,
    ) -> Self:
        """Open a memory, or make a new one.

        Parameters
        ----------
        path : str or os.PathLike
            The store's folder, made where it is missing; ``":memory:"`` keeps everything in memory.
        encoder : Encoder, str or None, optional
            An encoder, or the name of one (see `hmem_fast.encode.resolve`). Left out: the one that is recorded in the
            store, ``"minilm"`` for a new one. None: texts are not encoded, every memory is stored with ready vectors.
        dim : int, optional
            Width of ready vectors; needed for a new memory without an encoder.
        mode : {"w", "r"}
            ``"r"`` reads a store that another process may be writing, and follows it.
        durability : {"power", "process", "none"}
            What a write survives once the call has returned: power failure, the death of the process, or nothing.
        recipe : KeyRecipe, optional
            How keys and words are made in a new store.
        max_text_bytes : int
            Longest text of one memory, in bytes of UTF-8.
        link_turns : bool
            Whether a turn that is stored is linked to the one before it in its session, as `link_turns` does.

        Raises
        ------
        StoreLockedError
            If another process has the memory open for writing; the message names its process id.
        EncoderMismatchError
            If the store's vectors come from another embedding space.
        ModelNotFoundError, MissingDependencyError
            If a new store's encoder cannot be had here. The recorded encoder of an existing store is looked up when it
            is first needed: without it, `get`, `forget`, `info` and ``recall(pipeline="bm25")`` work.
        StoreNotFoundError, StoreVersionError, StoreCorruptError
            If there is nothing to read, or it cannot be read; or an import into it is not finished.
        """
        store, slot, recipe = open_parts(
            path, encoder=encoder, dim=dim, mode=mode, durability=durability, recipe=recipe
        )
        try:
            check_imported(store)
            index = LiveIndex(store, recipe, slot.dim)
            index.open()
            memory = cls(store, index, slot, recipe, max_text_bytes)
            memory._writer.links_turns = link_turns
            if mode == "w" and store.properties().get(PURGE_PENDING):
                finish_purge(store, index, memory._saver, wait_seconds=0.1)
        except BaseException:
            store.close()
            raise
        return memory

    # Writing

    def store(
        self,
        text: str,
        *,
        cues: Sequence[str] = (),
        vector: FloatArray | None = None,
        vectors: FloatArray | None = None,
        speaker: str | None = None,
        session: str | None = None,
        time: datetime | float | None = None,
        metadata: Mapping[str, Any] | None = None,
        external_id: str | None = None,
        after: int | Sequence[int] = (),
    ) -> int:
        """Remember a text. When the call returns, it is durable and can be recalled.

        Parameters
        ----------
        text : str
            What is given back by `recall`.
        cues : sequence of str
            Further texts by which it is to be found: questions it answers, other wordings.
        vector, vectors : (dim,) or (keys, dim) float array, optional
            Ready keys, for a memory without an encoder; at most 32.
        speaker : str, optional
            Who said it. A question that names a speaker prefers what that speaker said.
        session : str, optional
            The conversation it belongs to. Order within a session is the order of storing.
        time : datetime or float, optional
            When it was said: an aware datetime, or seconds since the epoch.
        metadata : mapping, optional
            Anything JSON can hold, given back with the hit and usable in `where`.
        external_id : str, optional
            The caller's own id; unique.
        after : int or sequence of int
            Memories that lead to this one: they are linked to it as `link` does, with a weight of 1.

        Returns
        -------
        int
            The memory's id. Ids ascend and are never given twice.

        Raises
        ------
        DTypeError, InvalidValueError, ShapeError
            If an argument is not what it should be; nothing is stored then.
        DuplicateIdError
            If `external_id` is in use.
        UnknownIdError
            If a memory that is to lead to this one is not there.
        """
        item = {
            "text": text, "cues": cues, "vector": vector, "vectors": vectors, "speaker": speaker, "session": session,
            "time": time, "metadata": metadata, "external_id": external_id, "after": after,
        }  # fmt: skip
        turn = self._check(item)
        with self._changing():
            added = self._writer.add([turn], on_encoded=_say_nothing)
            self._index.note_added(added)
        self._keep_up()
        return added.rows.memory_ids[0]

    def store_many(
        self, items: Iterable[Mapping[str, Any]], progress: Callable[[int], None] | None = None
    ) -> list[int]:
        """Remember many texts, committed a thousand at a time.

        Parameters
        ----------
        items : iterable of mappings
            Each with the arguments of `store`.
        progress : callable, optional
            Called with the number of items that are encoded so far.

        Returns
        -------
        list of int
            The memories' ids, in the order of the items.

        Raises
        ------
        StoreManyError
            If an item cannot be stored. Its `ids` are in; of the thousand with the bad item, none is.
        """
        ids: list[int] = []
        remaining = iter(items)
        report = progress or _say_nothing
        with Follower(self._index) as follower:
            while True:
                try:
                    turns = list(map(self._check, islice(remaining, _CHUNK)))
                    if not turns:
                        return ids
                    with self._changing():
                        added = self._writer.add(turns, on_encoded=partial(_report_after, report, len(ids)))
                        self._index.note_added(added)
                    ids += added.rows.memory_ids
                    follower.follow()
                    self._saver.keep_up()
                except Exception as error:
                    raise StoreManyError(
                        f"items: stopped behind item {len(ids)}: {error}; "
                        f"the first {len(ids)} items are stored, the others are not",
                        ids=ids,
                        position=len(ids),
                    ) from error

    def update(
        self,
        id: int,  # noqa: A002 - the word that the results use
        *,
        text: str = _KEEP,
        cues: Sequence[str] = _KEEP,
        vector: FloatArray | None = None,
        vectors: FloatArray | None = None,
        speaker: str | None = _KEEP,
        time: datetime | float | None = _KEEP,
        metadata: Mapping[str, Any] | None = _KEEP,
        external_id: str | None = _KEEP,
    ) -> None:
        """Change what is given, keep the rest. A memory stays in its session, at its place.

        Raises what `store` raises, and `UnknownIdError` if there is no such memory.
        """
        given = {
            "text": text, "cues": cues, "speaker": speaker, "time": time, "metadata": metadata,
            "external_id": external_id,
        }  # fmt: skip
        memory_id = check_id(id)
        with self._changing():
            item = self.get(memory_id).to_item() | {name: value for name, value in given.items() if value is not _KEEP}
            turn = NewTurn.from_item(
                item | {"vector": vector, "vectors": vectors}, dim=self._slot.dim, max_text_bytes=self._max_text_bytes
            )
            if turn.vectors is not None or turn.cues or self._slot.makes_keys:
                check_source_of_keys(turn, self._slot)
            self._writer.update(memory_id, turn, keep_time=time is _KEEP)
            self._index.note_written()
        self._keep_up()

    def forget(self, ids: int | Iterable[int]) -> None:
        """Remove memories, so that nothing recalls them any more.

        The next turn of a session loses what its keys had from the forgotten one. If the encoder is not at hand, such a
        key is dropped and waits for `renew`. The bytes may stay on the disk until SQLite writes over them.

        Raises
        ------
        UnknownIdError
            If one of them is not there; then none is forgotten.
        """
        wanted = check_ids(ids)
        with self._changing():
            self._writer.forget(wanted)
            self._index.note_written()
        self._keep_up()

    def plan_forget(self, ids: int | Iterable[int]) -> ForgetPlan:
        """Say what `forget` or `purge` of these memories would do. Changes nothing.

        Raises
        ------
        UnknownIdError
            If one of them is not there.
        """
        return self._writer.plan_forget(check_ids(ids))

    # Reading

    def get(self, id: int) -> Record:  # noqa: A002 - the word that the results use
        """Read one memory.

        Raises
        ------
        UnknownIdError
            If it is not there.
        """
        memory_id = check_id(id)
        record = read_records(self._store, [memory_id]).get(memory_id)
        if record is None:
            raise UnknownIdError(f"id: there is no memory {memory_id}")
        return record

    def id_of(self, external_id: str) -> int | None:
        """Give the id of the memory that was stored with this external id, None if there is none."""
        return self._store.id_of(check_text("external_id", external_id))

    def __len__(self) -> int:
        return self._store.count()

    def __bool__(self) -> bool:
        return True  # an empty memory is still a memory

    def __contains__(self, id: object) -> bool:  # noqa: A002 - the word that the results use
        if isinstance(id, bool) or not isinstance(id, int | np.integer):
            return False
        return bool(self._store.memories([int(id)]))

    def __iter__(self) -> Iterator[Record]:
        """Go through the memories that are there now, oldest first."""
        ids = iter(self._store.memory_ids())
        while chunk := list(islice(ids, _CHUNK)):
            records = read_records(self._store, chunk)
            yield from (records[memory_id] for memory_id in chunk if memory_id in records)

    # Life

    def close(self) -> None:
        """Close the store and give the writer's lock up. A second call does nothing."""
        if self._store.mode == "w":
            with suppress(ClosedError):  # a second call, or a child of the process that opened it
                self._store.check_usable()
                self._saver.close()
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        where = ":memory:" if self._store.path is None else str(self._store.path)
        return f"Memory({where!r}, mode={self._store.mode!r}, memories={len(self)}, encoder={self._slot.name!r})"

    # Within

    def _check(self, item: object) -> NewTurn:
        turn = NewTurn.from_item(item, dim=self._slot.dim, max_text_bytes=self._max_text_bytes)
        check_source_of_keys(turn, self._slot)
        return turn

    def _keep_up(self) -> None:
        """Let index and snapshots follow where much is waiting."""
        self._index.keep_up()
        self._saver.keep_up()


def _say_nothing(_: int) -> None:
    pass


def _report_after(report: Callable[[int], None], n_before: int, n_encoded: int) -> None:
    report(n_before + n_encoded)
