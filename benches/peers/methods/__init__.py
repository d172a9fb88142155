"""The methods that are compared, in the order of the table."""

from __future__ import annotations

from benches.peers.methods.base import Method
from benches.peers.methods.faiss_scans import BASELINE, TUNED, faiss_scans
from benches.peers.methods.graphs import graph_methods
from benches.peers.methods.matrix import matrix_methods
from benches.peers.methods.own import own_methods

__all__ = ["BASELINE", "TUNED", "Method", "all_methods"]


def all_methods(threads: int) -> list[Method]:
    """Make every method anew, with nothing built."""
    return [*own_methods(threads), *faiss_scans(threads), *matrix_methods(threads), *graph_methods(threads)]
