import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hmem_fast.core import Associator, Separator, index_codes
from hmem_fast.errors import DTypeError, InvalidValueError, ShapeError, UnknownIdError
from instruction_sets import check_all_give_the_same_bits

UNITS, ACTIVE = 20, 4

code = st.sets(st.integers(0, UNITS - 1), min_size=1, max_size=ACTIVE).map(
    lambda units: sorted(units) + [-1] * (ACTIVE - len(units))
)
weight = st.integers(1, 40).map(lambda eighths: eighths / 8)  # exact in any sum
association = st.tuples(code, code, weight)


def one_hot(codes, n_units=UNITS):
    rows = np.zeros((len(codes), n_units + 1))
    np.put_along_axis(rows, np.asarray(codes), 1.0, axis=1)
    return rows[:, :-1]  # -1 is the last place


def columns(held):
    cues, targets, weights = zip(*held, strict=True)
    return np.array(cues, np.int32), np.array(targets, np.int32), np.array(weights, np.float32)


def winners(strengths, n_active=ACTIVE):
    """The most active units by a full sort, and -1 where fewer are active."""
    codes = []
    for row in strengths:
        order = np.argsort(-row, kind="stable")[:n_active]
        units = sorted(order[row[order] > 0].tolist())
        codes.append(units + [-1] * (n_active - len(units)))
    return codes


def spread(units, strengths, n_units=UNITS):
    rows = np.zeros((len(units), n_units + 1))
    np.put_along_axis(rows, units, strengths, axis=1)
    return rows[:, :-1]


@given(st.lists(association, min_size=1, max_size=30), st.lists(code, min_size=1, max_size=4))
def test_linear_recall_is_that_of_the_dense_matrix(held, cues):
    stored_cues, targets, weights = columns(held)
    matrix = (one_hot(targets) * weights[:, None]).T @ one_hot(stored_cues)
    wanted = one_hot(cues) @ matrix.T
    associator = Associator(UNITS, ACTIVE, power=1, theta=1)
    associator.learn(stored_cues, targets, weights)
    units, strengths = associator.activate(cues, UNITS)
    np.testing.assert_array_equal(spread(units, strengths), wanted)
    assert associator.recall(cues).tolist() == winners(wanted)


def test_linear_recall_of_wide_codes_is_that_of_the_dense_matrix():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((600, 64)).astype(np.float32)
    codes = Separator(64, n_units=2000, n_active=50).separate(rows)
    targets = codes[rng.permutation(600)]
    matrix = one_hot(targets, 2000).T @ one_hot(codes, 2000)
    associator = Associator(2000, 50, power=1, theta=1)
    associator.learn(codes, targets)
    cues = Separator(64, n_units=2000, n_active=50).separate(rows[:100] + 0.3 * rng.standard_normal((100, 64)))
    assert associator.recall(cues).tolist() == winners(one_hot(cues, 2000) @ matrix.T, 50)


@given(st.lists(association, min_size=1, max_size=30), code, st.integers(0, 4), st.integers(1, 4))
def test_strengths_are_the_formula(held, cue, power, theta):
    stored_cues, targets, weights = columns(held)
    overlaps = (one_hot(stored_cues) @ one_hot([cue]).T).ravel()
    wanted = (weights * overlaps**power * (overlaps >= theta)) @ one_hot(targets)
    associator = Associator(UNITS, ACTIVE, power=power, theta=theta)
    associator.learn(stored_cues, targets, weights)
    units, strengths = associator.activate([cue], UNITS)
    assert (units.dtype, strengths.dtype) == (np.int32, np.float32)
    np.testing.assert_array_equal(spread(units, strengths)[0], wanted)
    ranks = [(-s, u) for s, u in zip(strengths[0], units[0], strict=True) if u >= 0]
    assert ranks == sorted(ranks), "strongest first, then smaller units first"
    assert [place for place in zip(units[0], strengths[0], strict=True) if place[0] < 0] == [(-1, 0.0)] * (
        UNITS - len(ranks)
    )


@given(
    st.lists(st.tuples(st.lists(association, max_size=6), st.lists(st.integers(0, 50), max_size=3)), max_size=8),
    st.lists(code, min_size=1, max_size=3),
    st.none() | st.integers(1, 3),
    st.sampled_from([1, 2.5, 3]),
)
def test_an_edited_one_answers_as_one_that_learned_in_another_order(edits, cues, theta, power):
    edited, held = Associator(UNITS, ACTIVE, power, theta), []
    for learned, picks in edits:
        if learned:
            edited.learn(*columns(learned))
            held += learned
        for pick in picks[: len(held)]:
            cue, target, _ = held[pick % len(held)]
            edited.forget([cue], [target])
            last = max(at for at, one in enumerate(held) if one[:2] == (cue, target))
            del held[last]
        assert len(edited) == len(held)
    fresh = Associator(UNITS, ACTIVE, power, theta)
    for one in reversed(held):
        fresh.learn(*columns([one]))
    for hops in (1, 3):
        np.testing.assert_array_equal(edited.recall(cues, hops), fresh.recall(cues, hops))
    for a, b in zip(edited.activate(cues, 7), fresh.activate(cues, 7), strict=True):
        assert a.tobytes() == b.tobytes()


