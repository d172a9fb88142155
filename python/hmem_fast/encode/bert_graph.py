"""A BERT or MPNet encoder written as an ONNX graph, straight from its weights.

The graph takes ``input_ids`` and ``attention_mask`` (batch, length) and gives ``sentence`` (batch, dim), pooled with
the mask and brought to unit length, and ``tokens`` (batch, length, dim), the last layer with each row at unit length.

The nodes are spelled so that ONNX Runtime recognises and fuses them: GELU as its definition by Erf, LayerNormalization
as one operator, query, key and value as one product. The scale of the attention is folded into the query's weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from hmem_fast.errors import ModelError
from hmem_fast.extra import require
from hmem_fast.types import FloatArray, IdArray

__all__ = ["BertShape", "build_bert"]

OPSET = 17
"""Old enough for onnxruntime 1.13; the first that has LayerNormalization."""

IR_VERSION = 8
"""The file layout that belongs to opset 17; the onnx package would write its newest, which older runtimes refuse."""

MASKED = np.float32(-1e4)
"""Added to the score of a padded position: exp() of it is 0 in float32, and it stays finite in float16 as well."""

MPNET_FIRST_POSITION = 2
"""MPNet's rows 0 and 1 of the positions are for padding."""

MPNET_FARTHEST = 128
"""All distances from here on share MPNet's last bucket."""

TINY = np.float32(1e-12)
"""Lower bound of a norm and of a count before dividing."""


@dataclass(frozen=True)
class BertShape:
    """What the graph needs to know of a BERT's or MPNet's `config.json`.

    Attributes
    ----------
    width : int
        Width of the hidden states, and of the vectors that come out.
    heads, layers : int
        Attention heads a layer, and layers.
    epsilon : float
        LayerNorm's epsilon.
    activation : str
        ``"gelu"`` or ``"relu"``.
    pooling : str
        ``"mean"`` over all tokens that the mask keeps, or ``"cls"``, the first token.
    architecture : str
        ``"bert"``, or ``"mpnet"``: no token types, positions from 2 on, and a bias for the distance of two tokens.
    max_length : int
        Most tokens of a text: how far the table of distances must reach.
    """

    width: int
    heads: int
    layers: int
    epsilon: float
    activation: str
    pooling: str
    architecture: str
    max_length: int

    @property
    def names(self) -> _Names:
        """How this architecture's checkpoints call their tensors."""
        return _NAMES[self.architecture]


@dataclass(frozen=True)
class _Names:
    """Names of an attention's tensors, below ``encoder.layer.N.attention``."""

    inputs: tuple[str, str, str]
    output: str
    norm: str


_NAMES = {
    "bert": _Names(("self.query", "self.key", "self.value"), "output.dense", "output.LayerNorm"),
    "mpnet": _Names(("attn.q", "attn.k", "attn.v"), "attn.o", "LayerNorm"),
}


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

    def affine(self, source: str, weight: FloatArray, bias: FloatArray, output: str) -> str:
        """``source @ weightᵀ + bias``: weights come as (out, in) and are stored as (in, out)."""
        product = self.node("MatMul", [source, self.constant(f"{output}.weight", weight.T)], f"{output}.product")
        return self.node("Add", [product, self.constant(f"{output}.bias", bias)], output)

    def unit(self, source: str, output: str) -> str:
        """Bring the last axis to unit length."""
        norm = self.node("ReduceL2", [source], f"{output}.norm", axes=[-1], keepdims=1)
        bounded = self.node("Max", [norm, "tiny"], f"{output}.bounded")
        return self.node("Div", [source, bounded], output)


class _Weights:
    """Tensors by name, each checked for its shape, with or without the ``bert.`` that some checkpoints put in front."""

    def __init__(self, tensors: Mapping[str, FloatArray], prefix: str) -> None:
        self._tensors = {name.removeprefix(prefix): values for name, values in tensors.items()}

    def take(self, name: str, *shape: int | None) -> FloatArray:
        values = self._tensors.get(name)
        if values is None:
            raise ModelError(f"model.safetensors: wanted a tensor {name!r}, it has none of that name")
        if values.ndim != len(shape) or any(
            want not in (None, have) for want, have in zip(shape, values.shape, strict=True)
        ):
            wanted = tuple("any" if want is None else want for want in shape)
            raise ModelError(f"model.safetensors: tensor {name!r}: wanted shape {wanted}, got {values.shape}")
        return np.asarray(values, dtype=np.float32)


def build_bert(shape: BertShape, tensors: Mapping[str, FloatArray]) -> bytes:
    """Write the graph of an encoder as the bytes of an ONNX file.

    Raises
    ------
    MissingDependencyError
        If the package onnx is not installed.
    ModelError
        If a tensor is missing or its shape does not fit `shape`.
    """
    onnx = require("onnx", extra="onnx", purpose="writing an ONNX model")
    weights = _Weights(tensors, f"{shape.architecture}.")
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
        attended = _attention(graph, shape, weights, hidden, number)
        hidden = _feed_forward(graph, shape, weights, attended, number)
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


