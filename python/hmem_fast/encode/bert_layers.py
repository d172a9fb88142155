"""A layer of a BERT or MPNet model as four products and two normalisations, with the attention's scale folded in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hmem_fast.encode.bert_source import BertShape, BertWeights
from hmem_fast.types import FloatArray

__all__ = ["PRODUCTS", "Layer", "Product", "read_layer", "read_norm"]

PRODUCTS = ("qkv", "out", "up", "down")
"""The products of a layer in the order in which they are done."""


@dataclass(frozen=True)
class Product:
    """``inputs @ matrixᵀ + bias``.

    Shapes
    ------
    matrix  (out, in)  float32
    bias    (out,)     float32
    """

    matrix: FloatArray
    bias: FloatArray


@dataclass(frozen=True)
class Layer:
    """One layer's parameters.

    Attributes
    ----------
    products : mapping
        ``qkv`` (queries, keys and values of all heads, one kind behind the other), ``out``, ``up``, ``down``.
    attention_norm, output_norm : (2, width) float32
        Factors and summands of the normalisation behind the attention, and of the one at the end.
    """

    products: Mapping[str, Product]
    attention_norm: FloatArray
    output_norm: FloatArray


def read_layer(shape: BertShape, weights: BertWeights, number: int) -> Layer:
    """Read one layer.

    Raises
    ------
    ModelError
        If a tensor is missing or has another shape.
    """
    layer, width = f"encoder.layer.{number}", shape.width
    attention = f"{layer}.attention"
    parts = [_product(weights, f"{attention}.{name}", width, width) for name in shape.names.inputs]
    scale = np.float32((width // shape.heads) ** -0.5)
    parts[0] = Product(parts[0].matrix * scale, parts[0].bias * scale)
    up = _product(weights, f"{layer}.intermediate.dense", None, width)
    products = {
        "qkv": Product(np.concatenate([part.matrix for part in parts]), np.concatenate([part.bias for part in parts])),
        "out": _product(weights, f"{attention}.{shape.names.output}", width, width),
        "up": up,
        "down": _product(weights, f"{layer}.output.dense", width, len(up.matrix)),
    }
    return Layer(
        products,
        attention_norm=read_norm(shape, weights, f"{attention}.{shape.names.norm}"),
        output_norm=read_norm(shape, weights, f"{layer}.output.LayerNorm"),
    )


def read_norm(shape: BertShape, weights: BertWeights, tensor: str) -> FloatArray:
    """Read factors and summands of a normalisation, (2, width)."""
    return np.stack([weights.take(f"{tensor}.{part}", shape.width) for part in ("weight", "bias")])


def _product(weights: BertWeights, tensor: str, outputs: int | None, inputs: int) -> Product:
    matrix = weights.take(f"{tensor}.weight", outputs, inputs)
    return Product(matrix, weights.take(f"{tensor}.bias", len(matrix)))
