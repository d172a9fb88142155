"""What is `hmem_fast.torch_core`'s own: agreement with the core, devices, blocks and segments."""

import pickle
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hmem_fast import core, errors, torch_core
from hmem_fast.core import DenseIndex
from hmem_fast.torch_core import TorchIndex, scan, segment
from indexes import TORCH_KINDS
from strategies import METRICS, ROW_SETS, random_rows

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module", params=TORCH_KINDS)
def on_device(request):
    return request.param.ready()


def edited(index, rows):
    """Grow, thin out and replace, so that rows lie in several segments, some of them removed."""
    for part in np.array_split(rows, 5):
        index.add(part)
    index.remove(np.arange(0, len(rows), 3))
    index.add(rows[:7], ids=[1, 2, 4, 1000, 5, 999, 7], replace=True)
    return index


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", [name for name, rows in ROW_SETS.items() if len(rows) >= 20])
def test_the_state_is_the_cores_to_the_bit(on_device, name, metric):
    rows = ROW_SETS[name]
    here, there = edited(on_device(rows.shape[1], metric), rows), edited(DenseIndex(rows.shape[1], metric), rows)
    ours, theirs = here.state(), there.state()
    assert ours.keys() == theirs.keys()
    for entry, value in theirs.items():
        np.testing.assert_array_equal(ours[entry], value, err_msg=entry)
        assert getattr(ours[entry], "dtype", None) == getattr(value, "dtype", None)


@pytest.mark.parametrize("metric", METRICS)
def test_an_index_moves_to_the_core_and_back(on_device, metric):
    rows = ROW_SETS["unequal norms"]
    index = edited(on_device(48, metric), rows)
    moved = DenseIndex.from_state(index.state())
    back = on_device.from_state(moved.state())
    np.testing.assert_array_equal(back.vectors(back.ids), index.vectors(index.ids))
    for one, other in zip(index.search(rows[:9], 5), back.search(rows[:9], 5), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)
    np.testing.assert_array_equal(moved.add(rows[:2]), back.add(rows[:2]))


@pytest.mark.parametrize("metric", METRICS)
def test_vectors_are_the_cores(on_device, metric):
    rows = ROW_SETS["unequal norms"]
    ids = [3, 699, 3, 0]
    ours = on_device.filled(rows, metric).vectors(ids)
    index = DenseIndex(48, metric)
    index.add(rows)
    np.testing.assert_allclose(ours, index.vectors(ids), rtol=2e-7)


ANY_FLOAT32 = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(data=st.data(), metric=st.sampled_from(METRICS), n=st.integers(1, 12), d=st.integers(1, 9))
def test_scores_keep_to_float64_for_numbers_of_any_size(on_device, data, metric, n, d):
    rows = data.draw(hnp.arrays(np.float32, (n, d), elements=ANY_FLOAT32))
    queries = data.draw(hnp.arrays(np.float32, (2, d), elements=ANY_FLOAT32))
    if metric == "cosine":
        rows[~rows.any(axis=1), 0] = 1.0
        queries[~queries.any(axis=1), 0] = 1.0
    index = on_device.filled(rows, metric)
    for k in (1, n):
        on_device.check_answer(index.search(queries, k), np.arange(n), rows, queries, metric)


def test_wide_rows_keep_the_tolerance(on_device):
    rows = np.abs(random_rows(0, n=30, d=70_000)) + 1
    found = on_device.filled(rows).search(rows[:3], 30)
    on_device.check_answer(found, np.arange(30), rows, rows[:3])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("at_once", [1, 37, 1000, 5000])
def test_blocks_do_not_change_the_answer(on_device, monkeypatch, metric, at_once):
    rows, queries = random_rows(0), random_rows(1, n=30)
    index = edited(on_device(48, metric), rows)
    ids = index.ids
    kept = index.state()
    monkeypatch.setattr(scan, "SCORES_AT_ONCE", at_once)
    monkeypatch.setattr(scan, "_ROWS_AT_LEAST", 10)
    held = {int(i): row for i, row in zip(ids, DenseIndex.from_state(kept).vectors(ids), strict=True)}
    for k in (1, 10, 10**6):
        found = index.search(queries, k)
        on_device.check_answer(found, ids, np.array([held[int(i)] for i in ids]), queries, metric)
        some = ids[::5]
        found = index.search(queries, k, allowed=some)
        on_device.check_answer(found, some, np.array([held[int(i)] for i in some]), queries, metric)


