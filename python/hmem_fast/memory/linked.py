"""The links of a memory: what leads to what, as a caller says, as a conversation goes, and as use shows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from hmem_fast.errors import DTypeError, InvalidValueError, UnknownIdError
from hmem_fast.memory import link as rules
from hmem_fast.memory import turn_table
from hmem_fast.memory.associations import Associations
from hmem_fast.memory.chain import follow, read_chain
from hmem_fast.memory.encoder_slot import EncoderSlot
from hmem_fast.memory.keys import KeyRecipe
from hmem_fast.memory.live_index import LiveIndex
from hmem_fast.memory.network import CODES, check_code
from hmem_fast.memory.reader import Reader
from hmem_fast.memory.records import to_hit
from hmem_fast.memory.result import Chain, Hit, Link
from hmem_fast.memory.turn import check_count, check_id, check_ids, check_name
from hmem_fast.memory.upkeep import Upkeep
from hmem_fast.store import NewLink, TraceStore
from hmem_fast.types import FloatArray

__all__ = ["Linked"]


class Linked(Upkeep):
    """The part of a `Memory` that is about links."""

    def __init__(self, store: TraceStore, index: LiveIndex, slot: EncoderSlot, recipe: KeyRecipe) -> None:
        super().__init__(store, index, slot, recipe)
        self._reader = Reader(store, index, slot)
        self._associations = {code: Associations(store, index, code) for code in CODES}

    def link(self, source: int, target: int, weight: float = 1.0) -> None:
        """Let one memory lead to another; a link that is there gets the new weight.

        Links have a direction. Memories may be linked in circles, and one may lead to several.

        Parameters
        ----------
        source, target : int
            Ids of two memories.
        weight : float
            Above 0: how strongly it leads there, beside the other links of `source`.

        Raises
        ------
        UnknownIdError
            If one of them is not there.
        InvalidValueError, DTypeError
            If the two are one, or the weight is no finite number above 0.
        """
        self.link_many([(source, target, weight)])

    def link_many(self, links: Iterable[Sequence[float]]) -> int:
        """Make many links, all of them or none.

        Parameters
        ----------
        links : iterable of (source, target) or (source, target, weight)
            As `link` takes them.

        Returns
        -------
        int
            How many links were given.
        """
        checked = [_check_link(given) for given in links]
        with self._changing():
            with self._store.transaction() as transaction:
                transaction.put_links(checked)
            self._index.note_written()
        return len(checked)

    def unlink(self, source: int, target: int) -> None:
        """Let one memory lead to another no more, whoever linked them.

        Raises
        ------
        UnknownIdError
            If it does not lead there.
        """
        pair = check_id(source), check_id(target)
        with self._changing():
            with self._store.transaction() as transaction:
                kinds = [link.kind for link in self._store.links([pair[0]]) if link.target == pair[1]]
                if not kinds:
                    raise UnknownIdError(f"link: there is none from memory {pair[0]} to memory {pair[1]}")
                transaction.delete_links((*pair, kind) for kind in kinds)
            self._index.note_written()

    def link_turns(self, session: str | None = None) -> int:
        """Let each turn lead to the next one of its session.

        Turns that are stored later are not linked, unless the memory was opened with ``link_turns=True``. If a turn is
        forgotten, the one before it leads to the one behind it.

        Parameters
        ----------
        session : str, optional
            One session; all, if it is left out.

        Returns
        -------
        int
            How many links are new.
        """
        check_name("session", session)
        with self._changing():
            with self._store.transaction() as transaction:
                turns = turn_table.of_sessions(transaction.connection, session)
                n_new = rules.link_turns(transaction, turns)
            self._index.note_written()
        return n_new

    def links(self, id: int) -> tuple[Link, ...]:  # noqa: A002 - the word that the results use
        """Give the links from a memory and to it, by source, target and kind.

        Raises
        ------
        UnknownIdError
            If the memory is not there.
        """
        memory_id = check_id(id)
        with self._store.snapshot():
            if not self._store.memories([memory_id]):
                raise UnknownIdError(f"id: there is no memory {memory_id}")
            found = self._store.links_of([memory_id])
        return tuple(Link(link.source, link.target, link.weight, link.kind) for link in found)

    def chain(
        self,
        cue: int | str | FloatArray,
        hops: int = 6,
        *,
        branches: int = 1,
        alternatives: int = 3,
        code: str = "random",
    ) -> Chain:
        """Follow links, from the memory that is meant to the one it leads to, and on.

        Each hop asks a Hebbian network that has learnt all links where the memory's code leads. No memory is visited
        twice, so circles end.

        Parameters
        ----------
        cue : int, str or (dim,) float array
            The id of the memory to begin at; or a cue, whose best hit it is.
        hops : int
            How many hops are made at most, 1 or more.
        branches : int
            Paths that are followed side by side; the one of the largest product of shares is given. With 1, each hop
            takes the strongest link.
        alternatives : int
            How many other memories are told of at each hop.
        code : {"random", "projected", "dense"}
            What the network knows memories by: a random code drawn from the id; the winners among projections of the
            vector; the vector itself. The last two are there to be compared: what resembles each other is mixed up.

        Returns
        -------
        Chain
            The hops, with the memory that it began at.

        Raises
        ------
        UnknownIdError
            If there is no such memory, or nothing at all to begin at.
        NoEncoderError, ModelNotFoundError, MissingDependencyError
            If the cue is a text and the encoder is not at hand.

        Examples
        --------
        >>> from hmem_fast import Memory
        >>> with Memory.open(":memory:", encoder="hashing") as memory:
        ...     lamp = memory.store("The lamp in the hall is broken.")
        ...     shop = memory.store("The shop at the corner has lamps.", after=lamp)
        ...     _ = memory.store("It is closed on Mondays.", after=shop)
        ...     [hop.hit.text for hop in memory.chain("broken lamp", hops=2)]
        ['The shop at the corner has lamps.', 'It is closed on Mondays.']
        """
        hops, branches = check_count("hops", hops, 1), check_count("branches", branches, 1)
        alternatives, code = check_count("alternatives", alternatives, 0), check_code(code)
        self._follow()
        start = self._start_of(cue)
        network = self._associations[code].network()
        return read_chain(self._store, start, follow(network, start.id, hops, branches, alternatives), hops)

    def _start_of(self, cue: int | str | FloatArray) -> Hit:
        if isinstance(cue, int | np.integer):
            memory_id = check_id(cue)
            with self._store.snapshot() as connection:
                found = turn_table.read_with_memories(connection, [memory_id])
            if memory_id not in found:
                raise UnknownIdError(f"cue: there is no memory {memory_id}")
            return to_hit(*found[memory_id], 1.0)
        hits = self._reader.recall(cue, 1, where=None, explain=False, pipeline="default")
        if not hits:
            raise UnknownIdError("cue: there is no memory to begin at")
        return hits[0]

    def reinforce(self, ids: Iterable[int], amount: float = 1.0, *, decay: float = 0.9, most: float = 5.0) -> int:
        """Tell that memories were useful together, after an answer that drew on them.

        Each of them is linked to each other one: a weight grows by `amount`, up to `most`. Their links of this kind to
        others fade: they are multiplied by `decay`, and go where little is left. Nothing is learnt unless this is
        called.

        Parameters
        ----------
        ids : iterable of int
            At most 64 memories.
        amount, most : float
            Above 0.
        decay : float
            From 0 (what was not useful this time is forgotten) to 1 (nothing fades).

        Returns
        -------
        int
            How many links were changed.

        Raises
        ------
        UnknownIdError
            If one of the memories is not there; then nothing is changed.

        References
        ----------
        D. O. Hebb, "The Organization of Behavior", 1949: what fires together wires together.
        """
        wanted = check_ids(ids)
        amount, most = rules.check_weight("amount", amount), rules.check_weight("most", most)
        if isinstance(decay, bool) or not isinstance(decay, int | float):
            raise DTypeError(f"decay: wanted a number, got {type(decay).__name__}")
        if not 0 <= decay <= 1:
            raise InvalidValueError(f"decay: wanted 0 to 1, got {decay}")
        with self._changing():
            there = self._store.memories(wanted)
            missing = next((memory_id for memory_id in wanted if memory_id not in there), None)
            if missing is not None:
                raise UnknownIdError(f"id: there is no memory {missing}")
            n_changed = rules.reinforce(self._store, wanted, amount=amount, decay=decay, most=most)
            self._index.note_written()
        return n_changed


def _check_link(given: object) -> NewLink:
    match given:
        case (source, target):
            return rules.check_link(source, target, 1.0)
        case (source, target, weight):
            return rules.check_link(source, target, weight)
        case _:
            raise DTypeError(f"links: wanted (source, target) or (source, target, weight), got {given!r}")
