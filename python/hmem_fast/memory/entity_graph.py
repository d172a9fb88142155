"""Memories, what they name, and the links between them, as a graph that follows the change log."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from hmem_fast.core import Graph
from hmem_fast.memory.entity import TitleTable, entities_of, node_of, phrase_of, title_of
from hmem_fast.store import MemoryRecord, TraceStore

__all__ = ["EntityGraph"]

#: Memories that are read from the truth at a time.
_CHUNK = 4096

#: Weight of a memory's own title among what it names.
_OWN_TITLE = 2.0

#: A link between memories weighs no more than this: sums of weights must stay finite.
_MAX_WEIGHT = 1e30

Links = list[tuple[int, int, float]]


class EntityGraph:
    """Which memories name the same things, and which are linked.

    A memory is the node of its id; what it names, a hidden node. A title (``metadata["title"]``) is a node of its own,
    linked to the memories that have it and to those whose text mentions it. Nothing of it is stored: it is made from
    the truth when it is first asked for, and follows from then on. What it holds is a function of what is stored.
    """

    def __init__(self) -> None:
        self._following = threading.Lock()
        self._change_seq = 0
        self._stamp = 0
        self._clear()

    def _clear(self) -> None:
        #: Replaced and never changed: somebody may be walking on it.
        self._graph = Graph()
        #: The words of each memory, in which titles that come later are looked for.
        self._phrases: dict[int, str] = {}
        self._titles: dict[int, str] = {}
        self._with_title: Counter[str] = Counter()

    def follow(self, store: TraceStore) -> Graph:
        """Catch up with what is stored, and give the graph; it stays as it is."""
        with self._following:
            with store.snapshot() as connection:
                change = store.changes_since(self._change_seq, self._stamp)
                # A memory that leads elsewhere now is made anew too: its links are those that stand in the truth.
                put = sorted({*change.put, *change.linked})
                first = store.memories(put[:_CHUNK])
                linked = _links_of(connection, put)
            if change.restart:
                self._clear()
            if put or change.removed:
                graph = self._graph.copy()
                titles = set(self._with_title)
                _remove(graph, (*change.removed, *put))
                for memory_id in (*change.removed, *put):
                    self._drop(memory_id)
                links = self._read(first.values())
                # What is changed meanwhile stands in the log behind `change`, and is read again.
                for start in range(_CHUNK, len(put), _CHUNK):
                    links += self._read(store.memories(put[start : start + _CHUNK]).values())
                links += self._mentions(titles, put)
                _remove(graph, (_title_node(title) for title in titles - set(self._with_title)))
                links += linked
                if links:
                    sources, targets, weights = zip(*links, strict=True)
                    graph.add(np.array(sources), np.array(targets), np.array(weights, dtype=np.float32))
                self._graph = graph
            self._change_seq, self._stamp = change.change_seq, change.stamp
            return self._graph

    def _drop(self, memory_id: int) -> None:
        self._phrases.pop(memory_id, None)
        title = self._titles.pop(memory_id, None)
        if title is not None:
            self._with_title[title] -= 1
            if not self._with_title[title]:
                del self._with_title[title]

    def _read(self, memories: Iterable[MemoryRecord]) -> Links:
        """Note memories; gives the links to what they name, titles left out."""
        links: Links = []
        for memory in memories:
            title = title_of(memory.metadata)
            self._phrases[memory.memory_id] = phrase_of(memory.text)
            if title is not None:
                self._titles[memory.memory_id] = title
                self._with_title[title] += 1
            links += [(memory.memory_id, node_of(f"name {name}"), 1.0) for name in entities_of(memory.text)]
        return links

    def _mentions(self, titles_before: set[str], new: Sequence[int]) -> Links:
        """Links to titles: of new memories to all, of old ones to new titles; a memory's own title weighs more."""
        every = TitleTable(self._with_title)
        appeared = set(self._with_title) - titles_before
        links: Links = []
        if appeared:
            newly, skipped = TitleTable(appeared), set(new)
            for memory_id, phrase in self._phrases.items():
                if memory_id not in skipped:
                    links += [(memory_id, _title_node(title), 1.0) for title in newly.found_in(phrase)]
        for memory_id in new:
            if memory_id in self._phrases:
                own = self._titles.get(memory_id)
                mentioned = every.found_in(self._phrases[memory_id]) - {own}
                links += [(memory_id, _title_node(title), 1.0) for title in mentioned]
                if own is not None:
                    links.append((memory_id, _title_node(own), _OWN_TITLE))
        return links


def _remove(graph: Graph, nodes: Iterable[int]) -> None:
    """Remove the nodes that are there."""
    there = [node for node in nodes if node in graph]
    if there:
        graph.remove_nodes(there)


def _title_node(title: str) -> int:
    return node_of(f"title {title}")


def _links_of(connection: sqlite3.Connection, memory_ids: Sequence[int]) -> Links:
    """Links between memories of which one is among these; both directions, and all kinds, add up."""
    rows = connection.execute(
        "WITH wanted AS MATERIALIZED (SELECT value FROM json_each(?)) "
        "SELECT min(source, target), max(source, target), sum(weight) FROM links "
        "WHERE source IN wanted OR target IN wanted GROUP BY 1, 2 HAVING sum(weight) > 0",
        (json.dumps(list(memory_ids)),),
    )
    return [(source, target, min(weight, _MAX_WEIGHT)) for source, target, weight in rows if source != target]
