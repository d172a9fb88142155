"""Two-stage recall: an exact search, then settling among what it finds. Held against its definition in float64."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hmem_fast import errors
from hmem_fast.core import DenseIndex, TraceIndex
from hmem_fast.memory import HopfieldPipeline, Memory
from hmem_fast.types import Completion
from instruction_sets import check_all_give_the_same_bits


def units(rows):
    rows = np.asarray(rows, np.float64)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def update(patterns, state, beta):
    similarities = patterns @ state
    state = np.exp(beta * (similarities - similarities.max())) @ patterns
    return state / np.linalg.norm(state)


def energy_of(patterns, state, beta):
    similarities = patterns @ state
    largest = similarities.max()
    return largest + np.log(np.exp(beta * (similarities - largest)).sum()) / beta


def check_settled(done, row, patterns, cue, beta):
    """Hold one row of a completion against settling among `patterns`, unit rows in float64, nearest first."""
    n = len(patterns)
    state = units(cue)
    np.testing.assert_allclose(done.scores[row, :n], patterns @ state, atol=1e-6)
    for _ in range(done.steps[row]):
        state = update(patterns, state, beta)
    np.testing.assert_allclose(done.vectors[row], state, atol=1e-4)
    rested = done.vectors[row].astype(np.float64)
    np.testing.assert_allclose(done.settled_scores[row, :n], patterns @ rested, atol=1e-6)
    assert done.energy[row] == pytest.approx(energy_of(patterns, rested, beta), abs=1e-9)
    assert (done.ids[row, n:] == -1).all()
    assert np.isneginf(done.scores[row, n:]).all()
    assert np.isneginf(done.settled_scores[row, n:]).all()


CASES = {
    "seed": st.integers(0, 10**6),
    "n": st.sampled_from([1, 3, 60, 400]),
    "k": st.integers(1, 25),
    "beta": st.floats(0.5, 100),
    "steps": st.integers(0, 5),
    "one_in": st.integers(1, 4),
}


@given(**CASES)
def test_rows_are_found_exactly_and_settled_among(seed, n, k, beta, steps, one_in):
    rng = np.random.default_rng(seed)
    rows = (rng.standard_normal((n, 70)) + rng.standard_normal(70)).astype(np.float32)
    cues = rows[rng.integers(n, size=3)] + rng.standard_normal((3, 70)).astype(np.float32)
    index = DenseIndex(70)
    ids = index.add(np.ldexp(rows, rng.integers(-60, 60, (n, 1), np.int32)))  # exact: the reference takes the rows
    allowed = ids[ids % one_in == 0]
    done = index.complete(cues, k, beta=beta, steps=steps, allowed=allowed)
    assert isinstance(done, Completion)
    np.testing.assert_array_equal(done.ids, index.search(cues, k, allowed=allowed).ids)
    for row, cue in enumerate(cues):
        found = done.ids[row][done.ids[row] >= 0]
        check_settled(done, row, units(rows)[found], cue, beta)
        assert done.steps[row] <= steps


@given(**CASES)
def test_memories_are_found_by_their_closest_key(seed, n, k, beta, steps, one_in):
    rng = np.random.default_rng(seed)
    n_keys = rng.integers(0, 4, n)
    n_keys[0] = 2
    offsets = np.concatenate([[0], np.cumsum(n_keys)])
    keys = (rng.standard_normal((offsets[-1], 66)) + rng.standard_normal(66)).astype(np.float32)
    cues = keys[rng.integers(len(keys), size=2)] + rng.standard_normal((2, 66)).astype(np.float32)
    ids = 3 * np.arange(n)
    index = TraceIndex(66)
    index.put(ids, offsets, np.arange(len(keys)), keys, [""] * n)
    allowed = ids[ids % one_in == 0]
    done = index.complete(cues, k, beta=beta, steps=steps, allowed=allowed)
    assert done.ids.shape == (2, min(k, n))
    for row, cue in enumerate(cues):
        cosines = units(keys) @ units(cue)
        best = {
            memory: offsets[i] + cosines[offsets[i] : offsets[i + 1]].argmax()
            for i, memory in enumerate(ids.tolist())
            if n_keys[i] and memory % one_in == 0
        }
        wanted = sorted(best, key=lambda memory: -cosines[best[memory]])[:k]
        found = done.ids[row][done.ids[row] >= 0].tolist()
        assert found == wanted
        if found:
            check_settled(done, row, units(keys)[[best[memory] for memory in found]], cue, beta)
        else:
            check_stays(done, row, cue)


def check_stays(done, row, cue):
    np.testing.assert_allclose(done.vectors[row], units(cue), atol=1e-6)
    assert done.energy[row] == -np.inf
    assert done.steps[row] == 0
    assert (done.ids[row] == -1).all()


def trace_index():
    index = TraceIndex(2)
    index.put([4, 9], [0, 1, 2], [0, 1], np.eye(2, dtype=np.float32), ["", ""])
    return index


def dense_index():
    index = DenseIndex(2)
    index.add(np.eye(2, dtype=np.float32), ids=[4, 9])
    return index


@pytest.fixture(params=[dense_index, trace_index])
def index(request):
    return request.param()


def test_nothing_to_settle_among_leaves_the_cue_where_it_is(index):
    done = index.complete([[3.0, 4.0]], allowed=[7])
    assert done.ids.shape == (1, 2)
    check_stays(done, 0, [3.0, 4.0])
    index.remove([4, 9])
    done = index.complete([[3.0, 4.0]])
    assert done.ids.shape == done.scores.shape == done.settled_scores.shape == (1, 0)
    check_stays(done, 0, [3.0, 4.0])


def test_no_cues_give_no_answers(index):
    done = index.complete(np.empty((0, 2), np.float32))
    assert (done.vectors.shape, done.ids.shape, done.energy.shape) == ((0, 2), (0, 2), (0,))


def test_a_mask_filters_as_ids_do(index):
    done = index.complete([[3.0, 1.0]], allowed=np.array([False, True]))
    assert done.ids.tolist() == [[9, -1]]
    assert done.vectors.tolist() == [[0.0, 1.0]]


def test_defaults_are_twenty_patterns_and_three_steps():
    rows = np.random.default_rng(0).standard_normal((50, 8)).astype(np.float32)
    index = DenseIndex(8)
    index.add(rows)
    plain, spelled = index.complete(rows[:4]), index.complete(rows[:4], 20, beta=64.0, steps=3)
    np.testing.assert_array_equal(plain.vectors, spelled.vectors)
    np.testing.assert_array_equal(plain.ids, spelled.ids)
    assert plain.ids.shape == (4, 20)


@pytest.mark.parametrize(
    ("queries", "options", "error", "told"),
    [
        ([[1.0, 2.0, 3.0]], {}, errors.ShapeError, "queries"),
        ([1.0, 2.0], {}, errors.ShapeError, "queries"),
        ([[1, 2]], {}, errors.DTypeError, "queries"),
        ([[0.0, 0.0]], {}, errors.InvalidValueError, "queries"),
        ([[1.0, 0.0], [np.nan, 0.0]], {}, errors.InvalidValueError, "queries: row 1"),
        ([[1.0, 0.0]], {"k": 0}, errors.InvalidValueError, "k"),
        ([[1.0, 0.0]], {"k": 1.5}, errors.DTypeError, "k"),
        ([[1.0, 0.0]], {"beta": 0.0}, errors.InvalidValueError, "beta"),
        ([[1.0, 0.0]], {"beta": np.nan}, errors.InvalidValueError, "beta"),
        ([[1.0, 0.0]], {"steps": -1}, errors.InvalidValueError, "steps"),
        ([[1.0, 0.0]], {"allowed": [True]}, errors.ShapeError, "allowed"),
    ],
)
def test_what_is_refused(index, queries, options, error, told):
    with pytest.raises(error, match=told):
        index.complete(queries, **options)


def test_inner_products_are_nothing_to_settle_by():
    index = DenseIndex(2, "dot")
    index.add([[0.0, 0.0]])
    with pytest.raises(errors.InvalidValueError, match='metric: wanted "cosine" to settle by, got "dot"'):
        index.complete([[1.0, 0.0]])


SAME = """
import zlib, numpy as np
from hmem_fast.core import DenseIndex, TraceIndex, energy, isa, settle
# Small multiples of 1/64, exact in float32: the same on every machine.
numbers = (np.arange(700 * 100, dtype=np.uint64) * 2654435761 % 2**32 >> 22).astype(np.float32) / 64 - 8
rows, cues = numbers.reshape(700, 100), numbers[7:507].reshape(5, 100)
dense, trace = DenseIndex(100), TraceIndex(100)
dense.add(rows)
trace.put(np.arange(350), 2 * np.arange(351), np.arange(700), rows, [""] * 350)
bits = 0
for beta in (2.0, 30.0, 400.0):
    settled = settle(cues[0], rows[:150], beta, 4)
    bits = zlib.crc32(settled.vector.tobytes() + np.float64(settled.energy).tobytes(), bits)
    for index in (dense, trace):
        done = index.complete(cues, 20, beta=beta, steps=4)
        for part in (done.vectors, done.ids, done.scores, done.settled_scores, done.energy, done.steps):
            bits = zlib.crc32(part.tobytes(), bits)
    for mean in (False, True):
        bits = zlib.crc32(energy(numbers[:999], [0, 0, 1, 30, 500, 999], beta, mean=mean).tobytes(), bits)
