import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hmem_fast import errors
from hmem_fast.core import energy
from hmem_fast.types import Settled
from indexes import KINDS


@pytest.fixture(scope="module", params=KINDS)
def settle(request):
    return request.param.ready().settle


def log_sum_exp(scores, beta):
    scores = np.asarray(scores, np.longdouble)
    return float(scores.max() + np.log(np.exp(beta * (scores - scores.max())).sum()) / beta)


@given(
    groups=st.lists(st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=30), min_size=1, max_size=8),
    beta=st.floats(0.01, 1000),
)
def test_energy_is_log_sum_exp(groups, beta):
    offsets = np.cumsum([0, *map(len, groups)])
    got = energy(np.concatenate(groups).astype(np.float32), offsets, beta)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, [log_sum_exp(group, beta) for group in groups], rtol=1e-6, atol=1e-6)


@given(
    groups=st.lists(
        st.lists(st.one_of(st.floats(-50, 50, width=32), st.just(-np.inf)), min_size=1, max_size=30),
        min_size=1,
        max_size=8,
    ),
    beta=st.floats(0.01, 1000),
)
def test_the_mean_does_not_reward_many_scores(groups, beta):
    offsets = np.cumsum([0, *map(len, groups)])
    scores = np.concatenate(groups).astype(np.float32)
    got = energy(scores, offsets, beta, mean=True)
    assert got.dtype == np.float32
    for group, of_group in zip(groups, got, strict=True):
        hits = [score for score in group if score > -np.inf]
        wanted = log_sum_exp(hits, beta) - np.log(len(hits)) / beta if hits else -np.inf
        assert of_group == pytest.approx(wanted, rel=1e-6, abs=1e-6)
    # A group told twice has the same mean, and more energy.
    twice = energy(np.repeat(scores, 2), 2 * offsets, beta, mean=True)
    np.testing.assert_allclose(twice, got, rtol=1e-6, atol=1e-6)


def test_a_mean_of_equal_scores_is_their_score():
    assert energy([0.25] * 7, [0, 1, 1, 7], 3.0, mean=True).tolist() == [0.25, -np.inf, 0.25]
    assert energy([1.0, 3.0], [0, 2], np.inf, mean=True).tolist() == [3.0]
    with pytest.raises(TypeError):
        energy([1.0], [0, 1], 3.0, True)


def test_energy_limits():
    scores = np.array([3.0, 1.0, -2.0, -np.inf], np.float32)
    assert energy(scores, [0, 2, 2, 3, 4], np.inf).tolist() == [3.0, -np.inf, -2.0, -np.inf]
    assert energy(scores, [0, 2, 2, 3, 4], 1e-3)[1] == -np.inf
    assert energy(scores, [0, 2, 2, 3, 4], 5.0)[2:].tolist() == [-2.0, -np.inf]
    assert energy([], [0], 1.0).shape == (0,)
    assert energy(np.full(1000, 1e30, np.float32), [0, 1000], 1e5).tolist() == [np.float32(1e30)]


@pytest.mark.parametrize("beta", [0.0, -1.0, np.nan, -np.inf])
def test_bad_beta_for_energy(beta):
    with pytest.raises(errors.InvalidValueError, match="beta"):
        energy([1.0], [0, 1], beta)


@pytest.mark.parametrize("beta", [0.0, -1.0, np.nan, -np.inf])
def test_bad_beta(settle, beta):
    with pytest.raises(errors.InvalidValueError, match="beta"):
        settle([1.0], [[1.0]], beta, 1)


@pytest.mark.parametrize(
    ("scores", "offsets", "error"),
    [
        ([1.0, 2.0], [0, 1], errors.ShapeError),
        ([1.0, 2.0], [1, 2], errors.ShapeError),
        ([1.0, 2.0], [0, 2, 1, 2], errors.ShapeError),
        ([1.0, 2.0], [0, -1, 2], errors.ShapeError),
        ([1.0, 2.0], [], errors.ShapeError),
        ([1.0, 2.0], [0.0, 2.0], errors.DTypeError),
        ([1, 2], [0, 2], errors.DTypeError),
        ([[1.0, 2.0]], [0, 2], errors.ShapeError),
        ([1.0, np.nan], [0, 2], errors.InvalidValueError),
        ([1.0, np.inf], [0, 2], errors.InvalidValueError),
    ],
)
def test_bad_groups(scores, offsets, error):
    with pytest.raises(error, match=r"scores|offsets"):
        energy(scores, offsets, 1.0)


