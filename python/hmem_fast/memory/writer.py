"""How memories get into the truth and out of it, with everything that depends on their neighbours.

A turn's context key quotes the question of the turn before it, and its words are those of a window of turns. So what
is changed or forgotten renews the keys of the next turn and the windows it stood in, in the same transaction. Vectors
are made before the transaction begins: nothing waits for the encoder.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from hmem_fast.errors import (
    InvalidValueError,
    MissingDependencyError,
    ModelNotFoundError,
    NoEncoderError,
    UnknownIdError,
)
from hmem_fast.memory import turn_table
from hmem_fast.memory.encoder_slot import EncoderSlot
from hmem_fast.memory.keys import KeyRecipe
from hmem_fast.memory.link import check_link, forget_turn, link_turns
from hmem_fast.memory.live_index import Added
from hmem_fast.memory.result import ForgetPlan
from hmem_fast.memory.trace_rows import TraceRows, words_of
from hmem_fast.memory.turn import NewTurn
from hmem_fast.memory.turn_table import TurnRow
from hmem_fast.store import MemoryRecord, NewKey, TraceStore, Transaction
from hmem_fast.store.record import NewMemory, dump_vectors

__all__ = ["Writer"]

#: Turns whose keys are encoded in one call, between two reports of progress.
_ENCODE_TURNS = 50

#: Kinds of keys that are made from a turn's text, and so made anew when it or the turn before it changes.
_MADE_KINDS = ("cue", "turn", "context", "question", "sentence")

#: What it looks like when the model is not on this machine.
_NOT_AT_HAND = (ModelNotFoundError, MissingDependencyError, NoEncoderError)

Pieces = list[tuple[str, str]]
Made = tuple[bytes | None, str | None]


class _Place(NamedTuple):
    """Where a new turn stands, and what follows from that."""

    seq: int
    pieces: Pieces
    unkeyed: int
    window: Sequence[tuple[str | None, str]]


class _Source(NamedTuple):
    """What a memory's keys are made from."""

    row: TurnRow
    text: str
    before: str | None
    cues: Sequence[str]


class _Rekeyed(NamedTuple):
    """A memory's keys, made anew."""

    row: TurnRow
    keys: list[NewKey]


