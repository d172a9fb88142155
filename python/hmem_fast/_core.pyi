"""The compiled core. Docstrings stand on the Rust side; `hmem_fast.core` gives the public names."""

from collections.abc import Iterable, Sequence
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmem_fast.types import IdArray, Neighbours

def analyze(text: str, analyzer: str = "english", stop_words: Iterable[str] | None = None) -> list[str]: ...

@final
class SparseIndex:
    def __new__(cls) -> SparseIndex: ...
    def add(
        self,
        units: NDArray[np.integer] | Sequence[ArrayLike],
        weights: NDArray[np.floating] | Sequence[ArrayLike] | None = None,
        ids: ArrayLike | None = None,
        replace: bool = False,
    ) -> IdArray: ...
    def remove(self, ids: ArrayLike) -> None: ...
    def search(
        self,
        units: NDArray[np.integer] | Sequence[ArrayLike],
        weights: NDArray[np.floating] | Sequence[ArrayLike] | None,
        k: int,
        *,
        allowed: ArrayLike | None = None,
        threads: int = 1,
    ) -> Neighbours: ...
    @property
    def ids(self) -> IdArray: ...
    @property
    def nbytes(self) -> int: ...
    def __len__(self) -> int: ...
    def __contains__(self, item: object, /) -> bool: ...

@final
class TextIndex:
    def __new__(
        cls,
        analyzer: str = "english",
        *,
        stop_words: Iterable[str] | None = None,
        k1: float = 1.2,
        b: float = 0.75,
    ) -> TextIndex: ...
    def analyze(self, text: str) -> list[str]: ...
    def add(self, texts: Iterable[str], ids: ArrayLike | None = None, replace: bool = False) -> IdArray: ...
    def remove(self, ids: ArrayLike) -> None: ...
    def search(
        self, texts: Iterable[str], k: int, *, allowed: ArrayLike | None = None, threads: int = 1
    ) -> Neighbours: ...
    @property
    def ids(self) -> IdArray: ...
    @property
    def nbytes(self) -> int: ...
    def __len__(self) -> int: ...
    def __contains__(self, item: object, /) -> bool: ...
