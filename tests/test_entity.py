"""What a text names, and the graph of it: a function of what is stored, whatever happened before."""

from __future__ import annotations

import json
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hmem_fast.encode import HashingEncoder
from hmem_fast.memory import Memory, entity_graph
from hmem_fast.memory.entity import MAX_GRAMS, TitleTable, entities_of, node_of, title_of
from hmem_fast.memory.entity_graph import EntityGraph


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("She moved to New York with Ann Lee.", {"new york", "ann lee"}),
        # A capital that the sentence asks for says nothing; a second one does.
        ("Soup is good. Nobody knows! Why not? Maybe.", set()),
        ("Guy left. Nobody saw Guy.", {"guy"}),
        ("The Beatles met in Hamburg.", {"beatles", "hamburg"}),
        ("When Hugh came, Guy left", {"hugh", "guy"}),
        ("Small things matter. I saw Small Faces live.", {"small faces"}),
        ("a Duke of Lucca and Bertha", {"duke of lucca", "duke", "lucca", "bertha"}),
        ("the University of the Arts", {"university of the arts", "university", "arts"}),
        ("by J. K. Rowling, St. Maurice's Abbey", {"j k rowling", "st maurice", "abbey"}),
        ("Yes, Ann's Acme and Ben’s Audi", {"ann", "acme", "ben", "audi"}),
        ("he met Élodie Ångström", {"élodie ångström"}),
        ("in 1960 or 2024, not 0999 or 3000 or 1960s", {"1960", "2024"}),
        ("12 km, 3.5 million, 1,200 metres, 40% and 7 apples", {"12 km", "3.5 million", "1200 metres", "40 %"}),
        ("for $3,000", {"$3000"}),
        ("", set()),
        ("... 。 ?! \n\t", set()),
        ("在北京大学", {"在北京", "北京大", "京大学"}),
        ("北京 NBA 上海", {"nba"}),
        ("שלום רב לכולם", {"שלום", "לכולם"}),
    ],
)
def test_names(text, wanted):
    assert entities_of(text) == wanted


def test_a_text_full_of_signs_has_a_bounded_number_of_names_and_texts_agree_on_them():
    text = "".join(chr(0x4E00 + 7 * i) for i in range(400))
    names = entities_of(text)
    assert len(names) == MAX_GRAMS
    part = entities_of(text[:300])
    assert len(names & part) > MAX_GRAMS // 2  # those of the smallest hash, wherever they stand


@given(st.text(max_size=80))
def test_any_text_has_names_in_one_spelling(text):
    names = entities_of(text)
    assert all(name and len(name) <= len(text) + 4 for name in names)
    assert names == entities_of(text)
    assert all(node_of(name) < -1 for name in names)


def test_nodes_are_the_same_everywhere_and_differ():
    assert node_of("ann") == -2989485185159384741
    assert len({node_of(str(i)) for i in range(10_000)}) == 10_000


@pytest.mark.parametrize(
    ("metadata", "title"),
    [
        ({"title": "Green (album)"}, "Green"),
        ({"title": "(What's the Story)"}, "What the Story"),
        ({"title": "  Ann's   Journey: Part 2 "}, "Ann Journey Part 2"),
        ({"title": "北京 A"}, "北 京 A"),
        ({"title": "?!"}, None),
        ({"title": 7}, None),
        ({"name": "title"}, None),
        ({}, None),
    ],
)
def test_titles(metadata, title):
    assert title_of(json.dumps(metadata, ensure_ascii=False)) == title


words = st.lists(st.sampled_from(["Red", "Baron", "red", "Ann", "of", "北", "京"]), min_size=1, max_size=3).map(
    " ".join
)