def test_no_block_of_scores_is_larger_than_its_limit(on_device, monkeypatch):
    largest = 0
    import torch

    topk = torch.Tensor.topk

    def watched(self, *args, **options):
        nonlocal largest
        largest = max(largest, self.numel())
        return topk(self, *args, **options)

    monkeypatch.setattr(torch.Tensor, "topk", watched)
    monkeypatch.setattr(scan, "SCORES_AT_ONCE", 5000)
    monkeypatch.setattr(scan, "_ROWS_AT_LEAST", 100)
    found = on_device.filled(random_rows(0)).search(random_rows(1, n=600), 3)
    assert found.ids.shape == (600, 3)
    assert 0 < largest <= 5000


def test_large_segments_are_not_copied_when_rows_are_added(on_device, monkeypatch):
    monkeypatch.setattr(segment, "SEGMENT_BYTES", 100 * 48 * 4)
    index = on_device.filled(random_rows(0, n=90))
    first = index._view.segments[0]
    index.add(random_rows(1, n=80))
    assert index._view.segments[0] is first
    assert len(index) == 170


def test_single_adds_leave_few_segments(on_device):
    index = on_device(48)
    for row in random_rows(0, n=300):
        index.add(row[None])
    assert len(index._view.segments) < 12
    np.testing.assert_array_equal(index.ids, np.arange(300))


def test_removed_rows_give_their_memory_back(on_device):
    index = on_device.filled(random_rows(0))
    before = index.nbytes
    index.remove(np.arange(600))
    assert index.nbytes < before / 4
    index.remove(np.arange(600, 700))
    assert (index.nbytes, len(index)) == (0, 0)


def test_an_autocast_around_a_search_changes_nothing(on_device):
    import torch

    index, queries = on_device.filled(random_rows(0)), random_rows(1, n=5)
    wanted = index.search(queries, 5)
    with torch.autocast(on_device.name, dtype=torch.bfloat16):
        found = index.search(queries, 5)
    np.testing.assert_array_equal(found.ids, wanted.ids)
    np.testing.assert_array_equal(found.scores, wanted.scores)


def test_torchs_defaults_change_nothing(on_device):
    import torch

    rows = random_rows(0)
    torch.set_default_dtype(torch.float64)
    try:
        found = on_device.filled(rows).search(rows[:3], 2)
        settled = on_device.settle(rows[0], rows, 20.0, 2)
    finally:
        torch.set_default_dtype(torch.float32)
    assert found.ids[:, 0].tolist() == [0, 1, 2]
    assert (found.scores.dtype, settled.vector.dtype) == (np.float32, np.float32)


@given(seed=st.integers(0, 10**6), n=st.integers(1, 40), beta=st.floats(0.1, 30), steps=st.integers(0, 5))
def test_settling_agrees_with_the_core(on_device, seed, n, beta, steps):
    rng = np.random.default_rng(seed)
    patterns, cue = rng.standard_normal((n, 16)), rng.standard_normal(16)
    here, there = on_device.settle(cue, patterns, beta, steps), core.settle(cue, patterns, beta, steps)
    np.testing.assert_allclose(here.vector, there.vector, atol=1e-5)
    assert here.energy == pytest.approx(there.energy, abs=1e-5)


def test_settling_in_blocks(on_device, monkeypatch):
    from hmem_fast.torch_core import attractor

    patterns = random_rows(0, n=100)
    monkeypatch.setattr(attractor, "_AT_ONCE", 7 * 48)
    here, there = on_device.settle(patterns[3], patterns, 12.0, 3), core.settle(patterns[3], patterns, 12.0, 3)
    np.testing.assert_allclose(here.vector, there.vector, atol=1e-6)
    assert here.energy == pytest.approx(there.energy, abs=1e-6)


ROW = np.ones((1, 3), np.float32)