def _distances(graph: _Graph, shape: BertShape, weights: _Weights) -> None:
    """Make ``distances`` (batch, heads, length, length): a bias for how far apart two tokens are, and `penalty`.

    MPNet learns a bias for each of a few buckets of distances. The biases of all distances stand in one table, from the
    farthest token before to the farthest after, and a text gathers what it needs.
    """
    buckets = weights.take("encoder.relative_attention_bias.weight", None, shape.heads)
    reach = shape.max_length - 1
    table = buckets[_buckets(np.arange(-reach, reach + 1), len(buckets))]
    zero, one = graph.constant("zero_i", np.int64(0)), graph.constant("one_i", np.int64(1))
    length = graph.node("Squeeze", ["length"], "length.scalar")
    places = graph.node("Range", [zero, length, one], "places")
    columns = graph.node(
        "Unsqueeze", [places, graph.constant("columns.axes", np.array([0], dtype=np.int64))], "places.columns"
    )
    rows = graph.node("Unsqueeze", [places, graph.constant("rows.axes", np.array([1], dtype=np.int64))], "places.rows")
    apart = graph.node("Sub", [columns, rows], "apart")
    entry = graph.node("Add", [apart, graph.constant("reach", np.int64(reach))], "apart.entry")
    bias = graph.node("Gather", [graph.constant("table", table), entry], "apart.bias")
    by_head = graph.node("Transpose", [bias], "apart.heads", perm=[2, 0, 1])
    graph.node("Add", [by_head, "penalty"], "distances")


def _buckets(distances: IdArray, count: int) -> IdArray:
    """Give each distance its bucket: exact ones near by, then ever wider ones; half of all are for what comes after."""
    half = count // 2
    exact = half // 2
    away = np.abs(distances)
    share = np.log(np.maximum(away, 1) / exact) / np.log(MPNET_FARTHEST / exact)
    # Where a bucket begins the product is a whole number: rounding must not bring it below.
    wide = np.minimum(exact + np.floor(share * (half - exact) + 1e-6).astype(np.int64), half - 1)
    return np.where(distances > 0, half, 0) + np.where(away < exact, away, wide)


def _embeddings(graph: _Graph, shape: BertShape, weights: _Weights) -> str:
    """Word + position + type, then LayerNorm. Every token is of type 0, so its row is added to the positions once."""
    words = weights.take("embeddings.word_embeddings.weight", None, shape.width)
    positions = weights.take("embeddings.position_embeddings.weight", None, shape.width)
    if shape.architecture == "mpnet":
        positions = positions[MPNET_FIRST_POSITION:]
    else:
        positions = positions + weights.take("embeddings.token_type_embeddings.weight", None, shape.width)[0]
    word = graph.node("Gather", [graph.constant("words", words), "input_ids"], "embedding.word")
    start = graph.constant("start", np.array([0], dtype=np.int64))
    position = graph.node("Slice", [graph.constant("positions", positions), start, "length"], "embedding.position")
    total = graph.node("Add", [word, position], "embedding.sum")
    return _layer_norm(graph, shape, weights, total, tensor="embeddings.LayerNorm", output="embedding")


def _layer_norm(graph: _Graph, shape: BertShape, weights: _Weights, source: str, *, tensor: str, output: str) -> str:
    scale = graph.constant(f"{output}.scale", weights.take(f"{tensor}.weight", shape.width))
    shift = graph.constant(f"{output}.shift", weights.take(f"{tensor}.bias", shape.width))
    return graph.node("LayerNormalization", [source, scale, shift], output, axis=-1, epsilon=shape.epsilon)


def _attention(graph: _Graph, shape: BertShape, weights: _Weights, hidden: str, number: int) -> str:
    layer, name, width = f"encoder.layer.{number}.attention", f"layer{number}", shape.width
    kinds = ("query", "key", "value")
    matrices = [weights.take(f"{layer}.{tensor}.weight", width, width) for tensor in shape.names.inputs]
    biases = [weights.take(f"{layer}.{tensor}.bias", width) for tensor in shape.names.inputs]
    scale = np.float32((width // shape.heads) ** -0.5)
    matrices[0], biases[0] = matrices[0] * scale, biases[0] * scale
    joint = graph.affine(hidden, np.concatenate(matrices), np.concatenate(biases), f"{name}.qkv")
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
    matrix = weights.take(f"{layer}.{shape.names.output}.weight", width, width)
    bias = weights.take(f"{layer}.{shape.names.output}.bias", width)
    projected = graph.affine(merged, matrix, bias, f"{name}.projected")
    total = graph.node("Add", [projected, hidden], f"{name}.attention.sum")
    return _layer_norm(graph, shape, weights, total, tensor=f"{layer}.{shape.names.norm}", output=f"{name}.attention")


def _feed_forward(graph: _Graph, shape: BertShape, weights: _Weights, attended: str, number: int) -> str:
    layer, name = f"encoder.layer.{number}", f"layer{number}"
    wide = weights.take(f"{layer}.intermediate.dense.weight", None, shape.width)
    inner = graph.affine(
        attended, wide, weights.take(f"{layer}.intermediate.dense.bias", wide.shape[0]), f"{name}.inner"
    )
    active = _gelu(graph, inner, name) if shape.activation == "gelu" else graph.node("Relu", [inner], f"{name}.active")
    narrow = weights.take(f"{layer}.output.dense.weight", shape.width, wide.shape[0])
    outer = graph.affine(active, narrow, weights.take(f"{layer}.output.dense.bias", shape.width), f"{name}.outer")
    total = graph.node("Add", [outer, attended], f"{name}.sum")
    return _layer_norm(graph, shape, weights, total, tensor=f"{layer}.output.LayerNorm", output=name)


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