class Writer:
    """Writes turns. The caller lets one thread in at a time."""

    def __init__(self, store: TraceStore, slot: EncoderSlot, recipe: KeyRecipe) -> None:
        self._store = store
        self._slot = slot
        self._recipe = recipe
        #: Whether a new turn is linked to the one before it.
        self.links_turns = False

    def add(self, turns: Sequence[NewTurn], on_encoded: Callable[[int], None]) -> Added:
        """Store turns in one transaction; `on_encoded` hears how many have their vectors."""
        placed = self._place(turns)
        keys: list[list[NewKey]] = []
        for start in range(0, len(turns), _ENCODE_TURNS):
            some = placed[start : start + _ENCODE_TURNS]
            made = self._make({text for place in some for _, text in place.pieces})
            keys += [
                _keys_of(place.pieces, made) + _ready_keys(turn)
                for place, turn in zip(some, turns[start:], strict=False)
            ]
            on_encoded(len(keys))
        with self._store.transaction() as transaction:
            memory_ids = transaction.insert_memories(
                [NewMemory(turn.external_id, turn.text, turn.metadata) for turn in turns]
            )
            turn_table.insert(
                transaction.connection,
                (
                    TurnRow(memory_id, turn.speaker, turn.session, place.seq, turn.time, place.unkeyed)
                    for memory_id, turn, place in zip(memory_ids, turns, placed, strict=True)
                ),
            )
            key_ids = transaction.insert_keys_of(zip(memory_ids, keys, strict=True))
            self._link(transaction, memory_ids, turns)
        rows = TraceRows(
            memory_ids=memory_ids,
            n_keys=[len(of_turn) for of_turn in keys],
            key_ids=key_ids,
            vectors=[key.vector for of_turn in keys for key in of_turn if key.vector is not None],
            texts=[words_of(place.window, [text for kind, text in place.pieces if kind == "cue"]) for place in placed],
            speakers=[turn.speaker for turn in turns],
        )
        return Added(transaction.before, transaction.change_seq, transaction.stamp, rows)

    def _link(self, transaction: Transaction, memory_ids: Sequence[int], turns: Sequence[NewTurn]) -> None:
        """Link new memories to those they were stored behind."""
        links = [
            check_link(before, memory_id, 1.0)
            for memory_id, turn in zip(memory_ids, turns, strict=True)
            for before in turn.after
        ]
        if links:
            transaction.put_links(links)
        if self.links_turns and any(turn.session is not None for turn in turns):
            link_turns(transaction, memory_ids)

    def update(self, memory_id: int, turn: NewTurn, *, keep_time: bool) -> None:
        """Write a memory anew; its place in its session stays."""
        with self._store.snapshot() as connection:
            row = turn_table.read(connection, [memory_id]).get(memory_id)
            old = self._store.memories([memory_id]).get(memory_id)
            if row is None or old is None:
                raise UnknownIdError(f"id: there is no memory {memory_id}")
            before = None if row.session is None else turn_table.text_before(connection, row.session, row.seq)
            near = self._following(connection, row)
        row = row._replace(speaker=turn.speaker, time=row.time if keep_time else turn.time)
        (own,) = self._rekey([_Source(row, turn.text, before, turn.cues)], forgive=_NOT_AT_HAND)
        after = self._renew_contexts(near[:1], before=turn.text) if near and turn.text != old.text else []
        with self._store.transaction() as transaction:
            transaction.update_memory(MemoryRecord(memory_id, turn.external_id, turn.text, turn.metadata))
            for rekeyed in (own, *after):
                _write(transaction, rekeyed)
            if turn.vectors is not None:
                transaction.delete_keys(memory_id, ["vector"])
                transaction.insert_keys(memory_id, _ready_keys(turn))
            transaction.log("put", near)

    def known(self, memory_ids: Sequence[int]) -> list[int]:
        """Give those that are there; what was there once is passed over.

        Raises
        ------
        UnknownIdError
            If an id was never given.
        """
        with self._store.snapshot() as connection:
            there = turn_table.read(connection, memory_ids)
            last = self._store.last_memory_id()
        for memory_id in memory_ids:
            if not 0 < memory_id <= last:
                raise UnknownIdError(f"id: there never was a memory {memory_id}")
        return [memory_id for memory_id in memory_ids if memory_id in there]

    def plan_forget(self, memory_ids: Sequence[int]) -> ForgetPlan:
        """Say what forgetting would do."""
        gone = frozenset(memory_ids)
        with self._store.snapshot() as connection:
            plan = self._store.plan_forget(memory_ids)
            rows = turn_table.read(connection, memory_ids)
            near = self._survivors_after(connection, rows.values(), gone)
        return ForgetPlan(ids=tuple(memory_ids), keys=len(plan.key_ids), links=len(plan.links), renewed=tuple(near))

    def forget(self, memory_ids: Sequence[int]) -> Sequence[int]:
        """Remove memories, with their keys and links, in one transaction; gives the neighbours that were renewed."""
        gone = frozenset(memory_ids)
        with self._store.snapshot() as connection:
            rows = turn_table.read(connection, memory_ids)
            for memory_id in memory_ids:
                if memory_id not in rows:
                    raise UnknownIdError(f"id: there is no memory {memory_id}")
            near = self._survivors_after(connection, rows.values(), gone)
        rekeyed = self._renew_contexts(near, without=gone)
        with self._store.transaction() as transaction:
            for memory_id in gone:
                forget_turn(transaction, memory_id)
                transaction.delete_memory(memory_id)
            for memory in rekeyed:
                _write(transaction, memory)
            transaction.log("put", near)
        return near

    def renew(self) -> int:
        """Encode the keys that were left without a vector; gives the number of memories that were renewed.

        Raises what `EncoderSlot.get` raises, if there is no encoder at hand.
        """
        self._slot.get()
        with self._store.snapshot() as connection:
            stale = [
                memory_id
                for (memory_id,) in connection.execute(
                    "SELECT DISTINCT memory_id FROM keys WHERE vector IS NULL ORDER BY memory_id"
                )
            ]
        self._rewrite_keys(stale, forgive=())
        return len(stale)

    def make_keys(self, memory_ids: Sequence[int]) -> list[int]:
        """Make the keys of memories that lost some anew; gives those whose keys wait for `renew`."""
        self._rewrite_keys(memory_ids, forgive=(Exception,))
        waiting = (key.memory_id for key in self._store.keys(memory_ids) if key.vector is None)
        return list(dict.fromkeys(waiting))

    def _rewrite_keys(self, memory_ids: Sequence[int], *, forgive: tuple[type[Exception], ...]) -> None:
        for start in range(0, len(memory_ids), _ENCODE_TURNS):
            rekeyed = self._renew_contexts(memory_ids[start : start + _ENCODE_TURNS], forgive=forgive)
            with self._store.transaction() as transaction:
                for memory in rekeyed:
                    _write(transaction, memory)
                transaction.log("put", [memory.row.memory_id for memory in rekeyed])

    def _place(self, turns: Sequence[NewTurn]) -> list[_Place]:
        """Find each turn's place in its session, what is encoded of it, and the turns whose words it is found by."""
        wanted = {turn.session for turn in turns if turn.session is not None}
        n_words = self._recipe.window_turns - 1
        n_before = max(1, n_words)
        sessions: dict[str, tuple[int, list[tuple[str | None, str]]]] = {}
        if wanted:
            with self._store.snapshot() as connection:
                sessions = {name: turn_table.last_of_session(connection, name, n_before) for name in wanted}
        placed = []
        for turn in turns:
            seq, near = (0, []) if turn.session is None else sessions[turn.session]
            own = (turn.speaker, turn.text)
            pieces, unkeyed = self._pieces(
                turn.text,
                turn.speaker,
                turn.cues,
                in_session=turn.session is not None,
                before=near[-1][1] if near else None,
            )
            window = near[-n_words:] if n_words else []
            placed.append(_Place(seq, pieces, unkeyed, [*window, own]))
            if turn.session is not None:
                sessions[turn.session] = (seq + 1, [*near, own][-n_before:])
        return placed

    def _pieces(
        self, text: str, speaker: str | None, cues: Sequence[str], *, in_session: bool, before: str | None
    ) -> tuple[Pieces, int]:
        if not self._slot.makes_keys:
            return [], 0
        return self._recipe.pieces(text, speaker, cues, in_session=in_session, before=before)

    def _following(self, connection: sqlite3.Connection, row: TurnRow) -> list[int]:
        """Turns whose keys or windows depend on a turn, the next one first."""
        if row.session is None:
            return []
        return turn_table.following(connection, row.session, row.seq, max(1, self._recipe.window_turns - 1))

    def _survivors_after(
        self, connection: sqlite3.Connection, rows: Iterable[TurnRow], gone: AbstractSet[int]
    ) -> list[int]:
        """Turns that depend on one of `rows` and will still be there without `gone`."""
        after: dict[int, list[int]] = {}
        # From the last turn to the first: where the next turn goes too, what follows it is known already.
        for row in sorted(rows, key=lambda row: -row.seq):
            following = self._following(connection, row)
            n = next((i for i, memory_id in enumerate(following) if memory_id in gone), len(following))
            rest = after[following[n]] if n < len(following) else []
            after[row.memory_id] = (following[:n] + rest)[: max(1, self._recipe.window_turns - 1)]
        return list(dict.fromkeys(memory_id for survivors in after.values() for memory_id in survivors))

    def _renew_contexts(
        self,
        memory_ids: Iterable[int],
        *,
        before: str | None = None,
        without: AbstractSet[int] = frozenset(),
        forgive: tuple[type[Exception], ...] = (Exception,),
    ) -> list[_Rekeyed]:
        """Make the keys of memories anew after the turn before them became `before`, or went with `without`.

        Whatever is wrong with the encoder, what is to be changed or forgotten goes: neighbours' keys wait for `renew`.
        """
        memory_ids = list(memory_ids)
        with self._store.snapshot() as connection:
            rows = turn_table.read(connection, memory_ids)
            texts = self._store.memories(memory_ids)
            befores = {
                memory_id: before
                if before is not None or row.session is None
                else turn_table.text_before(connection, row.session, row.seq, without)
                for memory_id, row in rows.items()
            }
            cues: dict[int, list[str]] = {}
            for memory_id, cue in self._store.key_texts(memory_ids, "cue"):
                cues.setdefault(memory_id, []).append(cue)
        return self._rekey(
            [_Source(rows[i], texts[i].text, befores[i], cues.get(i, ())) for i in memory_ids], forgive=forgive
        )

    def _rekey(self, sources: Sequence[_Source], *, forgive: tuple[type[Exception], ...]) -> list[_Rekeyed]:
        """Make the keys of memories, taking the vectors that are there already.

        Where encoding fails in a way that is forgiven, the keys that need it are left without a vector.
        """
        cut = [
            self._pieces(s.text, s.row.speaker, s.cues, in_session=s.row.session is not None, before=s.before)
            for s in sources
        ]
        made: dict[str, Made] = {
            key.text: (key.vector, key.producer)
            for key in self._store.keys(source.row.memory_id for source in sources)
            if key.text is not None and key.vector is not None
        }
        missing = {piece for pieces, _ in cut for _, piece in pieces} - made.keys()
        try:
            made.update(self._make(missing))
        except forgive:
            made.update(dict.fromkeys(missing, (None, None)))
        return [
            _Rekeyed(source.row._replace(unkeyed=unkeyed), _keys_of(pieces, made))
            for source, (pieces, unkeyed) in zip(sources, cut, strict=True)
        ]

    def _make(self, texts: Iterable[str]) -> dict[str, Made]:
        """Encode texts, each once."""
        ordered = sorted(texts)
        if not ordered:
            return {}
        vectors = dump_vectors(self._slot.encode(ordered))
        producer = self._slot.get().producer
        return {text: (vector, producer) for text, vector in zip(ordered, vectors, strict=True)}


