"""What every public class promises, checked on each of them by its existing.

Adding a public class without naming an example of it here fails the first test.
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
import math
import pickle

import numpy as np
import pytest

import hmem_fast
from hmem_fast import core, encode, memory, torch_core, types, whitening
from hmem_fast.memory import Explanation, Hit, HitExplanation, KeyMatch, KeyRecipe, Recall, Record, StoreInfo

RNG = np.random.default_rng(0)
ROWS = RNG.standard_normal((6, 8)).astype(np.float32)
ROWS.setflags(write=False)
UNITS = np.array([[0, 3], [1, 3], [2, 5]])
UNITS.setflags(write=False)
OFFSETS = np.array([0, 2, 3])
KEY_IDS = np.array([10, 11, 12])

HIT = Hit(1, "text", 0.5, None, None, None, {}, None)
MATCH = KeyMatch("turn", "text", 0.5)
TOKENIZER = b"""{"model": {"type": "WordPiece", "unk_token": "?", "continuing_subword_prefix": "##",
    "max_input_chars_per_word": 100, "vocab": {"?": 0}}}"""
WHY = HitExplanation(1, 0.5, {"energy": 0.5}, (MATCH,), {"text": 1.0})

#: For each public class, how to make one.
EXAMPLES = {
    core.Associator: lambda: core.Associator(64, 4),
    core.Separator: lambda: core.Separator(8, 64, 4),
    core.DenseIndex: lambda: core.DenseIndex(8),
    core.Graph: lambda: core.Graph(),
    core.SnapshotFolder: lambda: core.SnapshotFolder("snapshots", bytes(32)),
    core.SparseIndex: lambda: core.SparseIndex(),
    core.TextIndex: lambda: core.TextIndex(),
    core.Tokenizer: lambda: core.Tokenizer(TOKENIZER, 8),
    core.TraceIndex: lambda: core.TraceIndex(8),
    torch_core.TorchIndex: lambda: torch_core.TorchIndex(8, device="cpu"),
    encode.HashingEncoder: lambda: encode.HashingEncoder(64),
    memory.DefaultPipeline: memory.DefaultPipeline,
    memory.NearestPipeline: memory.NearestPipeline,
    memory.WordsPipeline: memory.WordsPipeline,
    memory.HopfieldPipeline: memory.HopfieldPipeline,
    memory.LinkedPipeline: memory.LinkedPipeline,
    memory.SpreadPipeline: memory.SpreadPipeline,
    KeyRecipe: KeyRecipe,
    Hit: lambda: HIT,
    KeyMatch: lambda: MATCH,
    HitExplanation: lambda: WHY,
    Explanation: lambda: Explanation("default", "q", "q", (), (), {}, {}, 1, (WHY,)),
    Recall: lambda: Recall([HIT], ranking_version=1),
    Record: lambda: Record(1, "text", None, None, None, {}, None, (), 0),
    StoreInfo: lambda: StoreInfo(None, 0, 0, 0, 0, 0, (), None, None, 8, (), 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0),
    memory.Alternative: lambda: memory.Alternative(2, 0.9, 0.1),
    memory.Hop: lambda: memory.Hop(HIT, 1.0, (memory.Alternative(2, 0.9, 0.1),)),
    memory.Chain: lambda: memory.Chain(HIT, [memory.Hop(HIT, 1.0, ())], ended="hops"),
    memory.Link: lambda: memory.Link(1, 2, 0.5, "link"),
    memory.ForgetPlan: lambda: memory.ForgetPlan(ids=(1,), keys=2, links=0, renewed=(2,)),
    memory.Purged: lambda: memory.Purged((1,), (2,), True, (), (), (), ()),
    memory.Exported: lambda: memory.Exported("folder", 1, 2, 0, 3, 400),
    memory.Imported: lambda: memory.Imported("folder", 1, 2, 0),
    memory.Problem: lambda: memory.Problem("checksum", "keys", 1, "key 1: it is not what was written"),
    memory.Verified: lambda: memory.Verified(1, 2, 0, 3, ()),
    memory.Repaired: lambda: memory.Repaired(None, None, (), (), (), (), (), (), (), ()),
    memory.Ranking: lambda: memory.Ranking(np.array([1]), np.array([0.5])),
    whitening.Whitening: lambda: whitening.Whitening.fit(ROWS),
    types.Neighbours: lambda: types.Neighbours(np.array([[1]]), np.array([[0.5]], dtype=np.float32)),
    types.Completion: lambda: core.DenseIndex(8).complete(ROWS),
    memory.Completed: lambda: memory.Completed(ROWS[0], 0.5, 3, Recall([HIT], ranking_version=1)),
    types.Settled: lambda: types.Settled(ROWS[0], 0.5, 3),
    types.Spread: lambda: types.Spread(np.array([1]), np.array([0.5])),
    types.TokenCodes: lambda: types.TokenCodes(
        np.zeros((2, 8), np.int8), np.ones(2, np.float32), np.array([0, 2]), np.arange(2)
    ),
    types.TokenVectors: lambda: types.TokenVectors(ROWS, np.array([0, 6]), np.arange(6)),
    types.Candidates: lambda: core.TraceIndex(8).candidates(None, None),
}

#: Made by opening something: their own test files make them.
OPENED = {
    memory.Memory,
    core.OpenedSnapshot,
    core.SnapshotInfo,
    core.TextEncoder,
    encode.NativeEncoder,
    encode.OnnxEncoder,
    encode.SentenceTransformerEncoder,
}
#: Descriptions of what others have, and what a pipeline is handed.
DESCRIPTIONS = {types.Encoder, types.Index, types.TokenEncoder, memory.Pipeline, memory.Question}


def marked(classes):
    """Mark the classes whose examples need PyTorch."""
    needs_torch = {torch_core.TorchIndex}
    return [pytest.param(cls, marks=[pytest.mark.torch] if cls in needs_torch else []) for cls in classes]


INDEXES = marked([core.DenseIndex, core.SparseIndex, core.TextIndex, torch_core.TorchIndex])
ALL = marked(sorted(EXAMPLES, key=lambda cls: cls.__name__))


def public_classes():
    for module in (hmem_fast, core, encode, memory, torch_core, types, whitening):
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.isclass(thing):
                yield thing


def add_to(index):
    """Fill an index with what it takes; gives the search that finds the first row."""
    if isinstance(index, types.Index):
        index.add(ROWS)
        return lambda: index.search(ROWS[:1], 2)
    if isinstance(index, core.SparseIndex):
        index.add(UNITS)
        return lambda: index.search(UNITS[:1], None, 2)
    index.add(["one bee", "two wasps", "three ants"])
    return lambda: index.search(["a bee"], 2)


def test_every_public_class_is_checked():
    reports = {
        cls
        for cls in public_classes()
        if cls.__module__.startswith("hmem_fast.encode") and dataclasses.is_dataclass(cls)
    }
    unknown = set(public_classes()) - set(EXAMPLES) - OPENED - DESCRIPTIONS - reports
    assert not unknown, f"give these an example in EXAMPLES: {unknown}"


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_repr_is_informative(cls):
    text = repr(EXAMPLES[cls]())
    assert text.startswith(cls.__name__)
    assert " at 0x" not in text


@pytest.mark.parametrize(
    "cls", sorted(set(public_classes()), key=lambda cls: cls.__name__), ids=lambda cls: cls.__name__
)
def test_it_says_what_it_is_and_does(cls):
    assert inspect.getdoc(cls)
    for name, member in vars(cls).items():
        is_own = callable(member) or isinstance(member, property | classmethod | staticmethod)
        if not name.startswith("_") and is_own and not name.startswith("model_"):
            assert inspect.getdoc(getattr(cls, name)), f"{cls.__name__}.{name}"


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_defaults_are_immutable(cls):
    try:
        parameters = inspect.signature(cls).parameters.values()
    except ValueError:
        pytest.skip("a compiled class without a signature")
    for parameter in parameters:
        assert not isinstance(parameter.default, list | dict | set | bytearray), parameter


@pytest.mark.parametrize(
    "cls", [cls for cls in EXAMPLES if dataclasses.is_dataclass(cls)], ids=lambda cls: cls.__name__
)
def test_values_are_frozen_and_travel(cls):
    value = EXAMPLES[cls]()
    assert cls.__dataclass_params__.frozen
    if cls not in {
        memory.Ranking,
        memory.Completed,
        types.Completion,
        whitening.Whitening,
    }:  # arrays have no single truth value to compare by
        assert pickle.loads(pickle.dumps(value)) == copy.deepcopy(value) == value


@pytest.mark.parametrize("cls", INDEXES, ids=lambda cls: cls.__name__)
class TestIndexes:
    def test_inputs_are_not_changed(self, cls):
        before = ROWS.copy(), UNITS.copy()
        add_to(EXAMPLES[cls]())()  # the inputs are marked read-only: writing to them would raise
        np.testing.assert_array_equal(ROWS, before[0])
        np.testing.assert_array_equal(UNITS, before[1])

    def test_the_same_calls_give_the_same_answers(self, cls):
        first, second = (add_to(EXAMPLES[cls]())() for _ in range(2))
        np.testing.assert_array_equal(first.ids, second.ids)
        np.testing.assert_array_equal(first.scores, second.scores)

    def test_ids_ascend_and_are_never_given_again(self, cls):
        index = EXAMPLES[cls]()
        add_to(index)
        n = len(index)
        assert index.ids.tolist() == list(range(n))
        index.remove([n - 1])
        add_to(index)
        assert index.ids.tolist() == [*range(n - 1), *range(n, 2 * n)]

    def test_an_answer_names_its_parts(self, cls):
        found = add_to(EXAMPLES[cls]())()
        assert isinstance(found, types.Neighbours)
        assert found.ids.dtype == np.int64
        assert found.scores.dtype == np.float32
        assert found.ids[0, 0] == 0

    def test_counts_and_bytes(self, cls):
        index = EXAMPLES[cls]()
        assert len(index) == 0
        add_to(index)
        assert len(index) == len(index.ids) > 0
        assert index.nbytes > 0
        assert 0 in index
        assert 99 not in index


@pytest.mark.parametrize("cls", marked([core.DenseIndex, torch_core.TorchIndex]), ids=lambda cls: cls.__name__)
class TestVectorIndexes:
    def test_it_answers_to_the_protocol(self, cls):
        assert isinstance(EXAMPLES[cls](), types.Index)

    def test_calls_are_named_as_in_the_protocol(self, cls):
        for name in ("add", "remove", "search", "vectors", "state"):
            wanted = inspect.signature(getattr(types.Index, name)).parameters
            got = inspect.signature(getattr(cls, name)).parameters
            assert [(p.name, p.kind, p.default) for p in got.values()][1:] == [
                (p.name, p.kind, p.default) for p in wanted.values()
            ][1:]

    def test_its_state_makes_an_equal_one(self, cls):
        index = EXAMPLES[cls]()
        search = add_to(index)
        index.remove([2])
        for twin in (cls.from_state(index.state()), pickle.loads(pickle.dumps(index)), copy.deepcopy(index)):
            np.testing.assert_array_equal(twin.search(ROWS[:1], 2).ids, search().ids)
            assert twin.add(ROWS[:1]).tolist() == [6]


def test_codes_and_associations_leave_their_inputs_alone():
    separator, associator = EXAMPLES[core.Separator](), EXAMPLES[core.Associator]()
    codes = separator.separate(ROWS)
    codes.setflags(write=False)  # as the rows: writing to them would raise
    for _ in range(2):
        associator.learn(codes[:-1], codes[1:])
    associator.forget(codes[:1], codes[1:2])
    np.testing.assert_array_equal(associator.recall(codes[:1]), associator.recall(codes[:1]))
    np.testing.assert_array_equal(EXAMPLES[core.Separator]().separate(ROWS), codes)


def test_a_trace_index_leaves_its_inputs_alone():
    index = core.TraceIndex(8)
    vectors = ROWS[:3]
    index.put(np.array([1, 2]), OFFSETS, KEY_IDS, vectors, ["a bee", "a wasp"])
    found = index.candidates(vectors[0], index.analyze("bee"), beta=math.inf)
    assert found.ids.tolist() == [1, 2]
    assert found.best_key.tolist()[0] == 10
