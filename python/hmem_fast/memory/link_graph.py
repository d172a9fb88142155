"""The links between memories as a graph that follows the change log."""

from __future__ import annotations

import threading

import numpy as np

from hmem_fast.core import Graph
from hmem_fast.memory.link import as_float32, both_ways
from hmem_fast.store import TraceStore

__all__ = ["LinkGraph"]


class LinkGraph:
    """Links alone, both ways; all kinds add up. Made when it is first asked for, and anew where links have changed."""

    def __init__(self) -> None:
        self._following = threading.Lock()
        self._change_seq = -1
        self._stamp = 0
        #: Replaced and never changed: somebody may be walking on it.
        self._graph = Graph()

    def follow(self, store: TraceStore) -> Graph:
        """Catch up with the links there are, and give the graph; it stays as it is."""
        with self._following, store.snapshot():
            is_new = self._change_seq < 0
            change = store.changes_since(max(self._change_seq, 0), self._stamp)
            if is_new or change.restart or change.linked or change.removed:
                links = both_ways(store.links())
                graph = Graph()
                if links:
                    sources, targets, weights = zip(*links, strict=True)
                    graph.add(np.array(sources), np.array(targets), as_float32(weights))
                self._graph = graph
            self._change_seq, self._stamp = change.change_seq, change.stamp
            return self._graph
