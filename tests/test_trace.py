import math
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hmem_fast.core import TraceIndex, analyze
from hmem_fast.errors import DTypeError, DuplicateIdError, InvalidValueError, ShapeError, UnknownIdError
from hmem_fast.types import Candidates
from strategies import bm25, float64_scores, float_rows

DIM = 3
BETA = 12.0
WORDS = ["apple", "pear", "plum", "fig", "nut", "quince", "lime"]


def put(index, memories):
    """Put memories {id: (keys, text)}; the keys of memory i are called 100 i, 100 i + 1, …"""
    counts = [len(keys) for keys, _ in memories.values()]
    index.put(
        np.array(list(memories), np.int64),
        np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]),
        np.array([100 * i + j for i, (keys, _) in memories.items() for j in range(len(keys))], np.int64),
        np.concatenate([keys for keys, _ in memories.values()] + [np.zeros((0, index.dim), np.float32)]),
        [text for _, text in memories.values()],
    )


def built(memories, dim=DIM, **options):
    index = TraceIndex(dim, **options)
    if memories:
        put(index, memories)
    return index


def energy(cosines, beta):
    if len(cosines) == 0 or beta == math.inf:
        return max(cosines, default=-math.inf)
    largest = max(cosines)
    return largest + math.log(math.fsum(math.exp(beta * (s - largest)) for s in cosines)) / beta


