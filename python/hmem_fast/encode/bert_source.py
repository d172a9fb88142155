"""What every export takes from the folder of a BERT or MPNet model: its shape and its tensors, each of them checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hmem_fast.core import read_safetensors
from hmem_fast.encode.source import SourceModel
from hmem_fast.errors import ModelError
from hmem_fast.types import FloatArray, IdArray

__all__ = ["BertShape", "BertWeights", "distance_biases", "position_rows", "read_shape", "read_weights"]

MPNET_FIRST_POSITION = 2
"""MPNet's rows 0 and 1 of the positions are for padding."""

MPNET_FARTHEST = 128
"""All distances from here on share MPNet's last bucket."""

_ARCHITECTURES = ("bert", "mpnet")
_POOLINGS = ("mean", "cls")
_ACTIVATIONS = ("gelu", "relu")


@dataclass(frozen=True)
class BertShape:
    """What an export needs to know of a BERT's or MPNet's `config.json`.

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


class BertWeights:
    """Tensors by name, each checked for its shape, with or without the ``bert.`` that some checkpoints put in front."""

    def __init__(self, tensors: Mapping[str, FloatArray], prefix: str) -> None:
        self._tensors = {name.removeprefix(prefix): values for name, values in tensors.items()}

    def take(self, name: str, *shape: int | None) -> FloatArray:
        """Give a tensor as float32; None stands for any length.

        Raises
        ------
        ModelError
            If there is none of that name, or its shape is another one.
        """
        values = self._tensors.get(name)
        if values is None:
            raise ModelError(f"model.safetensors: wanted a tensor {name!r} of floats, it has none of that name")
        if values.ndim != len(shape) or any(
            want not in (None, have) for want, have in zip(shape, values.shape, strict=True)
        ):
            wanted = tuple("any" if want is None else want for want in shape)
            raise ModelError(f"model.safetensors: tensor {name!r}: wanted shape {wanted}, got {values.shape}")
        return values


def read_shape(source: SourceModel) -> BertShape:
    """Take from the configuration what an export needs.

    Raises
    ------
    ModelError
        If the model is not one that can be exported; the message says what stands in the way.
    """
    config, where = source.config, source.folder
    supported = "supported are BERT (absolute positions) and MPNet with GELU or ReLU, and mean or CLS pooling"
    if source.architecture not in _ARCHITECTURES:
        raise ModelError(f"{where}: architecture {source.architecture!r} cannot be exported; {supported}")
    if source.obstacles:
        raise ModelError(f"{where}: {', '.join(source.obstacles)} cannot be exported; {supported}")
    if source.pooling not in _POOLINGS:
        raise ModelError(f"{where}: pooling {source.pooling!r} cannot be exported; {supported}")
    if config.get("hidden_act") not in _ACTIVATIONS:
        raise ModelError(f"{where}: activation {config.get('hidden_act')!r} cannot be exported; {supported}")
    if config.get("position_embedding_type", "absolute") != "absolute":
        raise ModelError(f"{where}: positions {config['position_embedding_type']!r} cannot be exported; {supported}")
    try:
        shape = BertShape(
            width=int(config["hidden_size"]),
            heads=int(config["num_attention_heads"]),
            layers=int(config["num_hidden_layers"]),
            epsilon=float(config["layer_norm_eps"]),
            activation=str(config["hidden_act"]),
            pooling=source.pooling,
            architecture=source.architecture,
            max_length=source.max_length,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{source.transformer / 'config.json'}: {error} is missing or no number") from error
    if min(shape.width, shape.heads, shape.layers) < 1 or shape.width % shape.heads:
        raise ModelError(f"{where}: {shape.heads} attention heads do not divide the width {shape.width}")
    return shape


def read_weights(source: SourceModel) -> BertWeights:
    """Read the tensors of `model.safetensors`.

    Raises
    ------
    ModelError
        If there is no such file, or it is damaged.
    """
    if not source.weights.is_file():
        raise ModelError(
            f"{source.weights}: missing; weights must be one safetensors file "
            "(pickled pytorch_model.bin is not read: convert it with safetensors)"
        )
    return BertWeights(read_safetensors(source.weights), f"{source.architecture}.")


def position_rows(shape: BertShape, weights: BertWeights) -> FloatArray:
    """Give what is added to the word of token 0, 1, …: its position, and what all tokens of a text have in common.

    Every token is of type 0, so BERT's row for that is added here. MPNet has no types, and reserves rows for padding.
    """
    positions = weights.take("embeddings.position_embeddings.weight", None, shape.width)
    if shape.architecture == "mpnet":
        return positions[MPNET_FIRST_POSITION:]
    typed: FloatArray = positions + weights.take("embeddings.token_type_embeddings.weight", None, shape.width)[0]
    return typed


def distance_biases(shape: BertShape, weights: BertWeights) -> FloatArray:
    """Give MPNet's bias for each distance of two tokens, from the farthest before to the farthest after.

    It learns one for each of a few buckets of distances.

    Shapes
    ------
    result  (2 · max_length - 1, heads)  float32
    """
    buckets = weights.take("encoder.relative_attention_bias.weight", None, shape.heads)
    reach = shape.max_length - 1
    biases: FloatArray = buckets[_buckets(np.arange(-reach, reach + 1), len(buckets))]
    return biases


def _buckets(distances: IdArray, count: int) -> IdArray:
    """Give each distance its bucket: exact ones near by, then ever wider ones; half of all are for what comes after."""
    half = count // 2
    exact = half // 2
    away = np.abs(distances)
    share = np.log(np.maximum(away, 1) / exact) / np.log(MPNET_FARTHEST / exact)
    # Where a bucket begins the product is a whole number: rounding must not bring it below.
    wide = np.minimum(exact + np.floor(share * (half - exact) + 1e-6).astype(np.int64), half - 1)
    return np.where(distances > 0, half, 0) + np.where(away < exact, away, wide)
