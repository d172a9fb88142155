"""What is searched: unit rows of width 384, and queries that are no rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benches.peers.real_rows import encoded
from hmem_fast.encode.manifest import sha256_of
from hmem_fast.evaluate.data_folder import data_folder
from hmem_fast.evaluate.result import DataFile
from hmem_fast.evaluate.texts import read_texts

__all__ = ["SETS", "WIDTH", "DataSet", "clustered", "mix", "real", "real_files", "unit"]

WIDTH = 384
_SEED = 20
_QUERIES = 512
_BLOCK = 50_000


@dataclass(frozen=True)
class DataSet:
    """Rows and queries.

    Shapes
    ------
    rows     (n, 384)  float32, C order, unit rows
    queries  (m, 384)  float32, C order, unit rows
    """

    name: str
    rows: np.ndarray
    queries: np.ndarray


def unit(rows: np.ndarray) -> np.ndarray:
    """Scale rows to unit length, in place, and give them back."""
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def real(size: int) -> DataSet:
    """Sentence vectors of public English texts, MiniLM in float32.

    The distinct texts of the data folder stand in one fixed shuffled order. Each 200th is a query and no row; the rows
    are the first `size` of the others, or all where there are fewer. So the rows of a smaller size are among those of a
    larger one, and the queries are the same. Texts that differ in capitals alone have the same vector: there are ties.
    """
    texts, _ = read_texts(data_folder())
    order = np.random.default_rng(_SEED).permutation(len(texts))
    vectors = encoded(texts)
    is_query = np.arange(len(texts)) % 200 == 0
    return DataSet("real", vectors[order[~is_query][:size]], vectors[order[is_query]])


def real_files() -> list[DataFile]:
    """Describe the files that `real` reads; an item is a text that no earlier file had."""
    folder = data_folder()
    _, found = read_texts(folder)
    return [DataFile(name, sha256_of(folder / name), items) for name, items in found.items()]


def clustered(size: int) -> DataSet:
    """Make a hard case: the nearest 20 are lost in the rounding of any code shorter than float32.

    20 centres, uniform on the sphere. A row is a centre plus a Gaussian step of expected length 0.01, scaled to unit
    length; clusters are chosen uniformly. A query is one more member of a cluster. So all size / 20 members of its
    cluster score about 0.9999 with standard deviation 0.000005, and neighbouring ranks lie some 0.0000001 apart, while
    rounding to 8 bits a dimension moves a score by some 0.0003. Float32 sums begin to mistake one rank for the next.
    """
    random = np.random.default_rng([_SEED, 1])
    centres = unit(random.standard_normal((20, WIDTH), dtype=np.float32))

    def members(count: int) -> np.ndarray:
        made = np.empty((count, WIDTH), dtype=np.float32)
        for start in range(0, count, _BLOCK):
            block = made[start : start + _BLOCK]
            random.standard_normal(out=block, dtype=np.float32)
            block *= np.float32(0.01 / WIDTH**0.5)
            block += centres[random.integers(len(centres), size=len(block))]
        return unit(made)

    queries = members(_QUERIES)
    return DataSet("clustered", members(size), queries)


def mix(size: int) -> DataSet:
    """Make a mixture of topics, after what sentence vectors look like.

    300 topics, the t-th chosen with probability proportional to 1 / t. A topic's centre is one random direction common
    to all topics plus twice one of its own, scaled to unit length. It has 16 further directions of about unit length,
    the j-th with standard deviation 0.35 / √j. A row is the centre plus a Gaussian step along these directions plus a
    Gaussian step of expected length 0.45 in all 384, scaled to unit length. A query is one of the first 20,000 rows
    (or fewer), each chosen once, plus a Gaussian step of expected length 0.6, scaled to unit length. The rows of a
    smaller size are the first of a larger one.
    """
    random = np.random.default_rng([_SEED, 2])
    topics = 300
    common = unit(random.standard_normal((1, WIDTH), dtype=np.float32))
    own = unit(random.standard_normal((topics, WIDTH), dtype=np.float32))
    centres = unit(common + 2 * own)
    spread = (0.35 / np.arange(1, 17) ** 0.5).astype(np.float32)
    directions = random.standard_normal((topics, 16, WIDTH), dtype=np.float32) / np.float32(WIDTH**0.5)
    chance = 1 / np.arange(1, topics + 1)
    chance /= chance.sum()

    rows = np.empty((size, WIDTH), dtype=np.float32)
    for number, start in enumerate(range(0, size, _BLOCK)):
        # Each block draws as if it were whole, so that a smaller set is the beginning of a larger one.
        random = np.random.default_rng([_SEED, 3, number])
        topic = random.choice(topics, size=_BLOCK, p=chance)
        along = random.standard_normal((_BLOCK, 16), dtype=np.float32) * spread
        block = random.standard_normal((_BLOCK, WIDTH), dtype=np.float32)
        block *= np.float32(0.45 / WIDTH**0.5)
        block += centres[topic]
        for one in range(topics):
            members = topic == one
            block[members] += along[members] @ directions[one]
        rows[start : start + _BLOCK] = unit(block)[: size - start]

    random = np.random.default_rng([_SEED, 4])
    asked = random.permutation(min(size, 20_000))[:_QUERIES]
    noise = random.standard_normal((len(asked), WIDTH), dtype=np.float32) * np.float32(0.6 / WIDTH**0.5)
    return DataSet("mix", rows, unit(rows[asked] + noise))


SETS: dict[str, Callable[[int], DataSet]] = {"real": real, "clustered": clustered, "mix": mix}
"""Name -> function from a number of rows to the set."""