def check_source_of_keys(turn: NewTurn, slot: EncoderSlot) -> None:
    """Refuse vectors where the memory encodes text itself, and their absence where it does not."""
    if not turn.text.strip() and not turn.cues and turn.vectors is None:
        raise InvalidValueError("text: wanted some text (or cues, or a vector) to remember, got only white space")
    if not slot.makes_keys:
        if turn.vectors is None:
            raise NoEncoderError("vector: wanted one (or vectors), since this memory was made without an encoder")
        if turn.cues:
            raise NoEncoderError("cues: wanted none, since this memory was made without an encoder; give vectors")
    elif turn.vectors is not None:
        raise InvalidValueError("vector: wanted none, since this memory encodes text itself")


def _ready_keys(turn: NewTurn) -> list[NewKey]:
    if turn.vectors is None:
        return []
    return [NewKey("vector", None, vector, None) for vector in dump_vectors(turn.vectors)]


def _keys_of(pieces: Pieces, made: Mapping[str, Made]) -> list[NewKey]:
    return [NewKey(kind, text, *made[text]) for kind, text in pieces]


def _write(transaction: Transaction, memory: _Rekeyed) -> None:
    turn_table.update(transaction.connection, memory.row)
    transaction.delete_keys(memory.row.memory_id, _MADE_KINDS)
    transaction.insert_keys(memory.row.memory_id, memory.keys)
