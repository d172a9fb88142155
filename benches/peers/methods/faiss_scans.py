"""Scans of faiss: over float32 rows, and over short codes whose best are scored again with the rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from benches.peers.methods.base import Method, SharedIndex

__all__ = ["BASELINE", "TUNED", "FaissFlat", "FaissRefined", "faiss_scans"]

BASELINE = "faiss flat"
"""What ratios are to: IndexFlatIP with faiss' own settings."""

TUNED = "faiss flat blas20q"
"""IndexFlatIP as fast as its settings make it: its own loop for few queries, BLAS for 20 and more in a call."""

_FLOAT = 4


class FaissFlat(Method):
    """IndexFlatIP with a value of ``faiss.cvar.distance_compute_blas_threshold``; None leaves faiss' default.

    In faiss 1.15.1, BLAS is used where queries times width is at least the threshold; earlier versions compared the
    number of queries alone. `tests/test_bench_peers.py` sees it in the bits of scores where faiss is installed.
    """

    def __init__(
        self, name: str, shared: SharedIndex, *, threshold: int | None = None, per_width: bool = False
    ) -> None:
        super().__init__(name, shared)
        self._threshold = threshold
        self._per_width = per_width

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        import faiss

        # The setting is the process', so it is put back for whoever searches next.
        default = faiss.cvar.distance_compute_blas_threshold
        if self._threshold is not None:
            factor = queries.shape[1] if self._per_width else 1
            faiss.cvar.distance_compute_blas_threshold = self._threshold * factor
        try:
            ids: np.ndarray = self._index.search(queries, k)[1]
        finally:
            faiss.cvar.distance_compute_blas_threshold = default
        return ids

    def nbytes(self) -> int:
        return int(self._index.ntotal * self._index.sa_code_size())


class FaissRefined(Method):
    """An index over codes inside IndexRefineFlat, which scores the best `factor` · k again with the float32 rows."""

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        ids: np.ndarray = self._index.search(queries, k)[1]
        return ids

    def nbytes(self) -> int:
        import faiss

        rows = int(self._index.ntotal) * int(self._index.d) * _FLOAT
        return rows + int(faiss.serialize_index(self._index.base_index).nbytes)


def faiss_scans(threads: int) -> list[Method]:
    """Flat with three settings of BLAS, SQ8, and RaBitQ."""

    def flat(faiss: Any, width: int) -> Any:
        return faiss.IndexFlatIP(width)

    def sq8(faiss: Any, width: int) -> Any:
        codes = faiss.IndexScalarQuantizer(width, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
        return _refined(faiss, codes, factor=4)

    def rabitq(faiss: Any, width: int) -> Any:
        if not hasattr(faiss, "IndexRaBitQFastScan"):
            raise ImportError(f"faiss {faiss.__version__} has no IndexRaBitQFastScan")
        # The codes are signs: without a rotation they would depend on the axes. faiss leaves it to the caller.
        codes = faiss.IndexRaBitQFastScan(width, faiss.METRIC_INNER_PRODUCT)
        return _refined(faiss, faiss.IndexPreTransform(faiss.RandomRotationMatrix(width, width), codes), factor=10)

    shared = _index(flat, threads)
    return [
        FaissFlat(BASELINE, shared),
        FaissFlat(TUNED, shared, threshold=20, per_width=True),
        FaissFlat("faiss flat threshold 20", shared, threshold=20),
        FaissRefined("faiss sq8 refine x4", _index(sq8, threads)),
        FaissRefined("faiss rabitq refine x10", _index(rabitq, threads)),
    ]


def _refined(faiss: Any, codes: Any, *, factor: int) -> Any:
    refined = faiss.IndexRefineFlat(codes)
    refined.k_factor = factor
    return refined


def _index(make: Any, threads: int) -> SharedIndex:
    def build(rows: np.ndarray) -> Any:
        import faiss

        faiss.omp_set_num_threads(threads)
        index = make(faiss, rows.shape[1])
        index.train(rows)
        index.add(rows)
        return index

    return SharedIndex(build)
