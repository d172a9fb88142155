"""Immutable blocks of rows on a device, and the list of them that an index is.

The scheme is the core's (`rust/hmem-core/src/segment.rs`): a write makes a new list and leaves the old one as it is, so
a search works on what it began with. Adding appends a segment and merges neighbours of similar size, removing marks
rows, and a segment that is mostly dead is rewritten. A segment past `SEGMENT_BYTES` is left as it is, so that growth
never copies everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hmem_fast.errors import ShapeError
from hmem_fast.torch_core.device import Device, Tensor
from hmem_fast.torch_core.normal_form import NormalRows
from hmem_fast.types import IdArray, ScoreArray

__all__ = ["SEGMENT_BYTES", "Ids", "Mask", "Segment", "View", "tidied"]

#: Rows of this size together are not copied again when others are added.
SEGMENT_BYTES = 1 << 28

Mask = NDArray[np.bool_]


class Ids:
    """Ids of rows, with a way to find a row by its id."""

    __slots__ = ("_ascending", "_order", "by_row")

    def __init__(self, by_row: IdArray) -> None:
        self.by_row = by_row
        #: Rows by ascending id; None where the ids ascend already, as they do unless the caller chose others.
        self._order = None if (by_row[1:] > by_row[:-1]).all() else np.argsort(by_row)
        self._ascending = by_row if self._order is None else by_row[self._order]

    def rows_of(self, ids: IdArray) -> tuple[IdArray, Mask]:
        """Row of each id, and whether it is there; where it is not, the row says nothing."""
        place = np.minimum(np.searchsorted(self._ascending, ids), len(self.by_row) - 1)
        row = place if self._order is None else self._order[place]
        return row, self.by_row[row] == ids

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.by_row.nbytes * (1 if self._order is None else 3)


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """Rows on the device; beside them, on the host, what is needed to find and to give them back.

    Shapes
    ------
    rows       (c, d)  float32 on the device, in normal form
    scale      (c,)    on the device: what a product with a row is multiplied with to be its score
    exponents  (c,)    int16
    norms      (c,)    float64
    ids        of the rows
    live       (c,)    bool: False for rows that were removed
    keep       (c,)    `live` on the device; None while all rows are live
    """

    rows: Tensor
    scale: Tensor
    exponents: NDArray[np.int16]
    norms: ScoreArray
    ids: Ids
    live: Mask
    keep: Tensor | None = None
    n_live: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_live", int(np.count_nonzero(self.live)))

    def __len__(self) -> int:
        return len(self.live)

    @property
    def live_ids(self) -> IdArray:
        """Ids of the live rows."""
        return self.ids.by_row[self.live]

    @property
    def nbytes(self) -> int:
        """Bytes on the device and beside it."""
        on_device = [tensor for tensor in (self.rows, self.scale, self.keep) if tensor is not None]
        beside = self.exponents.nbytes + self.norms.nbytes + self.ids.nbytes + self.live.nbytes
        return beside + sum(int(tensor.numel() * tensor.element_size()) for tensor in on_device)

    def rows_of(self, ids: IdArray) -> IdArray:
        """Row of each id; -1 where it is not here or was removed."""
        row, there = self.ids.rows_of(ids)
        return np.where(there & self.live[row], row, -1)

    def without(self, rows: IdArray, device: Device) -> Segment:
        """Mark rows as removed."""
        live = self.live.copy()
        live[rows] = False
        # The device gets a copy: on the CPU it would share the memory of `live`.
        return replace(self, live=live, keep=device.put(live.copy()))

    def take(self, rows: IdArray, device: Device) -> NormalRows:
        """Bring rows back to the host."""
        stored = device.fetch(self.rows.index_select(0, device.at(rows)))
        return NormalRows(stored, self.exponents[rows].astype(np.int64), self.norms[rows])


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What an index holds at one moment. Rows stand in the order in which they were added."""

    segments: tuple[Segment, ...] = ()

    def __len__(self) -> int:
        return sum(segment.n_live for segment in self.segments)

    @property
    def ids(self) -> IdArray:
        """Ids of the live rows."""
        return np.concatenate([np.empty(0, np.int64), *(segment.live_ids for segment in self.segments)])

    def locate(self, ids: IdArray) -> tuple[IdArray, IdArray]:
        """Number of the segment and row of each id; both -1 where it is not there."""
        part = np.full(len(ids), -1)
        row = np.full(len(ids), -1)
        for number, segment in enumerate(self.segments):
            found = segment.rows_of(ids)
            part[found >= 0] = number
            row[found >= 0] = found[found >= 0]
        return part, row

    def holds(self, ids: IdArray) -> Mask:
        """Say of each id whether it is there."""
        return self.locate(ids)[0] >= 0

    def take(self, ids: IdArray, dim: int, device: Device) -> NormalRows:
        """Bring the rows with these ids, all of which are there, back to the host."""
        n = len(ids)
        taken = NormalRows(np.empty((n, dim), np.float32), np.empty(n, np.int64), np.empty(n))
        part, row = self.locate(ids)
        for number in np.unique(part):
            here = part == number
            rows = self.segments[number].take(row[here], device)
            taken.stored[here], taken.exponents[here], taken.norms[here] = rows
        return taken

    def masks(self, allowed: IdArray | Mask) -> list[Mask]:
        """For each segment the live rows that `allowed` lets through.

        Raises
        ------
        ShapeError
            If a mask has not one entry a live row.
        """
        masks = [np.zeros(len(segment), np.bool_) for segment in self.segments]
        if allowed.dtype != np.bool_:
            part, row = self.locate(allowed.astype(np.int64))
            for number, mask in enumerate(masks):
                mask[row[part == number]] = True
            return masks
        if len(allowed) != len(self):
            raise ShapeError(
                f"allowed: wanted {len(self)} entries (one for each of the rows in the index), got {len(allowed)}"
            )
        starts = np.cumsum([segment.n_live for segment in self.segments])[:-1]
        for segment, mask, entries in zip(self.segments, masks, np.split(allowed, starts), strict=False):
            mask[segment.live] = entries
        return masks

    def without(self, ids: IdArray, device: Device) -> Iterator[Segment]:
        """Give the segments without these ids; ids that are not there are passed over."""
        part, row = self.locate(ids)
        for number, segment in enumerate(self.segments):
            gone = row[part == number]
            yield segment.without(gone, device) if len(gone) else segment