def replaced(codes, share, n_units=16384, seed=0):
    """Codes in which a share of the units was replaced by others."""
    rng = np.random.default_rng(seed)
    corrupted = codes.copy()
    count = round(share * codes.shape[1])
    for row in corrupted:
        fresh = np.setdiff1d(rng.choice(n_units, 4 * count + 8, replace=False), row)
        row[rng.permutation(len(row))[:count]] = rng.permutation(fresh)[:count]
    return corrupted


@pytest.fixture(scope="module")
def chains():
    """Codes of 20,000 memories, and links from most of them: each memory has one successor at most."""
    codes = index_codes(np.arange(20_000))
    order = np.random.default_rng(1).permutation(20_000)
    cues, targets = order[:-1].reshape(-1)[:16_000], order[1:][:16_000]
    associator = Associator()
    associator.learn(codes[cues], codes[targets])
    return associator, codes, order


def test_chains_of_index_codes_hold_over_six_hops(chains):
    associator, codes, order = chains
    starts = np.arange(500)
    np.testing.assert_array_equal(associator.recall(codes[order[starts]], hops=6), codes[order[starts + 6]])


def test_chains_hold_where_a_fifth_of_the_units_is_replaced_before_each_hop(chains):
    associator, codes, order = chains
    found = codes[order[:200]]
    for hop in range(6):
        found = associator.recall(replaced(found, 0.2, seed=hop))
        np.testing.assert_array_equal(found, codes[order[hop + 1 : hop + 201]])


def test_a_part_of_a_cue_will_do(chains):
    associator, codes, order = chains
    part = codes[order[:100]].copy()
    part[:, 10:] = -1
    np.testing.assert_array_equal(associator.recall(part), codes[order[1:101]])


def test_a_miss_invents_nothing(chains):
    associator, codes, order = chains
    unknown = index_codes(np.arange(30_000, 30_100))
    assert (associator.recall(unknown, hops=3) == -1).all()
    assert (associator.recall(codes[order[15_999:16_000]], hops=2) == -1).all(), "a chain that ends"
    units, strengths = associator.activate(np.full((2, 50), -1, np.int32), 3)
    assert units.tolist() == [[-1] * 3] * 2
    assert strengths.tolist() == [[0] * 3] * 2
    assert (Associator().recall(unknown) == -1).all()


def test_all_targets_of_a_cue_are_active():
    codes = index_codes(np.arange(4))
    associator = Associator()
    associator.learn(codes[[0, 0, 0]], codes[1:], weights=[1.0, 3.0, 2.0])
    units, strengths = associator.activate(codes[:1], 150)
    strongest = [set(units[0, at : at + 50].tolist()) for at in (0, 50, 100)]
    unique = [set(code) for code in codes.tolist()]
    for place, target in zip(strongest, (2, 3, 1), strict=True):
        assert len(place & unique[target]) >= 48  # units of two targets are stronger than either
    assert associator.recall(codes[:1]).tolist() == [sorted(units[0, :50].tolist())]
    assert (strengths[0] > 0).sum() == len(np.unique(codes[1:]))
    assert (np.diff(strengths[0]) <= 0).all()


def test_k_above_the_units_gives_as_many_columns_as_there_are_units():
    associator = Associator(UNITS, ACTIVE)
    associator.learn([[1, 2, 3, 4]], [[5, 6, 7, -1]])
    units, strengths = associator.activate([[1, 2, 3, 4]], 2**70)
    assert units.shape == strengths.shape == (1, UNITS)
    assert associator.recall([[4, 2, 3, 1]]).tolist() == [[5, 6, 7, -1]]


def test_what_is_not_held_cannot_be_forgotten():
    codes = index_codes(np.arange(5))
    associator = Associator()
    associator.learn(codes[:3], codes[1:4])
    with pytest.raises(UnknownIdError, match="row 1") as raised:
        associator.forget(codes[[0, 3]], codes[[1, 4]])
    assert isinstance(raised.value, KeyError)
    with pytest.raises(UnknownIdError, match="row 1"):
        associator.forget(codes[[0, 0]], codes[[1, 1]])
    assert len(associator) == 3
    np.testing.assert_array_equal(associator.recall(codes[:1]), codes[1:2])
    associator.forget(codes[:1], codes[1:2, ::-1])
    assert len(associator) == 2
    assert (associator.recall(codes[:1]) == -1).all()