def splitmix64(x):
    z = (x + 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def moments(values):
    return (np.mean(values), np.std(values)) if len(values) else (0.0, 0.0)


class Scored:
    """All scores of all memories by the definitions, in plain Python."""

    def __init__(self, memories, vector, terms, beta=BETA, b=0.5):
        self.dim = 0 if vector is None else len(vector)
        self.cosines = {
            i: float64_scores(keys, vector, "cosine") if vector is not None and len(keys) else np.zeros(0)
            for i, (keys, _) in memories.items()
        }
        self.energy = {i: energy(cosines, beta) for i, cosines in self.cosines.items()}
        ids = list(memories)
        scores = bm25([analyze(text) for _, text in memories.values()], terms or [], 1.2, b)
        self.bm25 = {i: scores.get(position, 0.0) for position, i in enumerate(ids)}
        sample = sorted((i for i in ids if len(self.cosines[i])), key=splitmix64)[:1024]
        self.energy_moments = moments([self.energy[i] for i in sample])
        self.bm25_moments = moments(list(self.bm25.values()))

    def check(self, found):
        """Every number of an answer, whichever memories are in it."""
        assert found.ids.tolist() == sorted(set(found.ids.tolist()))
        dtypes = [array.dtype for array in found[:5]]
        assert dtypes == [np.int64, np.float64, np.float64, np.int64, np.float64]
        assert len({array.shape for array in found[:5]}) == 1
        # Keys of 64 and more are rounded to 8 bits for the moments, narrow ones are multiplied in float32.
        near = 1e-3 if self.dim >= 64 else 1e-6
        assert found.energy_mean == pytest.approx(self.energy_moments[0], abs=near)
        assert found.energy_deviation == pytest.approx(self.energy_moments[1], abs=near)
        assert found.bm25_mean == pytest.approx(self.bm25_moments[0], rel=1e-12)
        assert found.bm25_deviation == pytest.approx(self.bm25_moments[1], rel=1e-9, abs=1e-7)
        for i, e, w, key, score in zip(*(array.tolist() for array in found[:5]), strict=True):
            assert e == pytest.approx(self.energy[i], rel=1e-12, abs=1e-12)
            assert w == pytest.approx(self.bm25[i], rel=1e-12)
            cosines = self.cosines[i]
            assert key == (100 * i + cosines.argmax() if len(cosines) else -1)
            assert score == max(cosines, default=-math.inf)


def chosen(everything, n, allowed=None):
    """The ids that `candidates` should give, from the scores of all memories."""
    rows = [
        (i, e, w)
        for i, e, w in zip(*(array.tolist() for array in everything[:3]), strict=True)
        if allowed is None or i in allowed
    ]
    by_energy = sorted((-e, i) for i, e, _ in rows if e > -math.inf)[:n]
    by_words = sorted((-w, i) for i, _, w in rows if w > 0)[:n]
    return sorted({i for _, i in by_energy + by_words})


def bits(found):
    return [np.asarray(part).tobytes() for part in found]


# Few directions and few words, so that equal and nearly equal scores are common.
coarse_keys = st.lists(st.sampled_from(range(1, 27)), max_size=4).map(
    lambda codes: np.array([[c % 3 - 1, c // 3 % 3 - 1, c // 9 - 1] for c in codes if c != 13], np.float32).reshape(
        -1, DIM
    )
)
fine_keys = float_rows(st.integers(0, 4), DIM)
texts = st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)
memory = st.tuples(coarse_keys | fine_keys, texts)
memories = st.dictionaries(st.integers(0, 40) | st.just(2**55), memory, max_size=12)
cues = st.none() | float_rows(1, DIM).map(lambda rows: rows[0])
terms = st.none() | st.lists(st.sampled_from(["appl", "pear", "plum", "fig", "nut", "zebra"]), max_size=4)
betas = st.sampled_from([None, 0.01, 1.0, 20.0, 1e4, math.inf])
edits = st.lists(st.one_of(memories, st.lists(st.integers(0, 100), max_size=4)), max_size=8)


def edited(edits):
    """An index that lived through edits, and what it should hold."""
    index, held = TraceIndex(DIM), {}
    for edit in edits:
        if isinstance(edit, dict):
            put(index, edit)
            held = {i: m for i, m in held.items() if i not in edit} | edit
        elif held:
            gone = sorted({list(held)[pick % len(held)] for pick in edit})
            index.remove(gone)
            held = {i: m for i, m in held.items() if i not in gone}
    assert index.ids.tolist() == list(held)
    return index, held


@given(edits, cues, terms, betas, st.integers(1, 6), st.none() | st.sets(st.integers(0, 40)), st.randoms())
def test_candidates_equal_brute_force_and_a_rebuilt_index(edits, vector, terms, beta, n, allowed, random):
    index, held = edited(edits)
    everything = index.candidates(vector, terms, n=2**62, beta=beta)
    scored = Scored(held, vector, terms, BETA if beta is None else beta)
    scored.check(everything)
    assert everything.ids.tolist() == [i for i in sorted(held) if scored.energy[i] > -math.inf or scored.bm25[i] > 0]
    ids = None if allowed is None else sorted(allowed)
    found = index.candidates(vector, terms, n=n, beta=beta, allowed=ids)
    scored.check(found)
    assert found.ids.tolist() == chosen(everything, n, allowed)
    other_order = list(held.items())
    random.shuffle(other_order)
    rebuilt = built(dict(other_order))
    assert bits(found) == bits(rebuilt.candidates(vector, terms, n=n, beta=beta, allowed=ids))


@given(edits, float_rows(1, DIM), st.lists(st.sampled_from(["appl", "pear", "zebra"]), max_size=4))
def test_explanations(edits, vector, terms):
    index, held = edited(edits)
    ids = list(held)[::-1]
    scored = Scored(held, vector[0], terms)
    offsets, key_ids, scores = index.key_scores(vector[0], ids)
    assert scores.tolist() == [s for i in ids for s in scored.cosines[i]]
    assert offsets.tolist() == [0, *np.cumsum([len(held[i][0]) for i in ids])]
    assert key_ids.tolist() == [100 * i + j for i in ids for j in range(len(held[i][0]))]
    same_offsets, same_ids, vectors = index.vectors(ids)
    assert (same_offsets.tolist(), same_ids.tolist()) == (offsets.tolist(), key_ids.tolist())
    wanted = np.concatenate([np.zeros((0, DIM)), *(held[i][0] for i in ids)]).astype(np.float64)
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors, wanted, rtol=1e-6)
    assert (vectors.dtype, vectors.shape) == (np.float32, wanted.shape)
    words = index.word_scores(terms, ids)
    assert words.shape == (len(ids), len(terms))
    assert words.sum(axis=1) == pytest.approx([scored.bm25[i] for i in ids], rel=1e-12)


def many(seed, n=3000, dim=24):
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((40, dim))
    ids = rng.permutation(10 * n)[:n].tolist()
    return {
        i: (
            (centres[rng.integers(40, size=rng.integers(0, 5))] + 0.05 * rng.standard_normal(dim)).astype(np.float32),
            " ".join(rng.choice(WORDS, size=rng.integers(0, 9))),
        )
        for i in ids
    }


@pytest.mark.parametrize("dim", [24, 96])
@pytest.mark.parametrize("beta", [0.5, 20.0, math.inf])
def test_many_memories_with_a_sample_for_the_moments(beta, dim):
    memories = many(0, dim=dim)
    index = TraceIndex(dim, beta=beta)
    for start in range(0, 3000, 250):
        put(index, dict(list(memories.items())[start : start + 250]))
    gone = list(memories)[::7]
    index.remove(gone)
    held = {i: m for i, m in memories.items() if i not in set(gone)}
    vector = np.random.default_rng(1).standard_normal(dim).astype(np.float32)
    everything = index.candidates(vector, ["appl", "fig"], n=10**6)
    Scored(held, vector, ["appl", "fig"], beta).check(everything)
    rebuilt = built(dict(sorted(held.items())), dim, beta=beta)
    allowed = list(held)[100:1500]
    for n in (1, 20, 200):
        for ids in (None, allowed):
            found = index.candidates(vector, ["appl", "fig"], n=n, allowed=ids)
            assert found.ids.tolist() == chosen(everything, n, None if ids is None else set(ids))
            assert bits(found) == bits(rebuilt.candidates(vector, ["appl", "fig"], n=n, allowed=ids))


def test_the_sample_moves_on_where_its_first_memories_are_gone():
    memories = many(1, dim=64)
    index = built(memories, 64)
    with_keys = sorted((i for i, (keys, _) in memories.items() if len(keys)), key=splitmix64)
    gone = set(with_keys[:1200])
    index.remove(sorted(gone))
    held = {i: m for i, m in memories.items() if i not in gone}
    vector = np.random.default_rng(1).standard_normal(64).astype(np.float32)
    found = index.candidates(vector, None, n=10**6)
    Scored(held, vector, None).check(found)
    assert bits(found) == bits(built(dict(sorted(held.items())), 64).candidates(vector, None, n=10**6))


@pytest.mark.parametrize(("keys", "beta"), [(1, math.inf), (1, 20.0), (3, math.inf), (3, 20.0)])
def test_scores_that_float32_cannot_tell_apart_are_ranked_in_float64(keys, beta):
    rng = np.random.default_rng(2)
    base = rng.standard_normal(64)
    memories = {i: ((base + 1e-7 * rng.standard_normal((keys, 64))).astype(np.float32), "") for i in range(500)}
    index = built(memories, 64, beta=beta)
    vector = (base + 0.5 * rng.standard_normal(64)).astype(np.float32)
    everything = index.candidates(vector, None, n=500)
    for n in (1, 10, 100):
        assert index.candidates(vector, None, n=n).ids.tolist() == chosen(everything, n)


def test_equal_scores_are_cut_by_id():
    key = np.ones((1, DIM), np.float32)
    memories = dict.fromkeys((8, 3, 9, 1, 5), (key, "apple"))
    index = built(memories)
    assert index.candidates(key[0], None, n=3).ids.tolist() == [1, 3, 5]
    assert index.candidates(None, ["appl"], n=2).ids.tolist() == [1, 3]
    assert index.candidates(key[0], ["appl"], n=2, allowed=[9, 5, 8, 77]).ids.tolist() == [5, 8]
    mask = index.ids > 4
    assert index.candidates(key[0], ["appl"], n=2, allowed=mask).ids.tolist() == [5, 8]


def test_beta_between_mean_and_maximum():
    vector = np.array([1, 0, 0], np.float32)
    keys = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32)
    index = built({4: (keys, "")}, beta=2.0)
    assert index.beta == 2.0
    assert index.candidates(vector, None, beta=math.inf).energy.tolist() == [1.0]
    assert index.candidates(vector, None).energy == pytest.approx([math.log(2 * math.e**2 + 1) / 2])
    assert index.candidates(vector, None, beta=1e-3).energy == pytest.approx([1e3 * math.log(2 * math.exp(1e-3) + 1)])
    found = index.candidates(vector, None)
    assert (found.best_key.tolist(), found.best_score.tolist()) == ([400], [1.0])


