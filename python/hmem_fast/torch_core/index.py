"""`TorchIndex`: rows under ids on a device, searched by many threads while one adds and removes."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from hmem_fast.errors import DuplicateIdError, InvalidValueError, ShapeError, UnknownIdError
from hmem_fast.torch_core import argument, scan
from hmem_fast.torch_core.device import Device
from hmem_fast.torch_core.normal_form import NormalRows, normal_form, power_of_two
from hmem_fast.torch_core.segment import Ids, Segment, View, tidied
from hmem_fast.types import FloatArray, IdArray, Neighbours, ScoreArray

if TYPE_CHECKING:
    from hmem_fast.core import DenseIndex
    from hmem_fast.types import Index

__all__ = ["TorchIndex"]

_MAX_DIM = 1 << 20
_LARGEST_ID = np.iinfo(np.int64).max
#: Why PyTorch is asked for.
_PURPOSE = "TorchIndex"


class TorchIndex:
    """Similarity search over float32 rows on any device of PyTorch.

    The calls, errors and states are those of `hmem_fast.core.DenseIndex`. Scores are computed in float32: they differ
    from the core's by at most 1e-5 (under dot: times the lengths of row and query), rows closer together than that may
    change places, and equal scores come in any order. Rows are held in normal form, so numbers of any size that float32
    holds keep that accuracy.

    Any number of threads may search while one adds or removes: a search works on what the index held when it began, and
    sees all of a write or nothing of it. Do not change an array before the call that it was given to returns. After a
    fork the child cannot use an index on a GPU, as torch cannot.

    Parameters
    ----------
    dim : int
        Width of the rows, 1 to 1048576.
    metric : {"cosine", "dot"}
        ``"cosine"`` scales rows and queries to unit length and refuses rows of zeros, which have no direction.
        ``"dot"`` takes the inner product as it is; scores beyond the range of float32 are given as its largest number.
    device : str or torch.device, optional
        Where the rows lie, such as ``"cuda"`` or ``"cuda:1"``; it must have float64. Default: torch's default device,
        which is the CPU unless ``torch.set_default_device`` was called.

    Attributes
    ----------
    dim : int
        Width of the rows.
    metric : str
        What a score is.
    device : str
        Where the rows lie.
    nbytes : int
        Bytes held by rows, ids and marks, on the device and beside it.
    ids : (n,) int64
        The ids, in the order in which the rows were added.

    Raises
    ------
    MissingDependencyError
        If PyTorch is not installed.
    InvalidValueError
        For a width or a metric that there is not, or a device that cannot be used here.

    Examples
    --------
    >>> index = TorchIndex(3, device="cpu")
    >>> index.add(np.eye(3, dtype=np.float32))
    array([0, 1, 2])
    >>> index.search(np.array([[0.0, 0.8, 0.6]], dtype=np.float32), k=2).ids
    array([[1, 2]])
    >>> index
    TorchIndex(dim=3, metric='cosine', device='cpu', n=3)
    """

    __slots__ = ("_device", "_dim", "_metric", "_next_id", "_view", "_writing")

    def __init__(self, dim: int, metric: Literal["cosine", "dot"] = "cosine", *, device: object = None) -> None:
        self._dim = argument.count(dim, "dim")
        if self._dim > _MAX_DIM:
            raise InvalidValueError(f"dim: wanted 1 to {_MAX_DIM}, got {dim}")
        if metric not in ("cosine", "dot"):
            raise InvalidValueError(f'metric: wanted "cosine" or "dot", got "{metric}"')
        self._metric: Literal["cosine", "dot"] = metric
        self._device = Device(device, purpose=_PURPOSE)
        # Both are replaced by writers only, which hold the lock; a search reads the view once.
        self._view = View()
        self._next_id = 0
        self._writing = Lock()

    def add(self, rows: ArrayLike, ids: ArrayLike | None = None, replace: bool = False) -> IdArray:  # noqa: FBT001, FBT002 - as the core's
        """Add rows: all of them or, if one is refused, none.

        Parameters
        ----------
        rows : (n, dim) float32
            float64 and float16 are cast.
        ids : (n,) int64, optional
            Zero or more, each once. Default: the next ones that were never used.
        replace : bool
            Remove rows that have one of the ids in the same step; the new ones come last in order.

        Returns
        -------
        (n,) int64
            The ids of the rows.

        Raises
        ------
        InvalidValueError
            If a row holds NaN or an infinity or, under cosine, only zeros; the message names it.
        DuplicateIdError
            If an id is in use (without `replace`) or stands twice.
        ShapeError, DTypeError
            If the rows have another width, or are no floats.

        Examples
        --------
        >>> index = TorchIndex(2, device="cpu")
        >>> index.add([[1.0, 0.0], [0.0, 1.0]], ids=[7, 3])
        array([7, 3])
        >>> index.add([[1.0, 1.0]])
        array([8])
        """
        new = argument.floats(rows, "rows", ("n", self._dim))
        named = None if ids is None else argument.integers(ids, "ids")
        return self._add(normal_form(new, "rows", zeros=self._metric == "dot"), named, replace=replace)

    def _add(self, rows: NormalRows, named: IdArray | None, *, replace: bool) -> IdArray:
        n = len(rows.exponents)
        with self._writing:
            view = self._view
            if named is None:
                if n > _LARGEST_ID - self._next_id:
                    raise InvalidValueError(
                        f"ids: {self._next_id} is the largest id there is, so none can be given after it; name the ids"
                    )
                ids = np.arange(self._next_id, self._next_id + n, dtype=np.int64)
            else:
                _check_new(view, named, n, replace=replace)
                ids = named
            if n > 0:
                older = view.without(ids, self._device) if replace else view.segments
                self._publish(tidied([*older, self._segment(rows, ids)], self._device))
                self._next_id = max(self._next_id, min(int(ids.max()) + 1, _LARGEST_ID))
        return ids.copy()

    def _segment(self, rows: NormalRows, ids: IdArray) -> Segment:
        # A product with a row becomes a score by this factor. Under dot it may leave float32, and so the scores do.
        scale = (1.0 / rows.norms).astype(np.float32) if self._metric == "cosine" else power_of_two(rows.exponents)
        return Segment(
            rows=self._device.put(rows.stored),
            scale=self._device.put(scale),
            exponents=rows.exponents.astype(np.int16),
            norms=rows.norms,
            ids=Ids(ids),
            live=np.ones(len(ids), np.bool_),
        )

    def _publish(self, view: View) -> None:
        self._device.finish()
        self._view = view

    def remove(self, ids: ArrayLike) -> None:
        """Remove the rows with these ids; all of them or, if one is unknown, none.

        Raises
        ------
        UnknownIdError
            If an id is not there.
        DuplicateIdError
            If an id stands twice.

        Examples
        --------
        >>> index = TorchIndex(2, device="cpu")
        >>> ids = index.add([[1.0, 0.0], [0.0, 1.0]])
        >>> index.remove(ids[:1])
        >>> index.ids
        array([1])
        """
        gone = argument.integers(ids, "ids")
        with self._writing:
            view = self._view
            _check_distinct(gone)
            _check_known(view, gone)
            if len(gone) > 0:
                self._publish(tidied([*view.without(gone, self._device)], self._device))

    def search(
        self,
        queries: ArrayLike,
        k: int,
        *,
        allowed: ArrayLike | None = None,
        exact: bool = True,
        threads: int = 1,
    ) -> Neighbours:
        """Find the `k` rows most similar to each query.

        Parameters
        ----------
        queries : (m, dim) float32
            float64 and float16 are cast.
        k : int
            Rows a query, 1 or more. Above the number of rows ``n`` it gives ``n`` columns.
        allowed : (j,) int64 or (n,) bool, optional
            Ids that may be answered (unknown ones allow nothing), or one entry for each row in the order of `ids`.
        exact : bool
            False allows an approximate answer where that is faster. At present all rows are scored either way.
        threads : int
            1 or more; the device has its own way of sharing the work, so it changes nothing here.

        Returns
        -------
        Neighbours
            ``ids`` (m, min(k, n)) int64 and ``scores`` float32 of that shape, best first. Where `allowed` leaves fewer
            hits than columns, the id is -1 and the score ``-inf``.

        Raises
        ------
        ShapeError
            If a width differs, or a mask has not one entry a row.
        InvalidValueError
            If `k` or `threads` is below 1, or a query holds NaN, an infinity or, under cosine, only zeros.

        Examples
        --------
        >>> index = TorchIndex(2, metric="dot", device="cpu")
        >>> ids = index.add([[1.0, 0.0], [0.0, 1.0], [3.0, 3.0]])
        >>> index.search([[1.0, 0.5]], k=2)
        Neighbours(ids=array([[2, 0]]), scores=array([[4.5, 1. ]], dtype=float32))
        >>> index.search([[1.0, 0.5]], k=2, allowed=[1]).ids
        array([[ 1, -1]])
        """
        del exact  # nothing faster exists yet
        asked = argument.floats(queries, "queries", ("m", self._dim))
        k = argument.count(k, "k")
        argument.count(threads, "threads")
        lets_through = argument.allowed(allowed)
        normal = normal_form(asked, "queries", zeros=self._metric == "dot")
        view = self._view
        masks = None if lets_through is None else view.masks(lets_through)
        columns = min(k, len(view))
        if self._metric == "cosine":
            ids, scores = scan.best(view, normal.units(), columns, masks, self._device)
        else:
            ids, scores = scan.best(view, normal.stored, columns, masks, self._device)
            scores *= power_of_two(normal.exponents)[:, None]
        return Neighbours(ids, _delivered(scores))

    def vectors(self, ids: ArrayLike) -> FloatArray:
        """Give the rows with these ids: scaled to unit length under cosine, as they were added under dot.

        Returns
        -------
        (len(ids), dim) float32

        Raises
        ------
        UnknownIdError
            If an id is not there.

        Examples
        --------
        >>> index = TorchIndex(2, device="cpu")
        >>> index.vectors(index.add([[0.0, 2.0]]))
        array([[0., 1.]], dtype=float32)
        """
        wanted = argument.integers(ids, "ids")
        view = self._view
        _check_known(view, wanted)
        rows = view.take(wanted, self._dim, self._device)
        return rows.units() if self._metric == "cosine" else rows.originals()

    @property
    def dim(self) -> int:
        """Width of the rows."""
        return self._dim

    @property
    def metric(self) -> str:
        """What a score is."""
        return self._metric

    @property
    def device(self) -> str:
        """Where the rows lie."""
        return self._device.name

    @property
    def nbytes(self) -> int:
        """Bytes held by rows, ids and marks, on the device and beside it."""
        return sum(segment.nbytes for segment in self._view.segments)

    @property
    def ids(self) -> IdArray:
        """The ids, in the order in which the rows were added."""
        return self._view.ids

    def __len__(self) -> int:
        return len(self._view)

    def __contains__(self, id: object, /) -> bool:  # noqa: A002 - the core's name for it
        try:
            number = operator.index(id)  # type: ignore[arg-type]  # asked here
        except TypeError:
            return False
        return 0 <= number <= _LARGEST_ID and bool(self._view.holds(np.array([number], np.int64))[0])

    def __repr__(self) -> str:
        return f"TorchIndex(dim={self._dim}, metric='{self._metric}', device='{self.device}', n={len(self)})"

    def state(self) -> dict[str, Any]:
        """Give all that is needed to make an equal index, on this or another device, or a `DenseIndex`.

        Examples
        --------
        >>> from hmem_fast.core import DenseIndex
        >>> index = TorchIndex(2, metric="dot", device="cpu")
        >>> ids = index.add([[0.0, 3.0]])
        >>> sorted(index.state())
        ['dim', 'exponents', 'ids', 'metric', 'next_id', 'rows']
        >>> DenseIndex.from_state(index.state())
        DenseIndex(dim=2, metric='dot', n=1)
        """
        with self._writing:
            view, next_id = self._view, self._next_id
        ids = view.ids
        rows = view.take(ids, self._dim, self._device)
        return {
            "dim": self._dim,
            "metric": self._metric,
            "rows": rows.stored,
            "exponents": rows.exponents,
            "ids": ids,
            "next_id": next_id,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], *, device: object = None) -> Self:
        """Make an index equal to the one that `state` was taken from, be it a `TorchIndex` or a `DenseIndex`.

        Parameters
        ----------
        state : dict
            From `state`.
        device : str or torch.device, optional
            As for a new index; a state names none.

        Examples
        --------
        >>> from hmem_fast.core import DenseIndex
        >>> index = DenseIndex(2, metric="dot")
        >>> ids = index.add([[0.0, 3.0]])
        >>> TorchIndex.from_state(index.state(), device="cpu")
        TorchIndex(dim=2, metric='dot', device='cpu', n=1)
        """
        index = cls(state["dim"], state["metric"], device=device)
        stored = argument.floats(state["rows"], "rows", ("n", index._dim))
        rows = normal_form(stored, "rows", zeros=index._metric == "dot")
        exponents = argument.integers(state["exponents"], "exponents")
        index._add(rows.scaled(exponents), argument.integers(state["ids"], "ids"), replace=False)
        index._next_id = max(index._next_id, operator.index(state["next_id"]))
        return index

    def __reduce__(self) -> tuple[Callable[[dict[str, Any]], Self], tuple[dict[str, Any]]]:
        return partial(type(self).from_state, device=self.device), (self.state(),)


def _check_distinct(ids: IdArray) -> None:
    distinct, first = np.unique(ids, return_index=True)
    if len(distinct) < len(ids):
        repeated = np.setdiff1d(np.arange(len(ids)), first)[0]
        raise DuplicateIdError(f"ids: {ids[repeated]} stands twice in one call")


def _check_known(view: View, ids: IdArray) -> None:
    known = view.holds(ids)
    if not known.all():
        raise UnknownIdError(f"ids: {ids[known.argmin()]} is not in the index")


def _check_new(view: View, ids: IdArray, n: int, *, replace: bool) -> None:
    if len(ids) != n:
        raise ShapeError(f"ids: wanted {n} (one for each row), got {len(ids)}")
    if n > 0 and ids.min() < 0:
        negative = ids[(ids < 0).argmax()]
        raise InvalidValueError(f"ids: wanted 0 or more, got {negative} (negative ids mark empty places in results)")
    _check_distinct(ids)
    if not replace and (used := view.holds(ids)).any():
        raise DuplicateIdError(f"ids: {ids[used.argmax()]} is already in use (pass replace=True to replace it)")


def _delivered(scores: ScoreArray) -> FloatArray:
    """Scores as float32. Products of huge rows are held at the largest number: -inf says that there is no hit."""
    limits = np.finfo(np.float32)
    with np.errstate(under="ignore"):
        held = np.clip(scores, limits.min, limits.max).astype(np.float32)
    held[np.isneginf(scores)] = -np.inf
    return held


if TYPE_CHECKING:  # mypy fails here if one of the two drifts from what they share

    def _share_a_protocol(dense: DenseIndex, torch: TorchIndex) -> tuple[Index, Index]:
        return dense, torch
