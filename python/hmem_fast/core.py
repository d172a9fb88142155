"""The compiled parts, under the names that users find and read about them.

Everything here is written in Rust (`hmem_fast._core`), releases the interpreter lock while it computes, and can be
searched from several threads at once.
"""

from __future__ import annotations

from hmem_fast._core import (
    Associator,
    DenseIndex,
    Graph,
    OpenedSnapshot,
    Separator,
    SnapshotFolder,
    SnapshotInfo,
    SparseIndex,
    TextEncoder,
    TextIndex,
    Tokenizer,
    TraceIndex,
    __version__,
    analyze,
    cpu_features,
    energy,
    index_codes,
    isa,
    read_safetensors,
    row_checksum,
    settle,
)

__all__ = [
    "Associator",
    "DenseIndex",
    "Graph",
    "OpenedSnapshot",
    "Separator",
    "SnapshotFolder",
    "SnapshotInfo",
    "SparseIndex",
    "TextEncoder",
    "TextIndex",
    "Tokenizer",
    "TraceIndex",
    "__version__",
    "analyze",
    "cpu_features",
    "energy",
    "index_codes",
    "isa",
    "read_safetensors",
    "row_checksum",
    "settle",
]
