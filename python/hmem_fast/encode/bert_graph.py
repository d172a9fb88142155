"""A BERT or MPNet encoder written as an ONNX graph, straight from its weights.

The graph takes ``input_ids`` and ``attention_mask`` (batch, length) and gives ``sentence`` (batch, dim), pooled with
the mask and brought to unit length, and ``tokens`` (batch, length, dim), the last layer with each row at unit length.

The nodes are spelled so that ONNX Runtime recognises and fuses them: GELU as its definition by Erf, LayerNormalization
as one operator, query, key and value as one product. The scale of the attention is folded into the query's weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from hmem_fast.encode.bert_layers import Layer, Product, read_layer, read_norm
from hmem_fast.encode.bert_source import BertShape, BertWeights, distance_biases, position_rows
from hmem_fast.extra import require
from hmem_fast.types import FloatArray

__all__ = ["build_bert"]

OPSET = 17
"""Old enough for onnxruntime 1.13; the first that has LayerNormalization."""

IR_VERSION = 8
"""The file layout that belongs to opset 17; the onnx package would write its newest, which older runtimes refuse."""

MASKED = np.float32(-1e4)
"""Added to the score of a padded position: exp() of it is 0 in float32, and it stays finite in float16 as well."""

TINY = np.float32(1e-12)
"""Lower bound of a norm and of a count before dividing."""


class _Graph:
    """Nodes and initialisers in the order they are made; every method returns the name of its output."""

    def __init__(self, onnx: ModuleType) -> None:
        self._onnx = onnx
        self.nodes: list[Any] = []
        self.initialisers: list[Any] = []

    def constant(self, name: str, values: object) -> str:
        array = np.ascontiguousarray(values)
        self.initialisers.append(self._onnx.numpy_helper.from_array(array, name))
        return name

    def node(self, operator: str, inputs: Sequence[str], output: str, **attributes: object) -> str:
        self.nodes.append(self._onnx.helper.make_node(operator, list(inputs), [output], name=output, **attributes))
        return output

    def split(self, source: str, outputs: Sequence[str], axis: int) -> None:
        self.nodes.append(
            self._onnx.helper.make_node("Split", [source], list(outputs), name=f"{source}.split", axis=axis)
        )

    def affine(self, source: str, product: Product, output: str) -> str:
        """Multiply by a matrix and add a bias. Matrices come as (out, in) and are stored as (in, out)."""
        matrix = self.constant(f"{output}.weight", product.matrix.T)
        unbiased = self.node("MatMul", [source, matrix], f"{output}.product")
        return self.node("Add", [unbiased, self.constant(f"{output}.bias", product.bias)], output)

    def unit(self, source: str, output: str) -> str:
        """Bring the last axis to unit length."""
        norm = self.node("ReduceL2", [source], f"{output}.norm", axes=[-1], keepdims=1)
        bounded = self.node("Max", [norm, "tiny"], f"{output}.bounded")
        return self.node("Div", [source, bounded], output)


def build_bert(shape: BertShape, weights: BertWeights) -> bytes:
    """Write the graph of an encoder as the bytes of an ONNX file.

    Raises
    ------
    MissingDependencyError
        If the package onnx is not installed.
    ModelError
        If a tensor is missing or its shape does not fit `shape`.
    """
    onnx = require("onnx", extra="onnx", purpose="writing an ONNX model")
    graph = _Graph(onnx)
    graph.constant("tiny", TINY)
    _mask(graph)
    if shape.architecture == "mpnet":
        _distances(graph, shape, weights)
    hidden = _embeddings(graph, shape, weights)
    graph.constant("heads.shape", np.array([0, 0, shape.heads, shape.width // shape.heads], dtype=np.int64))
    graph.constant("merged.shape", np.array([0, 0, shape.width], dtype=np.int64))
    if shape.activation == "gelu":
        for name, value in (("sqrt2", np.sqrt(2.0)), ("one", 1.0), ("half", 0.5)):
            graph.constant(name, np.float32(value))
    for number in range(shape.layers):
        layer = read_layer(shape, weights, number)
        attended = _attention(graph, shape, layer, hidden, f"layer{number}")
        hidden = _feed_forward(graph, shape, layer, attended, f"layer{number}")
    graph.unit(hidden, "tokens")
    graph.unit(_pooled(graph, shape, hidden), "sentence")
    return _serialised(onnx, graph, shape)


def _mask(graph: _Graph) -> None:
    """Make ``mask`` (batch, length, 1), 1 where a token is; and ``penalty`` (batch, 1, 1, length), 0 or `MASKED`."""
    floats = graph.node("Cast", ["attention_mask"], "mask.floats", to=1)
    graph.node("Unsqueeze", [floats, graph.constant("mask.axes", np.array([2], dtype=np.int64))], "mask")
    wide = graph.node(
        "Unsqueeze", [floats, graph.constant("penalty.axes", np.array([1, 2], dtype=np.int64))], "penalty.wide"
    )
    padded = graph.node("Sub", [graph.constant("penalty.one", np.float32(1.0)), wide], "penalty.padded")
    graph.node("Mul", [padded, graph.constant("penalty.size", MASKED)], "penalty")
    graph.node("Shape", ["input_ids"], "length", start=1, end=2)


def _distances(graph: _Graph, shape: BertShape, weights: BertWeights) -> None:
    """Make ``distances`` (batch, heads, length, length): a bias for how far apart two tokens are, and `penalty`.

    The biases of all distances stand in one table, and a text gathers what it needs.
    """
    table = distance_biases(shape, weights)
    zero, one = graph.constant("zero_i", np.int64(0)), graph.constant("one_i", np.int64(1))
    length = graph.node("Squeeze", ["length"], "length.scalar")
    places = graph.node("Range", [zero, length, one], "places")
    columns = graph.node(
        "Unsqueeze", [places, graph.constant("columns.axes", np.array([0], dtype=np.int64))], "places.columns"
    )
    rows = graph.node("Unsqueeze", [places, graph.constant("rows.axes", np.array([1], dtype=np.int64))], "places.rows")
    apart = graph.node("Sub", [columns, rows], "apart")
    entry = graph.node("Add", [apart, graph.constant("reach", np.int64(shape.max_length - 1))], "apart.entry")
    bias = graph.node("Gather", [graph.constant("table", table), entry], "apart.bias")
    by_head = graph.node("Transpose", [bias], "apart.heads", perm=[2, 0, 1])
    graph.node("Add", [by_head, "penalty"], "distances")


def _embeddings(graph: _Graph, shape: BertShape, weights: BertWeights) -> str:
    """Word + position + type, then LayerNorm."""
    words, positions = (
        weights.take("embeddings.word_embeddings.weight", None, shape.width),
        position_rows(shape, weights),
    )
    word = graph.node("Gather", [graph.constant("words", words), "input_ids"], "embedding.word")
    start = graph.constant("start", np.array([0], dtype=np.int64))
    position = graph.node("Slice", [graph.constant("positions", positions), start, "length"], "embedding.position")
    total = graph.node("Add", [word, position], "embedding.sum")
    return _layer_norm(graph, shape, read_norm(shape, weights, "embeddings.LayerNorm"), total, "embedding")


def _layer_norm(graph: _Graph, shape: BertShape, norm: FloatArray, source: str, output: str) -> str:
    scale, shift = (graph.constant(f"{output}.{part}", row) for part, row in zip(("scale", "shift"), norm, strict=True))
    return graph.node("LayerNormalization", [source, scale, shift], output, axis=-1, epsilon=shape.epsilon)


def _attention(graph: _Graph, shape: BertShape, layer: Layer, hidden: str, name: str) -> str:
    kinds = ("query", "key", "value")
    joint = graph.affine(hidden, layer.products["qkv"], f"{name}.qkv")
    graph.split(joint, [f"{name}.{kind}.flat" for kind in kinds], axis=-1)
    for kind in kinds:
        heads = graph.node("Reshape", [f"{name}.{kind}.flat", "heads.shape"], f"{name}.{kind}.heads")
        order = [0, 2, 3, 1] if kind == "key" else [0, 2, 1, 3]
        graph.node("Transpose", [heads], f"{name}.{kind}", perm=order)
    scores = graph.node("MatMul", [f"{name}.query", f"{name}.key"], f"{name}.scores")
    masked = graph.node("Add", [scores, "penalty" if shape.architecture == "bert" else "distances"], f"{name}.masked")
    shares = graph.node("Softmax", [masked], f"{name}.shares", axis=-1)
    context = graph.node("MatMul", [shares, f"{name}.value"], f"{name}.context")
    ordered = graph.node("Transpose", [context], f"{name}.ordered", perm=[0, 2, 1, 3])
    merged = graph.node("Reshape", [ordered, "merged.shape"], f"{name}.merged")
    projected = graph.affine(merged, layer.products["out"], f"{name}.projected")
    total = graph.node("Add", [projected, hidden], f"{name}.attention.sum")
    return _layer_norm(graph, shape, layer.attention_norm, total, f"{name}.attention")


def _feed_forward(graph: _Graph, shape: BertShape, layer: Layer, attended: str, name: str) -> str:
    inner = graph.affine(attended, layer.products["up"], f"{name}.inner")
    active = _gelu(graph, inner, name) if shape.activation == "gelu" else graph.node("Relu", [inner], f"{name}.active")
    outer = graph.affine(active, layer.products["down"], f"{name}.outer")
    total = graph.node("Add", [outer, attended], f"{name}.sum")
    return _layer_norm(graph, shape, layer.output_norm, total, name)


def _gelu(graph: _Graph, source: str, name: str) -> str:
    """``x · ½ · (1 + erf(x / √2))``, in the order of operations that ONNX Runtime fuses."""
    scaled = graph.node("Div", [source, "sqrt2"], f"{name}.gelu.scaled")
    error = graph.node("Erf", [scaled], f"{name}.gelu.erf")
    raised = graph.node("Add", [error, "one"], f"{name}.gelu.raised")
    product = graph.node("Mul", [source, raised], f"{name}.gelu.product")
    return graph.node("Mul", [product, "half"], f"{name}.active")


def _pooled(graph: _Graph, shape: BertShape, hidden: str) -> str:
    if shape.pooling == "cls":
        first = graph.constant("first", np.int64(0))
        return graph.node("Gather", [hidden, first], "pooled", axis=1)
    kept = graph.node("Mul", [hidden, "mask"], "pooled.kept")
    axis = graph.constant("pooled.axis", np.array([1], dtype=np.int64))
    total = graph.node("ReduceSum", [kept, axis], "pooled.sum", keepdims=0)
    count = graph.node("ReduceSum", ["mask", axis], "pooled.count", keepdims=0)
    return graph.node("Div", [total, graph.node("Max", [count, "tiny"], "pooled.bounded")], "pooled")


def _serialised(onnx: ModuleType, graph: _Graph, shape: BertShape) -> bytes:
    helper, kinds = onnx.helper, onnx.TensorProto
    inputs = [
        helper.make_tensor_value_info(name, kinds.INT64, ["batch", "length"])
        for name in ("input_ids", "attention_mask")
    ]
    outputs = [
        helper.make_tensor_value_info("sentence", kinds.FLOAT, ["batch", shape.width]),
        helper.make_tensor_value_info("tokens", kinds.FLOAT, ["batch", "length", shape.width]),
    ]
    body = helper.make_graph(graph.nodes, "bert", inputs, outputs, initializer=graph.initialisers)
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(body, opset_imports=opset, ir_version=IR_VERSION, producer_name="hmem_fast")
    serialised: bytes = model.SerializeToString(deterministic=True)
    return serialised
