"""Rounding that knows its inputs: texts are run through a model, and codes chosen for what its products really get.

Rounding a weight to the nearest code is best only if all inputs are alike and independent. They are neither, so an
error that is made in one weight can be made up for in others that see similar inputs. That is done weight by weight:
the Cholesky factor of the inputs' covariance says how much of the errors so far the next weight can take back. What
they amount to on average is taken off the bias.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from hmem_fast.encode.bert_layers import PRODUCTS, Layer, read_norm
from hmem_fast.encode.bert_source import BertShape, BertWeights, distance_biases, position_rows
from hmem_fast.encode.native_weights import Codes, Doubles, Rotation, nearest
from hmem_fast.errors import ModelError
from hmem_fast.types import FloatArray, IdArray

__all__ = ["Calibration", "Moments", "spread_errors"]

_CHUNK = 1024
"""Texts are run together until they have so many tokens: enough for fast products, and few megabytes."""

_DAMPING = 0.01
"""What is added to each variance, as a share of their mean: errors may not pile up where the texts had nothing."""

_COLUMNS = 64
"""The errors of all weights before so many are summed up in one product."""


@dataclass(frozen=True)
class Moments:
    """Mean and covariance of the inputs of a product.

    Shapes
    ------
    mean        (in,)     float64
    covariance  (in, in)  float64
    """

    mean: Doubles
    covariance: Doubles

    def rotated(self, rotation: Rotation) -> Moments:
        """Give the moments of rotated inputs."""
        half = rotation.rotate(self.covariance)
        return Moments(rotation.rotate(self.mean[np.newaxis])[0], rotation.rotate(np.ascontiguousarray(half.T)))


class Calibration:
    """Runs texts through a model's own weights, a layer at a time.

    Parameters
    ----------
    shape, weights : BertShape, BertWeights
        The model.
    texts : iterable of (length,) int64
        Token ids of each text; none is empty.

    Raises
    ------
    ModelError
        If a text has a token that the model has no word for.
    """

    def __init__(self, shape: BertShape, weights: BertWeights, texts: Iterable[IdArray]) -> None:
        self._shape = shape
        self._biases = distance_biases(shape, weights) if shape.architecture == "mpnet" else None
        words, positions = (
            weights.take("embeddings.word_embeddings.weight", None, shape.width),
            position_rows(shape, weights),
        )
        norm = read_norm(shape, weights, "embeddings.LayerNorm")
        texts = list(texts)
        highest = max(int(ids.max()) for ids in texts)
        if highest >= len(words):
            raise ModelError(f"tokenizer.json: has a token {highest}, model.safetensors has {len(words)} words")
        self._chunks = [
            [_normalised(words[ids] + positions[: len(ids)], norm, shape.epsilon) for ids in chunk]
            for chunk in _chunks(texts)
        ]

    def advance(self, layer: Layer) -> Mapping[str, Moments]:
        """Run all texts through the next layer, and give the moments of the inputs of its products."""
        sums = {name: _Sums(layer.products[name].matrix.shape[1]) for name in PRODUCTS}
        self._chunks = [self._run(layer, chunk, sums) for chunk in self._chunks]
        return {name: total.moments() for name, total in sums.items()}

    def _run(self, layer: Layer, texts: list[FloatArray], sums: Mapping[str, _Sums]) -> list[FloatArray]:
        def product(name: str, inputs: FloatArray) -> FloatArray:
            sums[name].add(inputs)
            result: FloatArray = inputs @ layer.products[name].matrix.T + layer.products[name].bias
            return result

        ends = np.cumsum([len(rows) for rows in texts])[:-1]
        hidden, epsilon = np.concatenate(texts), self._shape.epsilon
        joint = product("qkv", hidden)
        context = np.concatenate([self._attended(rows) for rows in np.split(joint, ends)])
        hidden = _normalised(hidden + product("out", context), layer.attention_norm, epsilon)
        inner = product("up", hidden)
        active = _gelu(inner) if self._shape.activation == "gelu" else np.maximum(inner, 0)
        hidden = _normalised(hidden + product("down", active), layer.output_norm, epsilon)
        return np.split(hidden, ends)

    def _attended(self, joint: FloatArray) -> FloatArray:
        count = len(joint)
        query, key, value = joint.reshape(count, 3, self._shape.heads, -1).transpose(1, 2, 0, 3)
        scores = query @ key.transpose(0, 2, 1)
        if self._biases is not None:
            places = np.arange(count)
            apart = places - places[:, np.newaxis] + self._shape.max_length - 1
            scores += self._biases[apart].transpose(2, 0, 1)
        shares = np.exp(scores - scores.max(axis=2, keepdims=True))
        shares /= shares.sum(axis=2, keepdims=True)
        context: FloatArray = (shares @ value).transpose(1, 0, 2).reshape(count, -1)
        return context


class _Sums:
    """Adds up inputs and their products."""

    def __init__(self, width: int) -> None:
        self._count = 0
        self._sum = np.zeros(width)
        self._products = np.zeros((width, width))

    def add(self, inputs: FloatArray) -> None:
        self._count += len(inputs)
        self._sum += inputs.sum(axis=0, dtype=np.float64)
        self._products += inputs.T @ inputs

    def moments(self) -> Moments:
        mean = self._sum / self._count
        return Moments(mean, self._products / self._count - np.outer(mean, mean))


def spread_errors(matrix: Doubles, scales: FloatArray, covariance: Doubles) -> Codes:
    """Round each row of a matrix so that its products with inputs of that covariance change least.

    Shapes
    ------
    matrix      (out, in)
    scales      (out,)     one unit of each row's codes
    covariance  (in, in)
    result      (out, in)
    """
    width, units = matrix.shape[1], scales.astype(np.float64)
    damped = covariance + np.eye(width) * (_DAMPING * np.trace(covariance) / width)
    upper = np.linalg.cholesky(damped[::-1, ::-1])[::-1, ::-1]  # upper @ upper.T is the covariance
    codes, errors = np.empty(matrix.shape, dtype=np.int8), np.empty(matrix.shape)
    for begin in range(0, width, _COLUMNS):
        end = min(begin + _COLUMNS, width)
        carried = errors[:, :begin] @ upper[:begin, begin:end]
        for column in range(begin, end):
            owed = carried[:, column - begin] + errors[:, begin:column] @ upper[begin:column, column]
            codes[:, column] = nearest(matrix[:, column] + owed / upper[column, column], scales)
            errors[:, column] = matrix[:, column] - codes[:, column] * units
    return codes


def _chunks(texts: Iterable[IdArray]) -> Iterable[list[IdArray]]:
    chunk: list[IdArray] = []
    for ids in texts:
        chunk.append(ids)
        if sum(map(len, chunk)) >= _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _normalised(rows: FloatArray, norm: FloatArray, epsilon: float) -> FloatArray:
    centred = rows - rows.mean(axis=1, keepdims=True)
    spread = np.sqrt((centred**2).mean(axis=1, keepdims=True) + np.float32(epsilon))
    result: FloatArray = centred / spread * norm[0] + norm[1]
    return result


def _gelu(x: FloatArray) -> FloatArray:
    """GELU by tanh, up to 5e-4 off: numpy has no erf, and moments need no more."""
    result: FloatArray = (
        x * 0.5 * (1 + np.tanh(np.float32(np.sqrt(2 / np.pi)) * (x + np.float32(0.044715) * x * x * x)))
    )
    return result