REFUSED = {
    "width": lambda make: make(2**21),
    "no width": lambda make: make(0),
    "width of text": lambda make: make("3"),
    "metric": lambda make: make(3, "euclid"),
    "shape": lambda make: make(3).add(np.ones(3)),
    "width of rows": lambda make: make(3).add(np.ones((2, 4))),
    "integers": lambda make: make(3).add(np.ones((2, 3), int)),
    "long double": lambda make: make(3).add(np.ones((2, 3), np.longdouble)),
    "NaN": lambda make: make(3).add([[1.0, 2.0, 3.0], [1.0, np.nan, 0.0]]),
    "infinity": lambda make: make(3).add([[1.0, 2.0, -np.inf]]),
    "beyond float32": lambda make: make(3).add([[1.0, 2.0, 3.0], [1.0, -1.25e39, 0.0]]),
    "zero row": lambda make: make(3).add([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]]),
    "zero query": lambda make: make(3).search([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]], 1),
    "number of ids": lambda make: make(3).add(ROW, ids=[1, 2]),
    "negative id": lambda make: make(3).add(ROW, ids=[-4]),
    "id twice": lambda make: make(3).add(np.ones((4, 3)), ids=[9, 4, 4, 9]),
    "id of another type": lambda make: make(3).add(ROW, ids=[1.0]),
    "id too large": lambda make: make(3).add(ROW, ids=np.array([2**63], np.uint64)),
    "shape of ids": lambda make: make(3).add(ROW, ids=[[1]]),
    "id in use": lambda make: [make.one.add(ROW, ids=[5]), make.one.add(ROW, ids=[5])],
    "last id": lambda make: [make.two.add(ROW, ids=[2**63 - 1]), make.two.add(ROW)],
    "unknown id": lambda make: make(3).remove([8, 9]),
    "removed twice": lambda make: make(3).remove([8, 8]),
    "vectors of unknown": lambda make: make(3).vectors([8]),
    "k": lambda make: make(3).search(ROW, 0),
    "k below": lambda make: make(3).search(ROW, -3),
    "k of another type": lambda make: make(3).search(ROW, 1.0),
    "k is a bool": lambda make: make(3).search(ROW, True),
    "threads": lambda make: make(3).search(ROW, 1, threads=0),
    "mask": lambda make: make(3).search(ROW, 1, allowed=[True]),
    "filter of another type": lambda make: make(3).search(ROW, 1, allowed=["a"]),
    "shape of filter": lambda make: make(3).search(ROW, 1, allowed=[[1, 2]]),
    "exponents": lambda make: make.from_state(make(3).state() | {"rows": ROW, "ids": [1], "exponents": [500]}),
    "missing exponents": lambda make: make.from_state(make(3).state() | {"rows": ROW, "ids": [1]}),
    "beta": lambda make: make.settle([1.0], [[1.0]], -1.0, 1),
    "steps": lambda make: make.settle([1.0], [[1.0]], 1.0, -1),
    "steps of another type": lambda make: make.settle([1.0], [[1.0]], 1.0, 1.5),
    "no patterns": lambda make: make.settle([1.0], np.empty((0, 1)), 1.0, 1),
    "zero pattern": lambda make: make.settle([1.0], [[1.0], [0.0]], 1.0, 1),
    "zero cue": lambda make: make.settle([0.0], [[1.0]], 1.0, 1),
    "NaN in the cue": lambda make: make.settle([1.0, np.nan], [[1.0, 0.0]], 1.0, 1),
    "width of patterns": lambda make: make.settle([1.0], [[1.0, 0.0]], 1.0, 1),
    "shape of the cue": lambda make: make.settle([[1.0]], [[1.0]], 1.0, 1),
}


class Both:
    """Makes indexes of one kind, and keeps two of them."""

    def __init__(self, new, from_state, settle):
        self.new, self.from_state, self.settle = new, from_state, settle
        self.one, self.two = new(3), new(3)

    def __call__(self, *args):
        return self.new(*args)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_refused_in_the_cores_words(on_device, name):
    with pytest.raises(errors.HmemError) as theirs:
        REFUSED[name](Both(DenseIndex, DenseIndex.from_state, core.settle))
    with pytest.raises(errors.HmemError) as ours:
        REFUSED[name](Both(on_device, on_device.from_state, on_device.settle))
    assert (type(ours.value), str(ours.value)) == (type(theirs.value), str(theirs.value))


@pytest.mark.parametrize("device", ["cuda:99", "nonsense", 3.5, "mps:7"])
def test_a_device_that_is_not_there_is_refused_by_name(device):
    with pytest.raises(errors.InvalidValueError, match=f"device: wanted .* got '{device}'"):
        TorchIndex(3, device=device)
    with pytest.raises(errors.InvalidValueError, match="device"):
        torch_core.settle([1.0], [[1.0]], 1.0, 1, device=device)


def test_the_device_is_torchs_default_unless_it_is_named():
    import torch

    assert TorchIndex(3).device == str(torch.get_default_device())
    assert TorchIndex(3, device=torch.device("cpu")).device == "cpu"


def test_a_pickle_remembers_its_device(on_device):
    import torch

    pickled = pickle.dumps(on_device.filled(random_rows(0, n=5)))
    with torch.device("meta"):  # another default
        assert torch.device(pickle.loads(pickled).device).type == on_device.name


def test_without_torch_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(errors.MissingDependencyError, match=r'TorchIndex needs .*torch.* "hmem_fast\[torch\]"'):
        TorchIndex(3)
    with pytest.raises(errors.MissingDependencyError, match=r"hmem_fast\[torch\]"):
        torch_core.settle([1.0], [[1.0]], 1.0, 1)
