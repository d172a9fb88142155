"""Scores of all rows, and the best of them. The block of scores that is held at once is bounded."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hmem_fast.torch_core.device import Device, Tensor
from hmem_fast.torch_core.segment import Mask, View
from hmem_fast.types import FloatArray, IdArray, ScoreArray

__all__ = ["SCORES_AT_ONCE", "best"]

#: Scores that lie on the device at once, four or eight bytes each.
SCORES_AT_ONCE = 1 << 24
#: Queries are not taken together beyond the number that leaves this many rows a block.
_ROWS_AT_LEAST = 1 << 12


class _Best(NamedTuple):
    """The best so far, best first: scores, and positions among the rows of all segments. Both (queries, hits)."""

    scores: Tensor
    positions: Tensor


def best(
    view: View, queries: FloatArray, columns: int, masks: list[Mask] | None, device: Device
) -> tuple[IdArray, ScoreArray]:
    """Find the `columns` best rows of `view` for each query: ids and scores, -1 and -inf where `masks` leave fewer.

    Parameters
    ----------
    queries : (m, d) float32
        Writable, since torch asks for it.
    masks : list of (c,) bool, optional
        For each segment the rows that may be answered.
    """
    ids = np.full((len(queries), columns), -1, dtype=np.int64)
    scores = np.full((len(queries), columns), -np.inf)
    if columns == 0:
        return ids, scores
    together = max(1, SCORES_AT_ONCE // max(columns, _ROWS_AT_LEAST))
    keep = [segment.keep for segment in view.segments] if masks is None else [_on(device, mask) for mask in masks]
    with device.full_precision():
        for start in range(0, len(queries), together):
            some = slice(start, start + together)
            found = _best(view, device.put(queries[some]), columns, keep, device)
            scores[some] = device.fetch(found.scores)
            ids[some] = _ids(view, device.fetch(found.positions))
    ids[np.isneginf(scores)] = -1
    return ids, scores


def _on(device: Device, mask: Mask) -> Tensor | None:
    return None if mask.all() else device.put(mask)


def _best(view: View, queries: Tensor, columns: int, keep: list[Tensor | None], device: Device) -> _Best:
    """Go over the rows in blocks. There are at least `columns` of them, so as many come out."""
    rows_at_once = max(1, SCORES_AT_ONCE // len(queries))
    found: _Best | None = None
    first = 0
    for segment, kept in zip(view.segments, keep, strict=True):
        for start in range(0, len(segment), rows_at_once):
            cut = slice(start, start + rows_at_once)
            scores = (queries @ segment.rows[cut].T) * segment.scale[cut]
            if kept is not None:
                scores.masked_fill_(~kept[cut], -np.inf)
            top, position = scores.topk(min(columns, scores.shape[1]), dim=1)
            newer = _Best(top, position + (first + start))
            found = newer if found is None else _merged(found, newer, columns, device)
        first += len(segment)
    assert found is not None, "columns are counted from rows"
    return found


def _merged(one: _Best, other: _Best, columns: int, device: Device) -> _Best:
    scores = device.torch.cat([one.scores, other.scores], dim=1)
    positions = device.torch.cat([one.positions, other.positions], dim=1)
    top, chosen = scores.topk(min(columns, scores.shape[1]), dim=1)
    return _Best(top, positions.gather(1, chosen))


def _ids(view: View, positions: IdArray) -> IdArray:
    """Ids of rows by their positions, counted through all segments."""
    ids = np.empty_like(positions)
    first = 0
    for segment in view.segments:
        here = (positions >= first) & (positions < first + len(segment))
        ids[here] = segment.ids.by_row[positions[here] - first]
        first += len(segment)
    return ids
