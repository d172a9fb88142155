"""The links between memories as a graph that follows the change log."""

from __future__ import annotations

import threading

import numpy as np

from hmem_fast.core import Graph
from hmem_fast.store import TraceStore

__all__ = ["LinkGraph"]

#: A link weighs no more than this: sums of weights must stay finite.
_MAX_WEIGHT = 1e30


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
        with self._following, store.snapshot() as connection:
            is_new = self._change_seq < 0
            change = store.changes_since(max(self._change_seq, 0), self._stamp)
            if is_new or change.restart or change.linked or change.removed:
                rows = connection.execute(
                    "SELECT min(source, target), max(source, target), sum(weight) FROM links GROUP BY 1, 2"
                ).fetchall()
                self._graph = Graph()
                if rows:
                    sources, targets, weights = (np.array(column) for column in zip(*rows, strict=True))
                    self._graph.add(sources, targets, np.minimum(weights, _MAX_WEIGHT).astype(np.float32))
            self._change_seq, self._stamp = change.change_seq, change.stamp
            return self._graph