REFUSED = [
    ([[1, 2, 3, 20]], InvalidValueError, "unit.*20 in row 0"),
    ([[1, 2, 3, -2]], InvalidValueError, "-2 in row 0"),
    ([[1, 2, 3, 4], [5, 6, 5, -1]], InvalidValueError, "unit 5 twice in row 1"),
    ([[1, 2, 3]], ShapeError, "wanted shape"),
    ([1, 2, 3, 4], ShapeError, "wanted shape"),
    ([[1.0, 2.0, 3.0, 4.0]], DTypeError, "wanted integers"),
    ([[2**40, 1, 2, 3]], InvalidValueError, "32 bits"),
]


@pytest.mark.parametrize(("codes", "error", "message"), REFUSED)
def test_bad_codes_are_refused_and_change_nothing(codes, error, message):
    associator = Associator(UNITS, ACTIVE)
    good = [[1, 2, 3, 4]] * len(codes)
    associator.learn(good, good)
    for call in (associator.learn, associator.forget):
        with pytest.raises(error, match=f"cues: .*{message}"):
            call(codes, good)
        with pytest.raises(error, match=f"targets: .*{message}"):
            call(good, codes)
    with pytest.raises(error, match=f"cues: .*{message}"):
        associator.recall(codes)
    with pytest.raises(error, match=f"cues: .*{message}"):
        associator.activate(codes, 1)
    assert len(associator) == len(good)


def test_what_does_not_fit_is_refused():
    associator = Associator(UNITS, ACTIVE)
    good, empty = [[1, 2, 3, 4]], [[-1] * 4]
    for error, name, call in [
        (ShapeError, "targets", lambda: associator.learn(good, good * 2)),
        (InvalidValueError, "cues", lambda: associator.learn(empty, good)),
        (InvalidValueError, "targets", lambda: associator.learn(good, empty)),
        (ShapeError, "weights", lambda: associator.learn(good, good, [1.0, 2.0])),
        (InvalidValueError, "weights", lambda: associator.learn(good, good, [0.0])),
        (InvalidValueError, "weights", lambda: associator.learn(good, good, [np.nan])),
        (InvalidValueError, "hops", lambda: associator.recall(good, hops=0)),
        (InvalidValueError, "k", lambda: associator.activate(good, 0)),
        (InvalidValueError, "power", lambda: Associator(power=-1)),
        (InvalidValueError, "power", lambda: Associator(power=float("nan"))),
        (InvalidValueError, "theta", lambda: Associator(theta=0)),
        (DTypeError, "theta", lambda: Associator(theta=1.5)),
        (InvalidValueError, "n_active", lambda: Associator(n_units=65536, n_active=20000)),
    ]:
        with pytest.raises(error, match=f"^{name}"):
            call()
        assert len(associator) == 0


def test_no_rows():
    associator = Associator(UNITS, ACTIVE)
    nothing = np.zeros((0, ACTIVE), np.int32)
    associator.learn(nothing, nothing)
    associator.forget(nothing, nothing)
    assert associator.recall(nothing).shape == (0, ACTIVE)
    assert [part.shape for part in associator.activate(nothing, 3)] == [(0, 3), (0, 3)]
    assert (len(associator), associator.nbytes) == (0, 0)


def test_what_it_holds_and_takes():
    codes = index_codes(np.arange(5001))
    associator = Associator(power=2, theta=9)
    associator.learn(codes[:-1], codes[1:])
    assert (associator.n_units, associator.n_active, associator.power, associator.theta) == (16384, 50, 2.0, 9)
    assert 200 * 5000 < associator.nbytes <= 301 * 5000
    assert repr(associator) == "Associator(n_units=16384, n_active=50, power=2, theta=9, n=5000)"


def test_recalls_beside_a_writer_see_all_of_a_call_or_nothing():
    codes = index_codes(np.arange(201))
    associator = Associator(power=1, theta=50)
    seen, done = set(), threading.Event()

    def read():
        while not done.is_set():
            seen.add(float(associator.activate(codes[:1], 1)[1][0, 0]))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    cues, targets = codes[np.zeros(100, int)], codes[np.ones(100, int)]
    for _ in range(50):
        associator.learn(cues, targets)
        associator.forget(cues, targets)
    done.set()
    for reader in readers:
        reader.join()
    assert seen <= {0.0, 5000.0}


# Prints the bits of recalls over correlated codes, where many associations have a say.
RECALLS = """
import hashlib
import numpy as np
from hmem_fast.core import Associator, Separator, isa
rng = np.random.default_rng(0)
rows = (rng.integers(-64, 64, (3000, 40)) + 40).astype(np.float32)
codes = Separator(40, 3000, 40).separate(rows)
weights = rng.integers(1, 9, 2999).astype(np.float32) / 3
bits = hashlib.sha256()
for power, theta in ((1, 1), (2.5, 4), (3, None)):
    associator = Associator(3000, 40, power, theta)
    associator.learn(codes[:-1], codes[1:], weights)
    for found in (associator.recall(codes[:50], hops=3), *associator.activate(codes[:50], 99)):
        bits.update(found.tobytes())
print(isa(), bits.hexdigest())
"""


def test_all_instruction_sets_give_the_same_bits():
    check_all_give_the_same_bits(RECALLS)
