"""Graphs of small worlds: faiss, hnswlib and usearch. One graph a library, searched with several efforts."""

from __future__ import annotations

from typing import Any

import numpy as np

from benches.peers.methods.base import Method, SharedIndex

__all__ = ["EF_BUILD", "LINKS", "FaissHnsw", "Hnswlib", "UsearchExact", "UsearchHnsw", "graph_methods"]

LINKS = 32
EF_BUILD = 200
"""The same effort in building for all three. (faiss' own default is 40, usearch's 128.)"""


class _Graph(Method):
    largest = 200_000
    why_largest = "with one thread its graph takes too long to build"

    def __init__(self, name: str, shared: SharedIndex, *, ef: int, threads: int) -> None:
        super().__init__(name, shared)
        self._ef = ef
        self._threads = threads


class FaissHnsw(_Graph):
    """IndexHNSWFlat over float32 rows."""

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        self._index.hnsw.efSearch = self._ef
        ids: np.ndarray = self._index.search(queries, k)[1]
        return ids

    def nbytes(self) -> int:
        import faiss

        return int(faiss.serialize_index(self._index).nbytes)


class Hnswlib(_Graph):
    """The library of HNSW's authors, over float32 rows."""

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        self._index.set_ef(self._ef)
        ids: np.ndarray = self._index.knn_query(queries, k, num_threads=self._threads)[0].astype(np.int64)
        return ids

    def nbytes(self) -> int:
        return int(self._index.index_file_size())


class UsearchHnsw(_Graph):
    """Index of usearch over codes of 8 bits; it does not score again with the rows."""

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        self._index.expansion_search = self._ef
        return _usearch_ids(self._index.search(queries, k, threads=self._threads), len(queries), k)

    def nbytes(self) -> int:
        return int(self._index.serialized_length)


class UsearchExact(Method):
    """usearch.index.search with exact=True, over the float32 matrix."""

    def __init__(self, name: str, shared: SharedIndex, *, threads: int) -> None:
        super().__init__(name, shared)
        self._threads = threads

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        from usearch.index import MetricKind, search

        found = search(self._index, queries, k, MetricKind.IP, exact=True, threads=self._threads)
        return _usearch_ids(found, len(queries), k)

    def nbytes(self) -> int:
        return int(self._index.nbytes)


def graph_methods(threads: int) -> list[Method]:
    """Usearch's scan, and the graphs."""

    def usearch_rows(rows: np.ndarray) -> np.ndarray:
        import usearch.index  # noqa: F401 - here it is said if it is missing

        return rows

    def faiss_graph(rows: np.ndarray) -> Any:
        import faiss

        faiss.omp_set_num_threads(threads)
        graph = faiss.IndexHNSWFlat(rows.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction = EF_BUILD
        graph.add(rows)
        return graph

    def hnswlib_graph(rows: np.ndarray) -> Any:
        import hnswlib

        graph = hnswlib.Index("ip", rows.shape[1])
        graph.init_index(len(rows), M=LINKS, ef_construction=EF_BUILD)
        graph.set_num_threads(threads)
        graph.add_items(rows, np.arange(len(rows)))
        return graph

    def usearch_graph(rows: np.ndarray) -> Any:
        from usearch.index import Index

        graph = Index(ndim=rows.shape[1], metric="ip", dtype="i8", connectivity=LINKS, expansion_add=EF_BUILD)
        graph.add(np.arange(len(rows)), rows, threads=threads)
        return graph

    by_faiss, by_hnswlib, by_usearch = (SharedIndex(make) for make in (faiss_graph, hnswlib_graph, usearch_graph))
    efforts = (32, 64, 256)
    return [
        UsearchExact("usearch exact", SharedIndex(usearch_rows), threads=threads),
        *(FaissHnsw(f"faiss hnsw ef{ef}", by_faiss, ef=ef, threads=threads) for ef in efforts),
        *(Hnswlib(f"hnswlib ef{ef}", by_hnswlib, ef=ef, threads=threads) for ef in efforts),
        *(UsearchHnsw(f"usearch i8 ef{ef}", by_usearch, ef=ef, threads=threads) for ef in efforts),
    ]


def _usearch_ids(found: Any, queries: int, k: int) -> np.ndarray:
    """Keys as (queries, k): one query comes back without an axis, and missing places hold anything."""
    keys = np.asarray(found.keys).reshape(queries, -1).astype(np.int64)
    counts = np.asarray(getattr(found, "counts", len(found))).reshape(-1, 1)
    ids = np.full((queries, k), -1, dtype=np.int64)
    ids[:, : keys.shape[1]] = np.where(np.arange(keys.shape[1]) < counts, keys, -1)
    return ids