def test_an_empty_index_and_empty_questions():
    index = TraceIndex(DIM)
    nothing = Candidates(*[[]] * 5, 0.0, 0.0, 0.0, 0.0)
    vector = np.ones(DIM, np.float32)
    for _ in range(2):
        for question in [(vector, ["appl"]), (None, None), (vector, None), (None, [])]:
            found = index.candidates(*question)
            assert [np.asarray(part).tolist() for part in found] == list(nothing)
            assert found.ids.dtype == np.int64
        put(index, {1: (np.ones((1, DIM), np.float32), "apple")})
        index.remove([1])
    index.put([], [0], [], np.zeros((0, DIM), np.float32), [])
    assert (len(index), index.ids.tolist(), index.nbytes) == (0, [], 0)
    offsets, key_ids, vectors = index.vectors([])
    assert (offsets.tolist(), key_ids.tolist(), vectors.shape) == ([0], [], (0, DIM))
    assert index.word_scores(["appl"], []).shape == (0, 1)
    put(index, {1: (np.ones((1, DIM), np.float32), "apple")})
    assert index.candidates(None, None).ids.tolist() == []
    assert index.candidates(vector, ["appl"], allowed=[]).ids.tolist() == []
    assert index.word_scores([], [1]).shape == (1, 0)


def test_a_memory_put_again_is_replaced():
    index = built({1: (np.ones((2, DIM), np.float32), "apple"), 2: (np.zeros((0, DIM), np.float32), "pear")})
    put(index, {1: (np.zeros((0, DIM), np.float32), "plum")})
    assert index.ids.tolist() == [2, 1]
    assert len(index) == 2
    assert index.candidates(np.ones(DIM, np.float32), ["appl", "plum"]).ids.tolist() == [1]
    assert index.vectors([1])[1].tolist() == []
    assert 1 in index
    assert 3 not in index
    assert repr(index) == "TraceIndex(dim=3, beta=12.0, analyzer='english', k1=1.2, b=0.5, n=2)"


