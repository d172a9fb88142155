"""The links of the truth as a network that follows it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hmem_fast.memory.link import as_float32
from hmem_fast.memory.live_index import LiveIndex
from hmem_fast.memory.network import DenseNetwork, IndexNetwork, Network, ProjectedNetwork
from hmem_fast.store import LinkRecord, TraceStore
from hmem_fast.types import FloatArray, IdArray

__all__ = ["Associations"]


class _Learnt(NamedTuple):
    """A network, and how much of the truth it has learnt."""

    network: Network
    change_seq: int
    stamp: int
    n_links: int
    last_link: int


class Associations:
    """Made when a chain is first asked for, and current whenever one is.

    New links are learnt on top. Where links went or changed, all are learnt anew: the network is the only thing here
    that remembers them, so what exactly went cannot be told.
    """

    def __init__(self, store: TraceStore, index: LiveIndex, code: str) -> None:
        self._store = store
        self._index = index
        self._code = code
        self._learnt: _Learnt | None = None
        self._learning = threading.Lock()

    def network(self) -> Network:
        """Give the network of all links that are there now."""
        with self._learning, self._store.snapshot() as connection:
            learnt = self._learnt
            seq, stamp = (0, 0) if learnt is None else (learnt.change_seq, learnt.stamp)
            change = self._store.changes_since(seq, stamp)
            if learnt is not None and not change.restart and change.change_seq == seq:
                return learnt.network
            n_links, last_link = connection.execute("SELECT count(*), coalesce(max(link_id), 0) FROM links").fetchone()
            network = None
            # Vectors of memories may have changed, and with them codes that are made of them.
            if learnt is not None and not change.restart and self._code == IndexNetwork.code:
                new = self._store.links_after(learnt.last_link)
                if learnt.n_links + len(new) == n_links:
                    network = learnt.network
                    _learn(network, new)
            if network is None:
                network = self._new()
                _learn(network, self._store.links())
            self._learnt = _Learnt(network, change.change_seq, change.stamp, n_links, last_link)
            return network

    def _new(self) -> Network:
        if self._code == IndexNetwork.code:
            return IndexNetwork()
        if self._code == ProjectedNetwork.code:
            return ProjectedNetwork(self._vectors, self._index.traces.ids)
        return DenseNetwork(self._vectors, self._index.traces.dim)

    def _vectors(self, memory_ids: IdArray) -> FloatArray:
        """One vector a memory: the mean direction of its keys."""
        offsets, _, keys = self._index.traces.vectors(memory_ids)
        sums = np.add.reduceat(np.vstack([keys, np.zeros((1, keys.shape[1]), keys.dtype)]), offsets[:-1], axis=0)
        sums[np.diff(offsets) == 0] = 0
        unit: FloatArray = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-30)
        return unit


def _learn(network: Network, links: Sequence[LinkRecord]) -> None:
    if links:
        network.learn(
            np.array([link.source for link in links], dtype=np.int64),
            np.array([link.target for link in links], dtype=np.int64),
            as_float32([link.weight for link in links]),
        )
