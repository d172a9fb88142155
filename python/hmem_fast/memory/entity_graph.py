"""Memories, what they name, and the links between them, as a graph that follows the change log."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from hmem_fast.core import Graph
from hmem_fast.memory.entity import TitleTable, entities_of, node_of, phrase_of, title_of
from hmem_fast.memory.link import as_float32, both_ways
from hmem_fast.store import MemoryRecord, TraceStore

__all__ = ["EntityGraph"]

#: Memories that are read from the truth at a time.
_CHUNK = 4096

#: Up to this many new titles are looked for one by one in the texts that are there.
_FEW = 16

#: Weight of a memory's own title among what it names.
_OWN_TITLE = 2.0

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
        self._title_of: dict[int, str] = {}
        self._titles = TitleTable()

    def follow(self, store: TraceStore) -> Graph:
        """Catch up with what is stored, and give the graph; it stays as it is."""
        with self._following:
            with store.snapshot():
                change = store.changes_since(self._change_seq, self._stamp)
                # A memory that leads elsewhere now is made anew too: its links are those that stand in the truth.
                put = sorted({*change.put, *change.linked})
                first = store.memories(put[:_CHUNK])
                linked = both_ways(store.links_of(put))
            if change.restart:
                self._clear()
            if put or change.removed:
                graph = self._graph.copy()
                changed = (*change.removed, *put)
                before = {title for title in map(self._drop, changed) if title is not None}
                links = self._read(first.values())
                # What is changed meanwhile stands in the log behind `change`, and is read again.
                for start in range(_CHUNK, len(put), _CHUNK):
                    links += self._read(store.memories(put[start : start + _CHUNK]).values())
                links += self._mentions(put)
                links += self._earlier_mentions(graph, put)
                _remove(graph, (*changed, *(_title_node(title) for title in before if title not in self._titles)))
                links += linked
                if links:
                    sources, targets, weights = zip(*links, strict=True)
                    graph.add(np.array(sources), np.array(targets), as_float32(weights))
                self._graph = graph
            self._change_seq, self._stamp = change.change_seq, change.stamp
            return self._graph

    def _drop(self, memory_id: int) -> str | None:
        """Forget a memory; gives its title."""
        self._phrases.pop(memory_id, None)
        title = self._title_of.pop(memory_id, None)
        if title is not None:
            self._titles.remove(title)
        return title

    def _read(self, memories: Iterable[MemoryRecord]) -> Links:
        """Note memories; gives the links to what they name, titles left out."""
        links: Links = []
        for memory in memories:
            title = title_of(memory.metadata)
            self._phrases[memory.memory_id] = phrase_of(memory.text)
            if title is not None:
                self._title_of[memory.memory_id] = title
                self._titles.add(title)
            links += [(memory.memory_id, node_of(f"name {name}"), 1.0) for name in entities_of(memory.text)]
        return links

    def _mentions(self, memory_ids: Sequence[int]) -> Links:
        """Links of new memories to the titles they mention, and to their own, which weighs more."""
        links: Links = []
        for memory_id in memory_ids:
            if memory_id in self._phrases:
                own = self._title_of.get(memory_id)
                mentioned = self._titles.found_in(self._phrases[memory_id]) - {own}
                links += [(memory_id, _title_node(title), 1.0) for title in mentioned]
                if own is not None:
                    links.append((memory_id, _title_node(own), _OWN_TITLE))
        return links

    def _earlier_mentions(self, graph: Graph, new: Sequence[int]) -> Links:
        """Links of the other memories to the titles that came with new ones."""
        # A title that was there before has its node, and its links with it.
        titles = {self._title_of[memory_id] for memory_id in new if memory_id in self._title_of}
        appeared = {title for title in titles if _title_node(title) not in graph}
        if not appeared:
            return []
        found_in = _finder(appeared)
        skipped = set(new)
        return [
            (memory_id, _title_node(title), 1.0)
            for memory_id, phrase in self._phrases.items()
            if memory_id not in skipped
            for title in found_in(phrase)
        ]


def _finder(titles: set[str]) -> Callable[[str], set[str]]:
    """What finds these titles in a text; few are looked for one by one."""
    if len(titles) > _FEW:
        table = TitleTable()
        for title in titles:
            table.add(title)
        return table.found_in

    def found_in(phrase: str) -> set[str]:
        padded = f" {phrase} "
        return {title for title in titles if f" {title} " in padded}

    return found_in


def _remove(graph: Graph, nodes: Iterable[int]) -> None:
    """Remove the nodes that are there."""
    there = [node for node in nodes if node in graph]
    if there:
        graph.remove_nodes(there)


def _title_node(title: str) -> int:
    return node_of(f"title {title}")