@given(titles=st.lists(words, max_size=8), gone=st.integers(0, 8), text=st.lists(words, max_size=6).map(" ".join))
def test_titles_are_found_while_a_memory_has_them(titles, gone, text):
    table = TitleTable()
    for title in titles:
        table.add(title)
    for title in titles[:gone]:
        table.remove(title)
    left = set(titles[gone:])
    wanted = {title for title in left if f" {title} " in f" {text} "}
    assert table.found_in(text) == wanted == entity_graph._finder(left)(text)
    with patch.object(entity_graph, "_FEW", 0):
        assert entity_graph._finder(left)(text) == wanted
    assert all((title in table) == (title in left) for title in titles)


ENCODER = HashingEncoder(8)
NAMES = ["Ann Lee", "Acme", "Red Baron", "Lucca", "北京大学", "1960"]
texts = st.lists(st.sampled_from([*NAMES, "met", "in", "bees."]), min_size=1, max_size=6).map(" ".join)
metadata = st.sampled_from([None, *({"title": name} for name in NAMES), {"title": "Ann"}, {"other": 1}])
operations = st.lists(
    st.one_of(
        st.tuples(st.just("store"), texts, metadata),
        st.tuples(st.just("update"), st.integers(0, 99), st.tuples(texts, metadata)),
        st.tuples(st.just("forget"), st.integers(0, 99), st.none()),
        st.tuples(st.just("link"), st.integers(0, 99), st.integers(0, 99)),
        st.tuples(st.just("unlink"), st.integers(0, 99), st.none()),
        st.tuples(st.just("look"), st.none(), st.none()),
    ),
    max_size=12,
)


def columns(graph):
    return [column.tolist() for column in graph.links()]


@settings(max_examples=60)
@given(operations=operations, few=st.sampled_from([0, 16]))
def test_the_graph_that_followed_is_the_graph_made_afresh(operations, few):
    with patch.object(entity_graph, "_FEW", few), Memory.open(":memory:", encoder=ENCODER) as memory:
        store, live = memory._store, EntityGraph()
        for kind, what, more in operations:
            ids = store.memory_ids()
            if kind == "store":
                memory.store(what, metadata=more)
            elif kind == "look":
                live.follow(store)
            elif ids:
                memory_id = ids[what % len(ids)]
                if kind == "update":
                    memory.update(memory_id, text=more[0], metadata=more[1])
                elif kind == "forget":
                    memory.forget(memory_id)
                elif kind == "link" and ids[more % len(ids)] != memory_id:
                    memory.link(memory_id, ids[more % len(ids)], 1.5)
                elif kind == "unlink" and memory.links(memory_id):
                    link = memory.links(memory_id)[0]
                    memory.unlink(link.source, link.target)
        assert columns(live.follow(store)) == columns(EntityGraph().follow(store))


def test_a_graph_that_was_given_stays_as_it_is():
    with Memory.open(":memory:", encoder=ENCODER) as memory:
        memory.store("we met Ann Lee")
        graph = memory._index.entities()
        before = columns(graph)
        memory.store("then Ann Lee left for Lucca")
        assert columns(memory._index.entities()) != before
        assert columns(graph) == before


def test_titles_link_memories_that_come_before_and_after():
    with Memory.open(":memory:", encoder=ENCODER) as memory:
        early = memory.store("it was the red door again")
        memory._index.entities()
        titled = memory.store("about a house", metadata={"title": "red door"})
        late = memory.store("a red door, once more")
        graph = memory._index.entities()
        title = node_of("title red door")
        held = {link[:2]: link[2] for link in zip(*columns(graph), strict=True)}
        assert [held[title, memory_id] for memory_id in (early, titled, late)] == [1.0, 2.0, 1.0]
        memory.forget(titled)
        assert title not in memory._index.entities()


def test_links_between_memories_are_part_of_it():
    with Memory.open(":memory:", encoder=ENCODER) as memory:
        a, b = memory.store("bees"), memory.store("soup")
        memory.link_many([(a, b, 2.0), (b, a, 0.5)])
        assert columns(memory._index.entities()) == [[a], [b], [2.5]]
        memory.unlink(a, b)
        assert columns(memory._index.entities()) == [[a], [b], [0.5]]
