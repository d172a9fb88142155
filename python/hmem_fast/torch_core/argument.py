"""Arguments to arrays: what the compiled core accepts is accepted, what it refuses is refused in the same words.

`rust/hmem-py/src/convert.rs` is the definition; `tests/test_torch_core.py` compares the messages.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmem_fast.errors import DTypeError, InvalidValueError, ShapeError
from hmem_fast.types import FloatArray, IdArray

__all__ = ["allowed", "count", "floats", "integers", "whole"]


def floats(value: object, name: str, wanted: tuple[str | int, ...]) -> FloatArray:
    """Finite floats of the wanted shape (a letter where any length will do) as float32 in C order."""
    array = _as_array(value, name)
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        raise _wrong_dtype(name, "float32 (float64 and float16 are cast)", array)
    _check_shape(name, wanted, array.shape)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        narrow: FloatArray = np.require(array, np.float32, ["C", "A"])
    finite = np.isfinite(narrow)
    if finite.all():
        return narrow
    lost = np.isfinite(array) & ~finite
    if lost.any():
        at = np.argwhere(lost)[0]
        raise InvalidValueError(
            f"{name}: row {at[0]} holds {_scientific(array[tuple(at)])}, which is outside the range of float32"
        )
    row, column = (0, *np.argwhere(~finite)[0])[-2:]  # one dimension is one row
    held = "NaN" if np.isnan(narrow.reshape(-1, narrow.shape[-1])[row, column]) else "an infinity"
    raise InvalidValueError(f"{name}: row {row} holds {held} at column {column}; wanted finite numbers")


def integers(value: object, name: str) -> IdArray:
    """Integers of any width in one dimension, as int64."""
    array = _as_array(value, name)
    if array.size == 0 and not isinstance(value, np.ndarray):
        array = array.astype(np.int64)  # numpy takes an empty list for floats
    if array.dtype.kind not in "iu":
        raise _wrong_dtype(name, "integers", array)
    if array.dtype.kind == "u" and (over := array > np.iinfo(np.int64).max).any():
        at = int(over.argmax())
        raise InvalidValueError(f"{name}: wanted integers of 64 bits, got {array.flat[at]} at position {at}")
    _check_shape(name, ("n",), array.shape)
    return array.astype(np.int64)


def allowed(value: object) -> IdArray | NDArray[np.bool_] | None:
    """A filter: ids or a boolean mask, told apart by their type. ``None`` allows all."""
    if value is None:
        return None
    array = _as_array(value, "allowed")
    if array.dtype.kind == "b":
        _check_shape("allowed", ("n",), array.shape)
        return array.astype(np.bool_)
    if array.dtype.kind in "iu" or array.size == 0:
        return integers(value, "allowed")
    raise _wrong_dtype("allowed", "int64 ids or a boolean mask", array)


def count(value: object, name: str) -> int:
    """A number of things, at least 1."""
    number = whole(value, name)
    if number == 0:
        raise InvalidValueError(f"{name}: wanted 1 or more, got {value}")
    return number


def whole(value: object, name: str) -> int:
    """A number of things, at least 0."""
    try:
        number = None if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]  # asked here
    except TypeError:
        number = None
    if number is None:
        raise DTypeError(f"{name}: wanted an integer, got {type(value).__name__}")
    if number < 0:
        raise InvalidValueError(f"{name}: wanted 0 or more, got {value}")
    return number


def _as_array(value: object, name: str) -> NDArray[Any]:
    try:
        return np.asarray(value)
    except ValueError as error:  # ragged nested lists: numpy says so in its own words
        raise ShapeError(f"{name}: {error}") from error


def _check_shape(name: str, wanted: tuple[str | int, ...], got: tuple[int, ...]) -> None:
    fits = all(isinstance(axis, str) or axis == length for axis, length in zip(wanted, got, strict=False))
    if len(wanted) != len(got) or not fits:
        raise ShapeError(f"{name}: wanted shape {_tuple(wanted)}, got {_tuple(got)}")


def _tuple(entries: tuple[str | int, ...]) -> str:
    comma = "," if len(entries) == 1 else ""
    return f"({', '.join(map(str, entries))}{comma})"


def _wrong_dtype(name: str, wanted: str, array: NDArray[Any]) -> DTypeError:
    return DTypeError(f"{name}: wanted {wanted}, got {array.dtype}")


def _scientific(number: float) -> str:
    return np.format_float_scientific(number, trim="-", exp_digits=1).replace("e+", "e")
