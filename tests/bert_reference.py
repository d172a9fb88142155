"""What a model's file means, spelled out in numpy: the definition that the core's encoder is compared with.

`Coded` does what docs/encoder-file.md says, with integers where it has integers and float64 for the rest. `Plain` runs
the source's own float32 weights, and says how much the codes cost.
"""

from __future__ import annotations

import math

import numpy as np

STEPS = 1024
"""The error function is tabulated so many times from one whole number to the next."""

PRODUCTS = ("qkv", "out", "up", "down")


def unpacked(codes):
    """Give packed codes (N/32, K/4, 32, 4) as a matrix (N, K)."""
    blocks, quads, _, _ = codes.shape
    return codes.transpose(0, 2, 1, 3).reshape(32 * blocks, 4 * quads)


def walsh_hadamard(rows):
    """Transform each row in natural order: sums and differences of halves that lie ever farther apart."""
    rows, width = np.array(rows, dtype=np.float64), rows.shape[1]
    step = 1
    while step < width:
        pairs = rows.reshape(len(rows), width // (2 * step), 2, step)
        rows = np.stack([pairs[:, :, 0] + pairs[:, :, 1], pairs[:, :, 0] - pairs[:, :, 1]], axis=2).reshape(-1, width)
        step *= 2
    return rows / math.sqrt(width)


def rotated(rows, signs, block):
    """Rotate inputs (n, K) as the file's products want them."""
    count, width = rows.shape
    return walsh_hadamard((rows * signs).reshape(-1, block)).reshape(count, width)


def coded(rows):
    """Round each row to 8 bits: integers (n, K), and the unit of each row (n, 1)."""
    units = np.abs(rows).max(axis=1, keepdims=True) / 127
    return np.rint(np.divide(rows, units, out=np.zeros_like(rows), where=units > 0)), units


def layer_norm(rows, parameters, epsilon):
    """Normalise each row; `parameters` are factors and summands."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    spread = np.sqrt((centred**2).mean(axis=1, keepdims=True) + epsilon)
    return centred / spread * parameters[0] + parameters[1]


_ERF = np.array([math.erf(number / STEPS) for number in range(-6 * STEPS, 6 * STEPS + 1)])


def gelu(x):
    """``x · ½ · (1 + erf(x / √2))``; erf by its table and two terms of Taylor, good to 1e-10."""
    argument = np.clip(x / math.sqrt(2), -6, 6)
    near = np.rint(argument * STEPS)
    rest = argument - near / STEPS
    slope = 2 / math.sqrt(math.pi) * np.exp(-((near / STEPS) ** 2))
    return x * 0.5 * (1 + _ERF[near.astype(np.int64) + 6 * STEPS] + slope * rest * (1 - near / STEPS * rest))


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


class Coded:
    """The encoder of a model's file, as its definition says.

    Parameters
    ----------
    model : NativeModel
        What `read_native` gave.
    """

    def __init__(self, model):
        self.shape, self.arrays = model.dimensions, model.arrays
        # Doubles hold these integers and all their sums exactly, and numpy multiplies doubles faster than integers.
        self._codes = {
            name: [unpacked(codes).astype(np.float64) for codes in self.arrays[f"{name}_codes"]] for name in PRODUCTS
        }

    def words(self, ids):
        return self.arrays["word_codes"][ids] * self.arrays["word_scales"][ids][:, np.newaxis].astype(np.float64)

    def product(self, name, layer, rows):
        """One of the four products of a layer; `rows` are its inputs, (n, K)."""
        inner = name == "down"
        signs = self.arrays["inner_signs" if inner else "signs"]
        codes, units = coded(rotated(rows, signs, self.shape.inner_block if inner else self.shape.block))
        scales, bias = self.arrays[f"{name}_scales"][layer], self.arrays[f"{name}_bias"][layer]
        return codes @ self._codes[name][layer].T * units * scales + bias

    def run(self, lists):
        """Encode texts, given as token ids: sentences (n, H), and the last layer of each (tokens, H); unit rows."""
        shape, arrays = self.shape, self.arrays
        ids = np.concatenate([np.asarray(each, dtype=np.int64) for each in lists])
        ends = np.cumsum([len(each) for each in lists])
        texts = [slice(end - len(each), end) for each, end in zip(lists, ends, strict=True)]
        places = np.concatenate([np.arange(len(each)) for each in lists])
        hidden = layer_norm(self.words(ids) + arrays["positions"][places], arrays["input_norm"], shape.epsilon)
        for layer in range(shape.layers):
            joint = self.product("qkv", layer, hidden)
            context = np.concatenate([self._attended(joint[text]) for text in texts])
            hidden = layer_norm(
                hidden + self.product("out", layer, context), arrays["attention_norm"][layer], shape.epsilon
            )
            inner = self.product("up", layer, hidden)
            active = np.maximum(inner, 0) if shape.activation else gelu(inner)
            hidden = layer_norm(
                hidden + self.product("down", layer, active), arrays["output_norm"][layer], shape.epsilon
            )
        pooled = [hidden[text][0] if shape.pooling else hidden[text].mean(axis=0) for text in texts]
        return unit(np.stack(pooled)), [unit(hidden[text]) for text in texts]

    def _attended(self, joint):
        count, heads = len(joint), self.shape.heads
        query, key, value = joint.reshape(count, 3, heads, -1).transpose(1, 2, 0, 3)
        scores = query @ key.transpose(0, 2, 1)
        if self.shape.architecture:
            places = np.arange(count)
            scores += self.arrays["distance_bias"][:, places - places[:, np.newaxis] + self.shape.max_length - 1]
        shares = np.exp(scores - scores.max(axis=2, keepdims=True))
        shares /= shares.sum(axis=2, keepdims=True)
        return (shares @ value).transpose(1, 0, 2).reshape(count, -1)


class Plain(Coded):
    """The same model with its own float32 weights: no rotation, no codes.

    Parameters
    ----------
    model : NativeModel
        For all that is no product.
    tensors : mapping
        The source's tensors by name, without what some checkpoints put in front of it.
    """

    def __init__(self, model, tensors):
        super().__init__(model)
        self._tensors = tensors

    def words(self, ids):
        return self._tensors["embeddings.word_embeddings.weight"][ids].astype(np.float64)

    def product(self, name, layer, rows):
        attention = ("attn.q", "attn.k", "attn.v", "attn.o")
        if not self.shape.architecture:
            attention = ("self.query", "self.key", "self.value", "output.dense")
        parts = {
            "qkv": [f"attention.{part}" for part in attention[:3]],
            "out": [f"attention.{attention[3]}"],
            "up": ["intermediate.dense"],
            "down": ["output.dense"],
        }[name]
        matrices, biases = (
            [self._tensors[f"encoder.layer.{layer}.{part}.{kind}"].astype(np.float64) for part in parts]
            for kind in ("weight", "bias")
        )
        result = rows @ np.concatenate(matrices).T + np.concatenate(biases)
        if name == "qkv":
            result[:, : self.shape.width] /= math.sqrt(self.shape.width // self.shape.heads)
        return result