print(isa(), f"{bits:08x}")
"""

#: What `SAME` printed where it was written; made by AVX-512, AVX2 and scalar code alike.
GOLDEN = "e378c69e"


def test_every_instruction_set_gives_the_same_bits():
    check_all_give_the_same_bits(SAME)


def test_the_bits_are_those_of_other_machines():
    printed = []
    exec(SAME, {"print": lambda _, bits: printed.append(bits)})
    assert printed == [GOLDEN]


# The memory


@pytest.fixture
def memory():
    rng = np.random.default_rng(3)
    with Memory.open(":memory:", encoder=None, dim=32) as memory:
        memory.store_many({"text": f"{i}", "vectors": rng.standard_normal((1 + i % 3, 32))} for i in range(40))
        yield memory


def test_a_noisy_vector_comes_to_rest_on_a_key(memory):
    rng = np.random.default_rng(5)
    own = rng.standard_normal(32)
    memory.store("wanted", vector=own)
    done = memory.complete(own + 0.5 * rng.standard_normal(32), beta=40.0, steps=5)
    assert done.hits[0].text == "wanted"
    assert done.hits[0].score == pytest.approx(units(own) @ done.vector, abs=1e-6)
    assert float(units(own) @ done.vector) > 0.999
    assert 0 < done.steps <= 5
    assert done.energy >= done.hits[0].score - 1e-6
    assert len(done.hits) == 20
    assert len(memory.complete(own, k=3).hits) == 3


def test_hits_are_nearest_to_where_it_rests_not_to_where_it_began():
    with Memory.open(":memory:", encoder=None, dim=2) as memory:
        for angle in (0.0, 0.5, 0.6, 0.7):
            memory.store(f"{angle}", vector=np.array([np.cos(angle), np.sin(angle)]))
        cue = np.array([np.cos(0.2), np.sin(0.2)])
        assert memory.recall(cue, k=1, pipeline="nearest")[0].text == "0.0"
        assert memory.complete(cue, beta=2.0, steps=20).hits[0].text == "0.5"


def test_a_text_is_a_cue_too():
    with Memory.open(":memory:", encoder="hashing") as memory:
        memory.store("My sister keeps bees on her roof.")
        memory.store("The marathon is on Sunday.")
        done = memory.complete("sister keeps bees on roof")
        assert done.hits[0].text == "My sister keeps bees on her roof."
        assert done.hits[0].score > 0.999


def test_an_empty_memory_leaves_the_cue_where_it_is():
    with Memory.open(":memory:", encoder=None, dim=2) as memory:
        done = memory.complete(np.array([0.0, 5.0]))
        assert done.vector.tolist() == [0.0, 1.0]
        assert (done.energy, done.steps, list(done.hits)) == (None, 0, [])


@pytest.mark.parametrize(
    ("cue", "options", "error", "told"),
    [
        (np.zeros(32), {}, errors.InvalidValueError, "cue"),
        (np.ones(3), {}, errors.ShapeError, "cue"),
        (" ", {}, errors.InvalidValueError, "cue: wanted some text"),
        ("text", {}, errors.NoEncoderError, "encoder"),
        (np.ones(32), {"k": 0}, errors.InvalidValueError, "k"),
        (np.ones(32), {"k": 1.0}, errors.DTypeError, "k"),
        (np.ones(32), {"beta": -1.0}, errors.InvalidValueError, "beta"),
        (np.ones(32), {"steps": -1}, errors.InvalidValueError, "steps"),
    ],
)
def test_what_a_memory_refuses(memory, cue, options, error, told):
    with pytest.raises(error, match=told):
        memory.complete(cue, **options)


@pytest.mark.parametrize("k", [1, 5, 20, 38, 100])
def test_the_hopfield_pipeline_ranks_the_nearest_by_where_the_query_settles(memory, k):
    query = np.random.default_rng(8).standard_normal(32).astype(np.float32)
    hits = memory.recall(query, k=k, pipeline=HopfieldPipeline(n_nearest=10, beta=5.0, steps=2))
    nearest = [hit.id for hit in memory.recall(query, k=40, pipeline="nearest")]
    traces = memory._index.traces
    patterns = {}
    for memory_id in nearest:
        _, _, keys = traces.vectors([memory_id])
        patterns[memory_id] = keys[(keys @ query).argmax()].astype(np.float64)
    first = units(np.array([patterns[memory_id] for memory_id in nearest[:10]]))
    state = units(query)
    for _ in range(2):
        state = update(first, state, 5.0)
    by_settled = sorted(nearest[:10], key=lambda memory_id: -(patterns[memory_id] @ state))
    assert [hit.id for hit in hits] == (by_settled + nearest[10:])[:k]
    assert hits[0].score == pytest.approx(patterns[by_settled[0]] @ state, abs=1e-5)
