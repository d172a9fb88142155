"""What computes: the compiled core, and PyTorch on each device. Each with how closely it keeps to a float64 scan."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from hmem_fast import core, torch_core
from hmem_fast.core import DenseIndex
from hmem_fast.torch_core import TorchIndex
from strategies import float64_scan, float64_scores

#: What float32 scores may be off by, times the lengths of row and query.
TOLERANCE = 1e-5


class CoreKind:
    """`DenseIndex`: the order of a float64 scan, equal scores in the order of their rows."""

    name = "core"

    def __call__(self, dim, metric="cosine"):
        return DenseIndex(dim, metric=metric)

    from_state = staticmethod(DenseIndex.from_state)
    settle = staticmethod(core.settle)

    def ready(self):
        return self

    def filled(self, rows, metric="cosine"):
        index = self(rows.shape[1], metric)
        index.add(rows)
        return index

    def check_answer(self, found, ids, rows, queries, metric="cosine"):
        """Hold `found` against a scan of `rows`, which have these `ids`; places that are left are empty."""
        columns = found.ids.shape[1]
        wanted = np.full((len(queries), columns), -1)
        if len(ids):
            best = float64_scan(rows, queries, columns, metric)
            wanted[:, : best.shape[1]] = ids[best]
        np.testing.assert_array_equal(found.ids, wanted)
        np.testing.assert_array_equal(np.isneginf(found.scores), wanted == -1)


class TorchKind(CoreKind):
    """`TorchIndex` on one device: scores to the tolerance, and the best rows up to as much."""

    def __init__(self, name):
        self.name = name

    def __call__(self, dim, metric="cosine"):
        return TorchIndex(dim, metric=metric, device=self.name)

    def from_state(self, state):
        return TorchIndex.from_state(state, device=self.name)

    def settle(self, cue, patterns, beta, steps):
        return torch_core.settle(cue, patterns, beta, steps, device=self.name)

    def ready(self):
        torch = pytest.importorskip("torch", reason="needs the extra torch")
        if self.name == "cuda" and not torch.cuda.is_available():
            pytest.skip("torch sees no CUDA device here")
        return self

    def check_answer(self, found, ids, rows, queries, metric="cosine"):
        limits = np.finfo(np.float32)
        for query, hits, scores in zip(queries, found.ids, found.scores, strict=True):
            hits, scores = hits[: min(len(ids), len(hits))], scores[: min(len(ids), len(hits))]
            assert (found.ids[:, len(hits) :] == -1).all()
            assert np.isneginf(found.scores[:, len(hits) :]).all()
            if not len(hits):
                continue
            assert (scores[1:] <= scores[:-1]).all()
            assert len(set(hits.tolist())) == len(hits)
            exact = float64_scores(rows, query, metric)
            off = TOLERANCE * (lengths(rows) * lengths(query[None]) if metric == "dot" else np.ones(len(rows)))
            place = np.array([np.flatnonzero(ids == hit)[0] for hit in hits])
            difference = np.abs(scores - np.clip(exact[place], limits.min, limits.max))
            assert (difference <= off[place] + limits.smallest_subnormal).all()
            missed = np.setdiff1d(np.arange(len(ids)), place)
            if len(missed):
                assert (exact[missed] - off[missed]).max() <= (exact[place] + off[place]).min()


def lengths(rows):
    """Length of each row, in float64: the square of a float32 fits there."""
    return np.linalg.norm(rows.astype(np.float64), axis=1)


_torch = partial(pytest.param, marks=pytest.mark.torch)
TORCH_KINDS = [_torch(TorchKind(name), id=name) for name in ("cpu", "cuda")]
KINDS = [pytest.param(CoreKind(), id="core"), *TORCH_KINDS]