def tidied(segments: Sequence[Segment], device: Device) -> View:
    """Drop empty segments, rewrite those that are mostly dead, merge neighbours of similar size."""
    kept: list[Segment] = []
    for segment in segments:
        if segment.n_live == 0:
            continue
        kept.append(_merged([segment], device) if segment.n_live * 2 < len(segment) else segment)
        while len(kept) > 1 and _worth_merging(*kept[-2:]):
            kept[-2:] = [_merged(kept[-2:], device)]
    return View(tuple(kept))


def _worth_merging(older: Segment, newer: Segment) -> bool:
    row_bytes = older.rows.shape[1] * 4
    return newer.n_live * 2 > older.n_live and (older.n_live + newer.n_live) * row_bytes <= SEGMENT_BYTES


def _merged(segments: Sequence[Segment], device: Device) -> Segment:
    chosen = [None if segment.keep is None else device.at(np.flatnonzero(segment.live)) for segment in segments]

    def joined(tensors: Sequence[Tensor]) -> Tensor:
        live = [t if rows is None else t.index_select(0, rows) for t, rows in zip(tensors, chosen, strict=True)]
        return device.torch.cat(live)

    ids = np.concatenate([segment.live_ids for segment in segments])
    return Segment(
        rows=joined([segment.rows for segment in segments]),
        scale=joined([segment.scale for segment in segments]),
        exponents=np.concatenate([segment.exponents[segment.live] for segment in segments]),
        norms=np.concatenate([segment.norms[segment.live] for segment in segments]),
        ids=Ids(ids),
        live=np.ones(len(ids), np.bool_),
    )