def test_words_are_cut_by_the_analyzer_of_the_index():
    index = built({1: (np.zeros((0, DIM), np.float32), "Die Häuser")}, analyzer="german", stop_words=["die"])
    assert index.analyze("die Hauses") == ["haus"]
    assert index.candidates(None, index.analyze("Hauses")).ids.tolist() == [1]
    plain = built(
        {1: (np.zeros((0, DIM), np.float32), "apple apple"), 2: (np.zeros((0, DIM), np.float32), "pear")}, b=0
    )
    weight = math.log(1 + 1.5 / 1.5) * 2 * 2.2 / (2 + 1.2)
    assert plain.candidates(None, ["appl"]).bm25 == pytest.approx([weight])


ONE = np.ones((1, DIM), np.float32)
REFUSED = [
    (([5], [0, 1], [50], [[math.nan, 0, 0.0]], ["x"]), InvalidValueError, "vectors: row 0 holds NaN"),
    (([5], [0, 1], [50], [[math.inf, 0, 0.0]], ["x"]), InvalidValueError, "vectors: row 0 holds an infinity"),
    (([5], [0, 1], [50], [[0.0, 0, 0]], ["x"]), InvalidValueError, "vectors: row 0 is all zeros"),
    (([5], [0, 1], [50], [[1e300, 0, 0.0]], ["x"]), InvalidValueError, "vectors.*float32"),
    (([5], [0, 1], [50], [[1, 0, 0]], ["x"]), DTypeError, "vectors"),
    (([5], [0, 1], [50], [[1.0, 0]], ["x"]), ShapeError, "vectors: wanted shape"),
    (([5], [0, 1], [50], [1.0, 0, 0], ["x"]), ShapeError, "vectors: wanted shape"),
    (([5], [0, 1], [50, 51], ONE, ["x"]), ShapeError, "vectors: wanted 2"),
    (([5], [0, 2], [50], ONE, ["x"]), ShapeError, "offsets"),
    (([5], [1, 1], [50], ONE, ["x"]), ShapeError, "offsets"),
    (([5], [0], [50], ONE, ["x"]), ShapeError, "offsets"),
    (([5, 6], [0, 2, 1], [50], ONE, ["x", "y"]), ShapeError, "offsets"),
    (([5, 6, 7], [0, 1, 0, 1], [50], ONE, ["x", "y", "z"]), ShapeError, "offsets"),
    (([5], [0, -1], [50], ONE, ["x"]), ShapeError, "offsets"),
    (([5], [0, 1], [-50], ONE, ["x"]), InvalidValueError, "key_ids: wanted 0 or more, got -50"),
    (([5], [0, 1], [50.0], ONE, ["x"]), DTypeError, "key_ids"),
    (([5], [0, 1], [50], ONE, ["x", "y"]), ShapeError, "texts: wanted 1"),
    (([5], [0, 1], [50], ONE, "x"), DTypeError, "texts"),
    (([5], [0, 1], [50], ONE, ["\ud800"]), InvalidValueError, r"texts\[0\]: a lone surrogate at position 0"),
    (([-5], [0, 1], [50], ONE, ["x"]), InvalidValueError, "ids: wanted 0 or more, got -5"),
    (([5, 5], [0, 1, 1], [50], ONE, ["x", "y"]), DuplicateIdError, "5 stands twice"),
    (([True], [0, 1], [50], ONE, ["x"]), DTypeError, "memory_ids"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), REFUSED)
