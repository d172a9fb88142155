"""Settling, pooling and completion, beside numpy and torch on one thread; every answer is checked.

Settling and pooling are timed as whole calls from Python. "numpy" has unit patterns ready; the core scales them in each
call. The two-stage recall of torch is the best of its kind: one product with all rows, `topk`, the update by softmax.
"""

from __future__ import annotations

import numpy as np
import pytest

from hmem_fast.core import DenseIndex, energy, settle

DIM, PATTERNS, K, STEPS = 384, 20, 20, 3


def around_a_centre(n, spread, seed=0):
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal(DIM) + spread * rng.standard_normal((n, DIM))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def clustered(n):
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((n // 50, DIM)).astype(np.float32)
    rows = centres[rng.integers(len(centres), size=n)] + 0.5 * rng.standard_normal((n, DIM), np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def numpy_settle(cue, units, beta):
    state = cue / np.sqrt(cue @ cue)
    for _ in range(STEPS):
        similarities = units @ state
        state = np.exp(beta * (similarities - similarities.max())) @ units
        state /= np.sqrt(state @ state)
    similarities = units @ state
    largest = similarities.max()
    return state, largest + np.log(np.exp(beta * (similarities - largest)).sum()) / beta


@pytest.mark.parametrize("implementation", ["core", "numpy"])
def test_settle(benchmark, implementation):
    patterns, beta = around_a_centre(PATTERNS, 1.0), 8.0
    cue = patterns[3] + np.float32(0.05) * np.random.default_rng(1).standard_normal(DIM).astype(np.float32)
    if implementation == "core":
        settled = benchmark(settle, cue, patterns, beta, STEPS)
        assert settled.steps == STEPS
        vector, energy_there = settled.vector, settled.energy
    else:
        vector, energy_there = benchmark(numpy_settle, cue, patterns, beta)
    wanted, wanted_energy = numpy_settle(cue.astype(np.float64), patterns.astype(np.float64), beta)
    np.testing.assert_allclose(vector, wanted, atol=1e-5)
    assert energy_there == pytest.approx(wanted_energy, abs=1e-5)


@pytest.mark.parametrize("implementation", ["core", "numpy"])
def test_energy(benchmark, implementation):
    """150 memories of 32 keys."""
    scores, beta = np.random.default_rng(0).random(4800, np.float32), 12.0
    offsets = np.arange(0, 4801, 32)

    def numpy_energy(scores):
        starts = offsets[:-1]
        largest = np.maximum.reduceat(scores, starts)
        powers = np.exp(beta * (scores - np.repeat(largest, np.diff(offsets))))
        return largest + np.log(np.add.reduceat(powers, starts)) / beta

    got = benchmark(energy, scores, offsets, beta) if implementation == "core" else benchmark(numpy_energy, scores)
    np.testing.assert_allclose(got, numpy_energy(scores.astype(np.float64)), rtol=1e-6)


def torch_complete(torch, rows, cue, beta):
    places = torch.topk(rows @ cue, K).indices
    patterns, state = rows[places], cue
    for _ in range(STEPS):
        state = torch.softmax(beta * (patterns @ state), 0) @ patterns
        state = state / state.norm()
    return places, state


@pytest.mark.parametrize("implementation", ["core", "core, two calls", "numpy", "torch"])
@pytest.mark.parametrize("n", [20_000, 100_000])
def test_two_stage_recall(benchmark, n, implementation):
    rows, beta = clustered(n), 16.0
    rng = np.random.default_rng(1)
    cue = rows[777] + np.float32(0.3 / np.sqrt(DIM)) * rng.standard_normal(DIM).astype(np.float32)
    cue /= np.linalg.norm(cue)
    if implementation == "torch":
        torch = pytest.importorskip("torch", reason="needs the extra torch")
        torch.set_num_threads(1)
        stored, asked = torch.from_numpy(rows), torch.from_numpy(cue)
        with torch.inference_mode():
            places, state = benchmark(torch_complete, torch, stored, asked, beta)
        ids, vector = places.numpy(), state.numpy()
    elif implementation == "numpy":

        def numpy_complete():
            scores = rows @ cue
            places = np.argpartition(scores, -K)[-K:]
            places = places[np.argsort(-scores[places])]
            return places, numpy_settle(cue, rows[places], beta)[0]

        ids, vector = benchmark(numpy_complete)
    else:
        index = DenseIndex(DIM)
        index.add(rows)

        def two_calls():
            ids = index.search(cue[None], K).ids[0]
            return ids, settle(cue, index.vectors(ids), beta, STEPS).vector

        if implementation == "core":
            done = benchmark(index.complete, cue[None], K, beta=beta, steps=STEPS)
            ids, vector = done.ids[0], done.vectors[0]
        else:
            ids, vector = benchmark(two_calls)
    scores = rows.astype(np.float64) @ cue.astype(np.float64)
    wanted = np.argsort(-scores, kind="stable")[:K]
    assert set(ids.tolist()) == set(wanted.tolist())
    np.testing.assert_allclose(vector, numpy_settle(cue.astype(float), rows[wanted].astype(float), beta)[0], atol=1e-4)
