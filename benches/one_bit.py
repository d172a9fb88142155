"""How many rows would codes leave, if their limits must be proved? One bit a number, and four.

    python benches/one_bit.py embeddings.npy           # a matrix of float32 rows; 100 of them are held out as queries

In plain numpy, of the mathematics alone: rows of unit length, centred, under a random rotation. The floor is the true
score of the 20th best row, so no search could leave fewer. One bit: `y = t·sign(y) + r` with `t = ‖y‖₁ / d`; `r` is at
right angles to the signs `s`, so `|r·p| ≤ ‖r‖·‖p - (p·s)·s / d‖`. Four bits: 15 levels up to a row's largest number,
and `|e·p| ≤ ‖e‖·‖p‖`.
"""

from __future__ import annotations

import argparse

import numpy as np

K = 20


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def survivors(rows, queries):
    """Count the rows whose proved upper limit reaches the 20th best score, for each query: one bit, four bits."""
    d = rows.shape[1]
    centre = rows.mean(axis=0)
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((d, d)))[0].astype(np.float32)
    gain = queries @ centre / (centre @ centre)
    turned = (queries - gain[:, None] * centre) @ rotation
    lengths = np.linalg.norm(turned, axis=1)
    y = (rows - centre) @ rotation
    known = (queries @ centre)[:, None] + gain[:, None] * ((rows - centre) @ centre)
    floor = -np.partition(-(known + turned @ y.T), K - 1, axis=1)[:, K - 1 : K]
    signs = np.where(y >= 0, np.float32(1), np.float32(-1))
    step = np.abs(y).mean(axis=1)
    left = np.linalg.norm(y - step[:, None] * signs, axis=1)
    product = turned @ signs.T
    across = np.sqrt(np.maximum(lengths[:, None] ** 2 - product**2 / d, 0))
    one = known + step * product + left * across
    level = np.abs(y).max(axis=1, keepdims=True) / 7
    coarse = np.round(y / level) * level
    error = np.linalg.norm(y - coarse, axis=1)
    four = known + turned @ coarse.T + error * lengths[:, None]
    return [(limits >= floor).sum(axis=1) for limits in (one, four)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("embeddings")
    parser.add_argument("--memories", type=int, nargs="+", default=[20_000, 99_000])
    options = parser.parse_args()
    data = np.load(options.embeddings, mmap_mode="r")
    order = np.random.default_rng(0).permutation(len(data))
    queries = unit(np.array(data[order[:100]], np.float32))
    print("rows\tbits\tmedian left\tmean left\tshare")
    for n in options.memories:
        rows = unit(np.array(data[np.sort(order[100 : 100 + n])], np.float32))
        for bits, counts in zip((1, 4), survivors(rows, queries), strict=True):
            print(
                len(rows),
                bits,
                int(np.median(counts)),
                int(counts.mean()),
                f"{counts.mean() / len(rows):.2%}",
                sep="\t",
            )


if __name__ == "__main__":
    main()