def test_bad_memories_are_refused_and_change_nothing(arguments, error, message):
    index = built({1: (ONE, "apple")})
    with pytest.raises(error, match=message):
        index.put(*arguments)
    assert index.ids.tolist() == [1]


def test_bad_questions():
    index = built({1: (ONE, "apple")})
    for error, message, bad in [
        (ShapeError, "vector: wanted shape", lambda: index.candidates(ONE, None)),
        (ShapeError, "vector: wanted shape", lambda: index.candidates(np.ones(4, np.float32), None)),
        (InvalidValueError, "vector.*zeros", lambda: index.candidates(np.zeros(3, np.float32), None)),
        (InvalidValueError, "vector.*NaN", lambda: index.key_scores(np.full(3, np.nan, np.float32), [1])),
        (DTypeError, "vector", lambda: index.candidates([1, 2, 3], None)),
        (DTypeError, "terms", lambda: index.candidates(None, "apple")),
        (DTypeError, r"terms\[0\]", lambda: index.word_scores([1], [1])),
        (InvalidValueError, "n: wanted 1 or more", lambda: index.candidates(None, None, n=0)),
        (DTypeError, "n: wanted an integer", lambda: index.candidates(None, None, n=1.5)),
        (InvalidValueError, "beta", lambda: index.candidates(None, None, beta=0)),
        (InvalidValueError, "beta", lambda: index.candidates(None, None, beta=math.nan)),
        (InvalidValueError, "beta", lambda: TraceIndex(3, beta=-1.0)),
        (DTypeError, "beta", lambda: TraceIndex(3, beta="20")),
        (InvalidValueError, "dim", lambda: TraceIndex(0)),
        (DTypeError, "dim", lambda: TraceIndex(3.0)),
        (InvalidValueError, "analyzer", lambda: TraceIndex(3, analyzer="x")),
        (DTypeError, "allowed", lambda: index.candidates(None, None, allowed=[0.5])),
        (ShapeError, "allowed", lambda: index.candidates(None, None, allowed=[True, False])),
        (UnknownIdError, "2 is not in the index", lambda: index.remove([1, 2])),
        (UnknownIdError, "2 is not in the index", lambda: index.vectors([2])),
        (UnknownIdError, "2 is not in the index", lambda: index.key_scores(ONE[0], [1, 2])),
        (UnknownIdError, "2 is not in the index", lambda: index.word_scores(["x"], [2])),
        (DuplicateIdError, "1 stands twice", lambda: index.remove([1, 1])),
    ]:
        with pytest.raises(error, match=message):
            bad()
    assert index.ids.tolist() == [1]


def test_questions_beside_edits_see_keys_and_words_together():
    """Each edit turns all ten memories from one key and word to another: a question must never see both."""
    one, other = np.array([[1, 0, 0]], np.float32), np.array([[0, 1, 0]], np.float32)
    states = [dict.fromkeys(range(10), (one, "apple")), dict.fromkeys(range(10), (other, "pear"))]
    index = built(states[0])
    wanted = {tuple(bits(built(state).candidates(one[0], ["appl"]))) for state in states}
    assert len(wanted) == 2
    done = threading.Event()
    wrong = []

    def ask():
        while not done.is_set():
            if tuple(bits(index.candidates(one[0], ["appl"]))) not in wanted:
                wrong.append(True)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for i in range(300):
        put(index, states[(i + 1) % 2])
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []
