"""Chains: from a cue to the memory that is meant, and on to where it leads."""

from __future__ import annotations

import numpy as np
import pytest

from hmem_fast.errors import DTypeError, InvalidValueError, ShapeError, UnknownIdError
from hmem_fast.memory import Memory

CODES = ("random", "projected", "dense")


@pytest.fixture
def memory():
    """Twelve memories that resemble nothing; the first eight stand in a row."""
    with Memory.open(":memory:", encoder=None, dim=16) as memory:
        rows = np.random.default_rng(3).standard_normal((12, 16)).astype(np.float32)
        memory.store_many({"text": f"memory {i}", "vector": row} for i, row in enumerate(rows, 1))
        memory.link_many((i, i + 1) for i in range(1, 8))
        yield memory


def ids(chain):
    return [hop.hit.id for hop in chain]


class TestFollowing:
    def test_each_hop_leads_to_the_next_memory(self, memory):
        chain = memory.chain(1)
        assert (chain.start.id, chain.start.text) == (1, "memory 1")
        assert ids(chain) == [2, 3, 4, 5, 6, 7]
        assert chain.ended == "hops"
        assert [hop.hit.text for hop in chain[:2]] == ["memory 2", "memory 3"]
        assert [(hop.overlap, hop.hit.score, hop.alternatives) for hop in chain] == [(1.0, 1.0, ())] * 6

    def test_it_ends_where_nothing_leads_on(self, memory):
        chain = memory.chain(6)
        assert (ids(chain), chain.ended) == ([7, 8], "nothing new")
        assert (ids(memory.chain(12)), len(memory.chain(9, hops=1))) == ([], 0)

    @pytest.mark.parametrize("code", CODES)
    def test_every_code_makes_a_hop_among_few(self, memory, code):
        assert ids(memory.chain(2, hops=1, code=code)) == [3]

    def test_it_begins_at_what_a_cue_means(self, memory):
        vector = np.random.default_rng(3).standard_normal((12, 16)).astype(np.float32)[4]
        assert ids(memory.chain(vector + 0.1, hops=1)) == [6]
        assert ids(memory.chain(np.int64(5), hops=1)) == [6]
        with Memory.open(":memory:", encoder="hashing") as words:
            words.store_many([{"text": "where the key lies"}, {"text": "under the mat"}])
            words.link(1, 2)
            assert ids(words.chain("Where is the key?")) == [2]

    def test_circles_end(self, memory):
        memory.link(3, 1)
        memory.link(8, 1)
        memory.unlink(3, 4)
        chain = memory.chain(1)
        assert (ids(chain), chain.ended) == ([2, 3], "nothing new")
        assert ids(memory.chain(7)) == [8, 1, 2, 3]

    def test_the_strongest_link_is_taken_and_the_others_are_told_of(self, memory):
        memory.link(1, 9, 3.0)
        memory.link(1, 10, 0.5)
        (hop,) = memory.chain(1, hops=1, alternatives=5)
        assert (hop.hit.id, hop.overlap) == (9, 1.0)
        assert [(other.id, other.overlap) for other in hop.alternatives] == [(2, 1.0), (10, 1.0)]
        shares = [hop.hit.score, *(other.share for other in hop.alternatives)]
        assert shares == pytest.approx([3 / 4.5, 1 / 4.5, 0.5 / 4.5], abs=0.02)
        assert len(memory.chain(1, hops=1, alternatives=1)[0].alternatives) == 1

    def test_branches_find_the_better_path(self, memory):
        memory.link(1, 9, 1.5)
        memory.link_many([(9, 10), (9, 11), (9, 12)])
        assert ids(memory.chain(1, hops=2))[0] == 9
        assert ids(memory.chain(1, hops=2, branches=2)) == [2, 3]

    def test_branches_go_on_where_one_path_ends(self, memory):
        memory.link(1, 9, 2.0)
        assert ids(memory.chain(1, hops=3)) == [9]
        assert ids(memory.chain(1, hops=3, branches=2)) == [2, 3, 4]


class TestFollowingTheTruth:
    def test_a_chain_knows_the_links_there_are_now(self, memory):
        assert ids(memory.chain(7)) == [8]
        memory.link(8, 9)
        assert ids(memory.chain(7)) == [8, 9]
        memory.unlink(7, 8)
        assert ids(memory.chain(7)) == []
        memory.link(7, 10)
        assert ids(memory.chain(7)) == [10]
        memory.link(7, 9, 5)
        assert ids(memory.chain(7, hops=1)) == [9]
        memory.forget(9)
        assert ids(memory.chain(7)) == [10]
        memory.reinforce([10, 11])
        assert ids(memory.chain(7)) == [10, 11]

    @pytest.mark.parametrize("code", ["projected", "dense"])
    def test_codes_that_are_made_of_vectors_follow_them(self, memory, code):
        assert ids(memory.chain(1, hops=1, code=code)) == [2]
        memory.update(2, vector=np.eye(16, dtype=np.float32)[0])
        memory.store("new", vector=np.eye(16, dtype=np.float32)[1], after=2)
        assert ids(memory.chain(2, hops=1, alternatives=0, code=code))[0] in (3, 13)

    def test_a_reader_follows_the_writer(self, tmp_path):
        with Memory.open(tmp_path / "m", encoder="hashing:16") as writer:
            writer.store_many({"text": f"text {i}"} for i in range(5))
            writer.link(1, 2)
            with Memory.open(tmp_path / "m", mode="r") as reader:
                assert ids(reader.chain(1)) == [2]
                writer.link(2, 3)
                assert ids(reader.chain(1)) == [2, 3]
                writer.unlink(1, 2)
                assert ids(reader.chain(1)) == []


class TestInput:
    @pytest.mark.parametrize(
        ("arguments", "error", "wanted"),
        [
            ({"cue": 99}, UnknownIdError, "memory 99"),
            ({"cue": True}, DTypeError, "id"),
            ({"cue": np.ones(3)}, ShapeError, "query"),
            ({"cue": 1, "hops": 0}, InvalidValueError, "hops: wanted 1 or more, got 0"),
            ({"cue": 1, "hops": 1.5}, DTypeError, "hops"),
            ({"cue": 1, "branches": 0}, InvalidValueError, "branches"),
            ({"cue": 1, "alternatives": -1}, InvalidValueError, "alternatives"),
            ({"cue": 1, "code": "morse"}, InvalidValueError, "code: wanted one of 'random'"),
        ],
    )
    def test_bad_input_is_named(self, memory, arguments, error, wanted):
        with pytest.raises(error, match=wanted):
            memory.chain(**arguments)

    def test_an_empty_memory_has_nothing_to_begin_at(self):
        with Memory.open(":memory:", encoder="hashing:16") as memory:
            with pytest.raises(UnknownIdError, match="no memory to begin at"):
                memory.chain("anything")
            with pytest.raises(UnknownIdError):
                memory.chain(1)
