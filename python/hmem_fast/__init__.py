"""Associative memory on a CPU: store text, recall what was meant from a noisy or paraphrased cue.

Begin with `Memory`. The parts it is made of stand in `hmem_fast.core`, encoders in `hmem_fast.encode`, exceptions in
`hmem_fast.errors`. Importing the package loads numpy and the compiled core; everything else is loaded where it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hmem_fast.core import (
    Associator,
    DenseIndex,
    Graph,
    Separator,
    SparseIndex,
    TextIndex,
    TraceIndex,
    __version__,
    energy,
    index_codes,
    settle,
)
from hmem_fast.lazy import lazy_names
from hmem_fast.types import Candidates, Completion, Neighbours, Settled, Spread

if TYPE_CHECKING:
    from hmem_fast.diagnosis import doctor
    from hmem_fast.memory import Completed, Hit, KeyRecipe, Memory, Recall, Record

__all__ = [
    "Associator",
    "Candidates",
    "Completed",
    "Completion",
    "DenseIndex",
    "Graph",
    "Hit",
    "KeyRecipe",
    "Memory",
    "Neighbours",
    "Recall",
    "Record",
    "Separator",
    "Settled",
    "SparseIndex",
    "Spread",
    "TextIndex",
    "TraceIndex",
    "__version__",
    "doctor",
    "energy",
    "index_codes",
    "settle",
]

_MEMORY = dict.fromkeys(("Completed", "Hit", "KeyRecipe", "Memory", "Recall", "Record"), "hmem_fast.memory")
__getattr__, __dir__ = lazy_names(
    __name__,
    {"doctor": "hmem_fast.diagnosis", **_MEMORY},
    modules=("errors", "types", "whitening", "encode", "store", "memory", "diagnosis"),
)
