"""Links between memories: made by callers, by conversations and by use, and gone with what they hang on."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hmem_fast.errors import DTypeError, InvalidValueError, ReadOnlyError, UnknownIdError
from hmem_fast.memory import Link, LinkedPipeline, Memory
from hmem_fast.memory.link import both_ways
from hmem_fast.store import LinkRecord


@pytest.fixture
def memory():
    with Memory.open(":memory:", encoder="hashing:16") as memory:
        memory.store_many({"text": f"text {i}"} for i in range(1, 6))
        yield memory


def told(memory, memory_id, kind=None):
    return [(link.source, link.target, link.weight) for link in memory.links(memory_id) if kind in (None, link.kind)]


class TestLink:
    def test_a_link_has_a_direction_and_a_weight(self, memory):
        memory.link(1, 2)
        memory.link(3, 1, 0.5)
        assert memory.links(1) == (Link(1, 2, 1.0, "link"), Link(3, 1, 0.5, "link"))
        memory.link(1, 2, weight=4)
        assert told(memory, 2) == [(1, 2, 4.0)]

    def test_many_are_linked_or_none(self, memory):
        assert memory.link_many([(1, 2), (2, 3, 0.5), (3, 1)]) == 3
        with pytest.raises(UnknownIdError, match="memory 99"):
            memory.link_many([(4, 5), (5, 99)])
        assert told(memory, 4) == []
        assert memory.link_many([]) == 0

    @pytest.mark.parametrize(
        ("link", "error", "wanted"),
        [
            ((1, 1), InvalidValueError, "another memory"),
            ((1, 2, 0), InvalidValueError, "weight: wanted a finite number above 0, got 0"),
            ((1, 2, float("nan")), InvalidValueError, "weight"),
            ((1, 2, float("inf")), InvalidValueError, "weight"),
            ((1, 2, "3"), DTypeError, "weight"),
            ((1, 2, True), DTypeError, "weight"),
            (("1", 2), DTypeError, "id"),
            ((1,), DTypeError, "links: wanted"),
            ("12", DTypeError, "links: wanted"),
            (12, DTypeError, "links: wanted"),
        ],
    )
    def test_what_is_no_link_is_refused(self, memory, link, error, wanted):
        with pytest.raises(error, match=wanted):
            memory.link_many([(3, 4), link])
        assert told(memory, 3) == []

    def test_unlink_takes_all_that_leads_there(self, memory):
        memory.link(1, 2)
        memory.reinforce([1, 2])
        memory.unlink(1, 2)
        assert told(memory, 1) == [(2, 1, 1.0)]
        with pytest.raises(UnknownIdError, match="from memory 1 to memory 2"):
            memory.unlink(1, 2)

    def test_links_of_what_is_not_there(self, memory):
        with pytest.raises(UnknownIdError, match="memory 9"):
            memory.links(9)

    def test_they_are_durable_and_a_reader_may_not_write_them(self, tmp_path):
        with Memory.open(tmp_path / "m", encoder="hashing:16") as memory:
            memory.store_many([{"text": "a"}, {"text": "b"}])
            memory.link(1, 2, 0.25)
        with Memory.open(tmp_path / "m", mode="r") as reader:
            assert told(reader, 1) == [(1, 2, 0.25)]
            for write in (
                lambda: reader.link(2, 1),
                lambda: reader.unlink(1, 2),
                lambda: reader.link_turns(),
                lambda: reader.reinforce([1, 2]),
            ):
                with pytest.raises(ReadOnlyError):
                    write()

    def test_they_go_with_their_memories(self, memory):
        memory.link_many([(1, 2), (2, 3), (3, 1)])
        assert memory.plan_forget(2).links == 2
        memory.forget(2)
        assert told(memory, 1) == [(3, 1, 1.0)]


class TestAfter:
    def test_a_memory_is_stored_behind_others(self, memory):
        stored = memory.store("the target", after=[1, 2])
        assert told(memory, stored) == [(1, stored, 1.0), (2, stored, 1.0)]
        (last,) = memory.store_many([{"text": "and its target", "after": stored}])
        assert told(memory, last) == [(stored, last, 1.0)]

    def test_behind_nothing_nothing_is_stored(self, memory):
        with pytest.raises(UnknownIdError, match="memory 77"):
            memory.store("lost", after=77)
        assert len(memory) == 5


class TestTurns:
    @pytest.fixture
    def talk(self):
        with Memory.open(":memory:", encoder="hashing:16") as memory:
            memory.store_many({"text": f"turn {i}", "session": session} for i, session in enumerate("aababb"))
            yield memory

    def test_each_leads_to_the_next_one_of_its_session(self, talk):
        assert talk.link_turns("b") == 2
        assert told(talk, 5) == [(3, 5, 1.0), (5, 6, 1.0)]
        assert talk.link_turns() == 2
        assert told(talk, 2) == [(1, 2, 1.0), (2, 4, 1.0)]
        assert talk.link_turns() == 0
        assert talk.link_turns("nobody's") == 0

    def test_a_forgotten_turn_leaves_no_gap(self, talk):
        talk.link_turns()
        talk.store("the end", session="a")
        talk.link_turns()
        talk.forget([2, 4])
        assert told(talk, 1) == [(1, 7, 1.0)]
        talk.forget(1)
        assert told(talk, 7) == []

    def test_a_memory_can_link_what_comes(self):
        with Memory.open(":memory:", encoder="hashing:16", link_turns=True) as memory:
            first = memory.store("one", session="s")
            memory.store("apart")
            rest = memory.store_many([{"text": "two", "session": "s"}, {"text": "three", "session": "s"}])
            assert told(memory, rest[0], "turn") == [(first, rest[0], 1.0), (rest[0], rest[1], 1.0)]


class TestReinforce:
    def test_pairs_are_linked_both_ways(self, memory):
        assert memory.reinforce([1, 2, 3], 0.5) == 6
        assert told(memory, 1) == [(1, 2, 0.5), (1, 3, 0.5), (2, 1, 0.5), (3, 1, 0.5)]
        assert {link.kind for link in memory.links(1)} == {"use"}

    def test_what_is_useful_again_grows_up_to_a_limit_and_the_rest_fades(self, memory):
        memory.reinforce([1, 2, 3])
        memory.reinforce([1, 2], decay=0.5, most=1.25)
        assert told(memory, 1) == [(1, 2, 1.25), (1, 3, 0.5), (2, 1, 1.25), (3, 1, 1.0)]
        for _ in range(6):
            memory.reinforce([1, 2], decay=0.5, most=1.25)
        assert told(memory, 1) == [(1, 2, 1.25), (2, 1, 1.25), (3, 1, 1.0)]

    def test_links_of_callers_do_not_fade(self, memory):
        memory.link(1, 3)
        memory.reinforce([1, 2], decay=0)
        assert told(memory, 1, "link") == [(1, 3, 1.0)]

    def test_one_memory_alone_only_fades(self, memory):
        memory.reinforce([1, 2])
        assert memory.reinforce([1], decay=0) == 1
        assert told(memory, 1) == [(2, 1, 1.0)]
        assert memory.reinforce([]) == 0

    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            ({"ids": [1, 99]}, UnknownIdError),
            ({"ids": [1, 2], "amount": 0}, InvalidValueError),
            ({"ids": [1, 2], "most": -1}, InvalidValueError),
            ({"ids": [1, 2], "decay": 1.5}, InvalidValueError),
            ({"ids": [1, 2], "decay": "much"}, DTypeError),
            ({"ids": range(1, 66)}, UnknownIdError),
        ],
    )
    def test_bad_input_changes_nothing(self, memory, arguments, error):
        with pytest.raises(error):
            memory.reinforce(**arguments)
        assert told(memory, 1) == []

    def test_too_many_at_a_time_are_refused(self, memory):
        memory.store_many({"text": f"more {i}"} for i in range(60))
        with pytest.raises(InvalidValueError, match="ids: wanted at most 64 memories at a time, got 65"):
            memory.reinforce(range(1, 66))

    @settings(max_examples=25, deadline=None)
    @given(st.lists(st.sets(st.integers(1, 5)), max_size=8), st.floats(0, 1))
    def test_weights_stay_within_their_limits(self, uses, decay):
        with Memory.open(":memory:", encoder="hashing:16") as memory:
            memory.store_many({"text": f"text {i}"} for i in range(1, 6))
            for use in uses:
                memory.reinforce(use, 1.0, decay=decay, most=3.0)
            links = {(link.source, link.target): link.weight for i in range(1, 6) for link in memory.links(i)}
            assert all(0.01 <= weight <= 3.0 for weight in links.values())
            for use in uses[-1:]:
                assert all(links[a, b] >= 1.0 for a in use for b in use if a != b)
            assert memory.verify().ok


@pytest.mark.parametrize("weight", [1e300, 1e-300, 5e-324, 1.7e308])
def test_a_weight_beyond_float32_leaves_all_links_usable(weight):
    with Memory.open(":memory:", encoder="hashing:16") as memory:
        memory.store_many({"text": f"text {i}"} for i in range(3))
        memory.link_many([(1, 2, weight), (2, 1, weight), (1, 3)])
        (hop,) = memory.chain(1, hops=1)
        assert hop.hit.id == (2 if weight > 1 else 3)
        assert memory.links(2)[0].weight == weight
        for options in ({"spread": True}, {"pipeline": LinkedPipeline()}):
            assert len(memory.recall("text 0", k=3, **options)) == 3


def test_links_add_up_over_kinds_and_directions():
    links = [
        LinkRecord(1, 1, 2, "link", 0.5),
        LinkRecord(2, 2, 1, "use", 2.0),
        LinkRecord(3, 3, 3, "link", 1.0),
        LinkRecord(4, 3, 1, "turn", 1.0),
    ]
    assert both_ways(links) == [(1, 2, 2.5), (1, 3, 1.0)]
