"""Weights in 8 bits for the core's products: rotated, rounded, and packed in the order in which it reads them.

A product's input is rotated before it is rounded to 8 bits, which spreads its few large numbers over all of a block:
the unit of rounding, set by the largest, becomes small. The weights are rotated alike, so the product stays what it is.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from hmem_fast.errors import ModelError
from hmem_fast.types import FloatArray

__all__ = ["Codes", "Doubles", "Rotation", "nearest", "pack", "random_signs", "row_scales"]

LARGEST_CODE = 127

Codes = np.ndarray[Any, np.dtype[np.int8]]
Doubles = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Rotation:
    """Block by block: flip signs, then a Walsh-Hadamard transform in natural order, of unit length.

    Attributes
    ----------
    signs : (width,) int8
        +1 or -1.
    block : int
        How many numbers are rotated together; a power of two that divides the width.
    """

    signs: Codes
    block: int

    def rotate(self, rows: FloatArray | Doubles) -> Doubles:
        """Rotate each row. A product stays what it is when its inputs and the rows of its matrix are both rotated."""
        count, width = rows.shape
        flipped = (rows * self.signs.astype(np.float64)).reshape(count, width // self.block, self.block)
        turned: Doubles = (flipped @ _hadamard(self.block)).reshape(count, width)
        return turned


def _hadamard(block: int) -> Doubles:
    matrix = np.ones((1, 1))
    while len(matrix) < block:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    unit: Doubles = matrix / np.sqrt(block)
    return unit


def random_signs(name: str, count: int) -> Codes:
    """Draw +1 and -1: the same for the same name, on every machine and with every numpy."""
    drawn = np.frombuffer(hashlib.shake_256(name.encode()).digest(-(-count // 8)), dtype=np.uint8)
    return (1 - 2 * np.unpackbits(drawn, count=count).astype(np.int8)).astype(np.int8)


def row_scales(matrix: FloatArray | Doubles) -> FloatArray:
    """Give the unit of each row's codes: its largest magnitude becomes 127.

    Smaller units, for which the largest weights are cut and all others are rounded more finely, gain next to nothing on
    rotated weights: 1 % of the squared error.

    Raises
    ------
    ModelError
        If a weight is not finite.
    """
    largest = np.abs(matrix).max(axis=1)
    if not np.isfinite(largest).all():
        raise ModelError("model.safetensors: wanted finite weights, got one that is infinite or not a number")
    scales: FloatArray = (largest / LARGEST_CODE).astype(np.float32)
    scales[scales == 0] = 1  # all codes of such a row are 0
    return scales


def nearest(values: FloatArray | Doubles, scales: FloatArray | Doubles) -> Codes:
    """Round to the nearest code, from -127 to 127; halves to the even one."""
    return np.clip(np.rint(values / scales.astype(np.float64)), -LARGEST_CODE, LARGEST_CODE).astype(np.int8)


def pack(codes: Codes) -> Codes:
    """Order codes (out, in) as the core reads them: 4 inputs of each of 32 output channels together."""
    outputs, inputs = codes.shape
    return codes.reshape(outputs // 32, 32, inputs // 4, 4).transpose(0, 2, 1, 3)
