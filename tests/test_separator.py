import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hmem_fast.core import Separator, index_codes
from hmem_fast.errors import DTypeError, InvalidValueError, ShapeError
from instruction_sets import check_all_give_the_same_bits

#: Mean number of units, of 50 among 16,384, that dense Gaussian projections of rows at a cosine share.
SHARED = {0.99: 41.1, 0.95: 31.0, 0.9: 24.0, 0.8: 15.4, 0.7: 10.0, 0.5: 4.0, 0.3: 1.4, 0.0: 0.14}


def pairs(cosine, n, dim=384, seed=0):
    """Unit rows in pairs at an angle."""
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((2, n, dim))
    a /= np.linalg.norm(a, axis=1, keepdims=True)
    b -= (a * b).sum(axis=1, keepdims=True) * a
    b /= np.linalg.norm(b, axis=1, keepdims=True)
    return a.astype(np.float32), (cosine * a + np.sqrt(1 - cosine**2) * b).astype(np.float32)


def shared(a, b):
    return np.array([len(np.intersect1d(x, y)) for x, y in zip(a, b, strict=True)])


@pytest.mark.parametrize(("cosine", "wanted"), SHARED.items())
def test_rows_share_as_many_units_as_with_a_dense_projection(cosine, wanted):
    separator = Separator(384)
    found = shared(*(separator.separate(rows) for rows in pairs(cosine, 800)))
    assert found.mean() == pytest.approx(wanted, abs=4 * found.std() / np.sqrt(800) + 0.05)


def test_the_figures_are_those_of_a_dense_projection():
    projection = np.random.default_rng(1).standard_normal((384, 16384), dtype=np.float32)
    for cosine in (0.9, 0.5):
        codes = [np.argpartition(-(rows @ projection), 50, axis=1)[:, :50] for rows in pairs(cosine, 300)]
        found = shared(*codes)
        assert found.mean() == pytest.approx(SHARED[cosine], abs=4 * found.std() / np.sqrt(300))


@given(st.integers(1, 70), st.integers(1, 3000), st.integers(0, 2**32), st.data())
def test_a_code_is_distinct_ascending_and_that_of_the_row_alone(dim, n_units, seed, data):
    n_active = data.draw(st.integers(1, n_units))
    rows = np.random.default_rng(dim).standard_normal((3, dim)).astype(np.float32)
    codes = Separator(dim, n_units, n_active, seed).separate(rows)
    assert codes.shape == (3, n_active)
    assert codes.dtype == np.int32
    assert (np.diff(codes, axis=1) > 0).all()
    assert codes.min() >= 0
    assert codes.max() < n_units
    again = Separator(dim, n_units=n_units, n_active=n_active, seed=seed)
    np.testing.assert_array_equal(again.separate(rows[1:2] * 4), codes[1:2])


def test_every_unit_wins_about_equally_often():
    rows = np.random.default_rng(2).standard_normal((4000, 100)).astype(np.float32)
    times = np.bincount(Separator(100, 1000, 50).separate(rows).ravel(), minlength=1000)
    assert times.sum() == 200_000
    # 200 each with a deviation of 14.
    assert times.min() > 120
    assert times.max() < 290


def test_seeds_give_other_codes():
    rows = np.random.default_rng(3).standard_normal((200, 64)).astype(np.float32)
    a, b = (Separator(64, seed=seed).separate(rows) for seed in (0, 1))
    assert shared(a, b).mean() < 0.5


def test_mean_and_transform_are_applied_to_the_row():
    rng = np.random.default_rng(4)
    # Small integers: the products are exact.
    rows, mean = rng.integers(-9, 9, (20, 16)).astype(np.float32), rng.integers(-9, 9, 16).astype(np.float32)
    transform = rng.integers(-4, 4, (16, 16)).astype(np.float32)
    separator = Separator(16, mean=mean, transform=transform)
    np.testing.assert_array_equal(separator.separate(rows), Separator(16).separate((rows - mean) @ transform))
    np.testing.assert_array_equal(Separator(16, mean=mean).separate(rows), Separator(16).separate(rows - mean))


def test_no_rows_give_no_codes():
    assert Separator(5, 100, 7).separate(np.zeros((0, 5), np.float32)).shape == (0, 7)


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        (np.zeros((1, 4), np.float32), InvalidValueError, "rows: .*row 0, which is all zeros"),
        ([[1.0, 0, 0, 0], [0, 0, np.nan, 0]], InvalidValueError, "rows: row 1 holds NaN at column 2"),
        ([[np.inf, 0, 0, 0]], InvalidValueError, "rows: row 0 holds an infinity"),
        (np.ones((2, 3), np.float32), ShapeError, "rows: wanted shape"),
        (np.ones(4, np.float32), ShapeError, "rows: wanted shape"),
        (np.ones((2, 4), int), DTypeError, "rows"),
    ],
)
def test_bad_rows_are_refused(rows, error, message):
    with pytest.raises(error, match=message):
        Separator(4).separate(rows)


