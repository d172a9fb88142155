"""Search and settling on any device that PyTorch knows, a GPU first of all.

The same calls as `hmem_fast.core`, with float32 scores where the core proves the order of a float64 scan. PyTorch is
imported when the first index is made, not with this package: ``pip install "hmem_fast[torch]"``.
"""

from __future__ import annotations

from hmem_fast.torch_core.attractor import settle
from hmem_fast.torch_core.index import TorchIndex

__all__ = ["TorchIndex", "settle"]