def update(patterns, state, beta):
    similarities = patterns @ state
    weights = np.exp(beta * (similarities - similarities.max()))
    state = patterns.T @ weights
    return state / np.linalg.norm(state)


@given(seed=st.integers(0, 10**6), n=st.integers(1, 20), beta=st.floats(0.1, 50), steps=st.integers(0, 5))
def test_settle_follows_its_equation(settle, seed, n, beta, steps):
    rng = np.random.default_rng(seed)
    patterns, cue = rng.standard_normal((n, 16)), rng.standard_normal(16)
    settled = settle(cue, patterns, beta, steps)
    assert isinstance(settled, Settled)
    assert settled.vector.dtype == np.float32
    assert settled.steps <= steps
    units = patterns / np.linalg.norm(patterns, axis=1, keepdims=True)
    state = cue / np.linalg.norm(cue)
    for _ in range(settled.steps):
        state = update(units, state, beta)
    np.testing.assert_allclose(settled.vector, state, atol=1e-4)
    assert settled.energy == pytest.approx(log_sum_exp(units @ settled.vector.astype(float), beta), abs=1e-5)


def test_settle_completes_a_pattern(settle):
    patterns = np.random.default_rng(0).standard_normal((50, 64)).astype(np.float32)
    cue = patterns[7] * (np.arange(64) < 40)
    settled = settle(cue, patterns, 60.0, 10)
    np.testing.assert_allclose(settled.vector, patterns[7] / np.linalg.norm(patterns[7]), atol=1e-5)


def test_settle_ends_for_any_number_of_steps(settle):
    patterns = np.random.default_rng(0).standard_normal((50, 64))
    assert settle(patterns[0], patterns, 20.0, 2**200).steps < 1000


def test_infinite_beta_goes_to_the_closest(settle):
    settled = settle([0.2, 0.3], [[2.0, 0.0], [0.0, 2.0]], np.inf, 3)
    assert settled.vector.tolist() == [0.0, 1.0]
    assert settled.energy == 1.0


def test_opposite_patterns_leave_the_cue_where_it_is(settle):
    settled = settle([0.0, 1.0], [[1.0, 0.0], [-1.0, 0.0]], 1.0, 5)
    assert (settled.vector.tolist(), settled.steps) == ([0.0, 1.0], 0)


def test_no_steps_give_the_cue_at_unit_length(settle):
    assert settle([0.0, 5.0], [[1.0, 1.0]], 1.0, 0).vector.tolist() == [0.0, 1.0]


def test_sizes_that_float32_cannot_multiply(settle):
    settled = settle([1e-45, 0.0], [[3e38, 3e38], [1e-42, 0.0]], 40.0, 3)
    np.testing.assert_allclose(settled.vector, [1.0, 0.0], atol=1e-4)


@pytest.mark.parametrize(
    ("cue", "patterns", "error"),
    [
        ([0.0, 0.0], [[1.0, 0.0]], errors.InvalidValueError),
        ([1.0, 0.0], [[0.0, 0.0]], errors.InvalidValueError),
        ([1.0, 0.0], np.empty((0, 2)), errors.InvalidValueError),
        ([1.0, np.nan], [[1.0, 0.0]], errors.InvalidValueError),
        ([1.0, 0.0], [[1.0, np.inf]], errors.InvalidValueError),
        ([1.0, 0.0, 0.0], [[1.0, 0.0]], errors.ShapeError),
        ([[1.0, 0.0]], [[1.0, 0.0]], errors.ShapeError),
        ([1, 0], [[1.0, 0.0]], errors.DTypeError),
        ([], np.empty((0, 0)), errors.InvalidValueError),
        ([], np.empty((1, 0)), errors.InvalidValueError),
    ],
)
def test_bad_cues_and_patterns(settle, cue, patterns, error):
    with pytest.raises(error, match=r"cue|patterns"):
        settle(cue, patterns, 1.0, 1)


@pytest.mark.parametrize(("steps", "error"), [(-1, errors.InvalidValueError), (1.0, errors.DTypeError)])
def test_bad_steps(settle, steps, error):
    with pytest.raises(error, match="steps"):
        settle([1.0], [[1.0]], 1.0, steps)
