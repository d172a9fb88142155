"""What one writes without an index: a matrix product and a selection."""

from __future__ import annotations

import numpy as np

from benches.peers.methods.base import Method, SharedIndex

__all__ = ["Numpy", "SklearnBrute", "Torch", "matrix_methods"]


class Numpy(Method):
    """A product, then argpartition and a sort of what it leaves."""

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        scores = queries @ self._index.T
        best = np.argpartition(scores, -k, axis=1)[:, -k:]
        order = np.argsort(-np.take_along_axis(scores, best, 1), axis=1)
        return np.take_along_axis(best, order, 1)

    def nbytes(self) -> int:
        return int(self._index.nbytes)


class Torch(Method):
    """torch.mm and topk, on the same memory as numpy's."""

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        import torch

        with torch.inference_mode():
            ids: np.ndarray = torch.mm(torch.from_numpy(queries), self._index.T).topk(k, dim=1).indices.numpy()
        return ids

    def nbytes(self) -> int:
        return int(self._index.nbytes)


class SklearnBrute(Method):
    """NearestNeighbors, brute force. On unit rows, cosine and Euclidean distance give one order."""

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        ids: np.ndarray = self._index.kneighbors(queries, k, return_distance=False)
        return ids

    def nbytes(self) -> int:
        return int(self._index._fit_X.nbytes)  # noqa: SLF001 - scikit-learn does not tell otherwise


class SklearnCosine(SklearnBrute):
    """The same with its cosine distance, which scales all rows again in each call."""

    largest = 200_000
    why_largest = "copies all rows in each call"


def matrix_methods(threads: int) -> list[Method]:
    """Numpy, torch, and scikit-learn with two distances."""

    def torch_rows(rows: np.ndarray) -> object:
        import torch

        torch.set_num_threads(threads)
        return torch.from_numpy(rows)

    def sklearn_with(metric: str) -> SharedIndex:
        def make(rows: np.ndarray) -> object:
            from sklearn.neighbors import NearestNeighbors

            return NearestNeighbors(algorithm="brute", metric=metric, n_jobs=threads).fit(rows)

        return SharedIndex(make)

    return [
        Numpy("numpy", SharedIndex(lambda rows: rows)),
        Torch("torch", SharedIndex(torch_rows)),
        SklearnBrute("sklearn euclidean", sklearn_with("euclidean")),
        SklearnCosine("sklearn cosine", sklearn_with("cosine")),
    ]
