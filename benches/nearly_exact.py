"""How many of the best rows a search with ``exact=False`` misses.

Takes a ``.npy`` file of float32 rows, such as the embeddings that ``make bench-peers`` keeps in
``$HMEM_CACHE/bench-peers``; 2,000 rows, drawn at random, are held out as queries.
"""

from __future__ import annotations

import argparse

import numpy as np

from hmem_fast import DenseIndex

QUERIES = 2_000
SIZES = (1_000, 5_000, 20_000)


def missed(rows, queries, k):
    """Give how many of the best `k` rows were not found, and whether all were found in order."""
    index = DenseIndex(rows.shape[1])
    index.add(rows)
    exact = index.search(queries, k)
    fast = np.concatenate([index.search(query[None], k, exact=False).ids for query in queries])
    lost = sum(len(np.setdiff1d(wanted, found)) for wanted, found in zip(exact.ids, fast, strict=True))
    return lost, np.array_equal(exact.ids, fast)


def main():
    """Print a line for each number of rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("embeddings", help="file of float32 rows, .npy")
    parser.add_argument("--k", type=int, default=20)
    args = parser.parse_args()
    rows = np.random.default_rng(0).permutation(np.load(args.embeddings))
    queries, rows = rows[:QUERIES], rows[QUERIES:]
    for n in sorted({*(size for size in SIZES if size < len(rows)), len(rows)}):
        lost, in_order = missed(rows[:n], queries, args.k)
        print(f"{n:,} rows: {lost} of {QUERIES * args.k:,} hits missed{', all in order' if in_order else ''}")


if __name__ == "__main__":
    main()