def test_rows_of_which_nothing_is_left_are_refused():
    with pytest.raises(InvalidValueError, match="row 1, of which the mean leaves nothing"):
        Separator(2, mean=[1.0, 2.0]).separate([[0.0, 1.0], [1.0, 2.0]])
    with pytest.raises(InvalidValueError, match="row 0, of which the transform leaves nothing"):
        Separator(2, transform=[[0.0, 0.0], [0.0, 1.0]]).separate([[3.0, 0.0]])


@pytest.mark.parametrize(
    ("options", "error", "name"),
    [
        ({"dim": 0}, InvalidValueError, "dim"),
        ({"dim": 16385}, InvalidValueError, "dim"),
        ({"n_units": 0}, InvalidValueError, "n_units"),
        ({"n_units": 65537}, InvalidValueError, "n_units"),
        ({"n_units": 10, "n_active": 11}, InvalidValueError, "n_active"),
        ({"n_active": 2.0}, DTypeError, "n_active"),
        ({"seed": -1}, InvalidValueError, "seed"),
        ({"seed": 2**64}, InvalidValueError, "seed"),
        ({"mean": [1.0]}, ShapeError, "mean"),
        ({"mean": [np.nan, 1.0, 1.0]}, InvalidValueError, "mean"),
        ({"transform": np.eye(2)}, ShapeError, "transform"),
        ({"transform": np.zeros((3, 3))}, InvalidValueError, "transform"),
        ({"transform": np.full((3, 3), np.inf)}, InvalidValueError, "transform"),
    ],
)
def test_bad_settings_are_refused(options, error, name):
    with pytest.raises(error, match=f"^{name}"):
        Separator(**{"dim": 3, **options})


# Prints the bits of codes: widths around every window, units around every number of transforms.
CODES = """
import hashlib
import numpy as np
from hmem_fast.core import Separator, index_codes, isa
bits = hashlib.sha256()
for dim in (1, 15, 16, 17, 100, 384, 768):
    rng = np.random.default_rng(dim)
    rows = rng.standard_normal((50, dim)).astype(np.float32)
    mean, transform = rows.mean(axis=0), rng.standard_normal((dim, dim)).astype(np.float32)
    for n_units in (100, 1000, 16384, 20000):
        bits.update(Separator(dim, n_units).separate(rows).tobytes())
        bits.update(Separator(dim, n_units, 9, 3, mean=mean, transform=transform).separate(rows).tobytes())
print(isa(), bits.hexdigest())
"""


def test_all_instruction_sets_give_the_same_codes():
    check_all_give_the_same_bits(CODES)


def test_codes_never_change():
    # Multiples of 1/64: the same rows on every machine and with every version of numpy.
    rows = (np.arange(40 * 384) * 2654435761 % 2**32 >> 20).reshape(40, 384).astype(np.float32) / 64 - 32
    codes = Separator(384).separate(rows)
    assert hashlib.sha256(codes.astype("<i4").tobytes()).hexdigest()[:16] == "1fe12b991d51c431"


# index_codes


def test_index_codes_never_change():
    assert index_codes([0, 1, -1, 2**63 - 1], n_units=1000, n_active=5).tolist() == [
        [26, 106, 430, 879, 969],
        [202, 371, 437, 746, 953],
        [28, 317, 643, 703, 830],
        [27, 225, 447, 555, 667],
    ]
    codes = index_codes(np.arange(1000))
    assert codes.shape == (1000, 50)
    assert codes.dtype == np.int32
    assert hashlib.sha256(codes.astype("<i4").tobytes()).hexdigest()[:16] == "adb9393fc195f1e9"


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5), st.integers(1, 400), st.integers(0, 2**63), st.data())
def test_index_codes_are_distinct_ascending_and_those_of_the_id_alone(ids, n_units, seed, data):
    n_active = data.draw(st.integers(1, n_units))
    codes = index_codes(ids, n_units, n_active, seed)
    assert codes.shape == (len(ids), n_active)
    assert (np.diff(codes, axis=1) > 0).all()
    assert ((codes >= 0) & (codes < n_units)).all()
    for i, code in zip(ids, codes, strict=True):
        np.testing.assert_array_equal(index_codes([i], n_units, n_active, seed)[0], code)


def test_index_codes_of_neighbours_overlap_by_chance_alone():
    codes = index_codes(np.arange(20_000))
    found = shared(codes[:-1], codes[1:])
    assert found.mean() == pytest.approx(50 * 50 / 16384, abs=0.015)
    assert shared(codes[:2000], index_codes(np.arange(2000), seed=1)).mean() < 0.2


@pytest.mark.parametrize(
    ("arguments", "error", "name"),
    [
        (([1.5],), DTypeError, "ids"),
        (([2**63],), InvalidValueError, "ids"),
        (([[1]],), ShapeError, "ids"),
        (([1], 0), InvalidValueError, "n_units"),
        (([1], 4, 5), InvalidValueError, "n_active"),
        (([1], 4, 2, -3), InvalidValueError, "seed"),
    ],
)
def test_bad_arguments_of_index_codes_are_refused(arguments, error, name):
    with pytest.raises(error, match=f"^{name}"):
        index_codes(*arguments)
