"""Graph: its links against a plain dict, spreading against a dense float64 oracle."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hmem_fast import errors
from hmem_fast.core import Graph
from hmem_fast.types import Spread

NODES = st.integers(-6, 8)
WEIGHTS = st.floats(0.125, 8.0, width=32)
LINKS = st.lists(st.tuples(NODES, NODES, WEIGHTS), max_size=40)


def graph_of(links, *, directed=False):
    graph = Graph(directed=directed)
    add(graph, links)
    return graph


def add(graph, links):
    sources, targets, weights = zip(*links, strict=True) if links else ((), (), ())
    graph.add(np.array(sources, np.int64), np.array(targets, np.int64), np.array(weights, np.float32))


def listed(graph):
    return list(zip(*(column.tolist() for column in graph.links()), strict=True))


def plain(links, *, directed=False):
    """What a graph holds, as a dict."""
    held = {}
    for source, target, weight in links:
        held[(source, target) if directed or source <= target else (target, source)] = weight
    return held


def spread_by_definition(held, *, directed, seeds, walk, steps, rarity):
    """Personalised PageRank over dense float64 matrices."""
    ids = sorted({node for link in held for node in link} | set(seeds))
    linked = {node for link in held for node in link}
    place = {node: i for i, node in enumerate(ids)}
    weights = np.zeros((len(ids), len(ids)))
    n_links = np.zeros(len(ids))
    for (source, target), weight in held.items():
        a, b = place[source], place[target]
        weights[a, b] = weight
        n_links[a] += 1
        if directed:
            n_links[b] += 1
        elif a != b:
            weights[b, a] = weight
            n_links[b] += 1
    if rarity:
        factors = np.log1p(len(linked) / np.maximum(n_links, 1))
        factors[[node < 0 and n_links[place[node]] < 2 for node in ids]] = 0
        weights = weights * factors * (factors[:, None] > 0)
    total = weights.sum(axis=1)
    steps_to = np.divide(weights, total[:, None], out=np.zeros_like(weights), where=total[:, None] > 0)
    start = np.zeros(len(ids))
    for node, weight in seeds.items():
        start[place[node]] = weight / sum(seeds.values())
    score = start.copy()
    for _ in range(steps):
        score = walk * score @ steps_to + (1 - walk + walk * score[total == 0].sum()) * start
    found = {node: score[place[node]] for node in ids if node >= 0 and score[place[node]] > 0}
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


@given(
    links=LINKS,
    directed=st.booleans(),
    rarity=st.booleans(),
    seeds=st.dictionaries(st.integers(-7, 10), st.floats(0.125, 4, width=32), min_size=1, max_size=4),
    walk=st.floats(0, 1),
    steps=st.integers(0, 12),
)
def test_spreading_follows_its_definition(links, directed, rarity, seeds, walk, steps):
    graph = graph_of(links, directed=directed)
    how = {"walk": walk, "steps": steps, "rarity": rarity}
    wanted = spread_by_definition(plain(links, directed=directed), directed=directed, seeds=seeds, **how)
    ids, weights = list(seeds), np.array(list(seeds.values()), np.float32)
    first = graph.spread(ids, weights, **how)
    assert isinstance(first, Spread)
    assert (first.ids.dtype, first.scores.dtype) == (np.int64, np.float64)
    got = dict(zip(first.ids.tolist(), first.scores.tolist(), strict=True))
    assert got.keys() == wanted.keys()
    for node, score in wanted.items():
        assert got[node] == pytest.approx(score, rel=1e-12, abs=1e-300)
    assert list(zip(-first.scores, first.ids, strict=True)) == sorted(zip(-first.scores, first.ids, strict=True))
    # The first spread of a graph reads it as it lies, later ones as it is laid out for them.
    for _ in range(2):
        again = graph.spread(ids, weights, **how)
        assert again.ids.tolist() == first.ids.tolist()
        assert again.scores.tobytes() == first.scores.tobytes()


def random_graph(seed, n=3000, n_links=15_000):
    rng = np.random.default_rng(seed)
    return rng.integers(-n // 3, n, (n_links, 2)), (rng.random(n_links) + 0.5).astype(np.float32)


@pytest.mark.parametrize("directed", [False, True])
def test_a_large_graph_follows_the_definition_too(directed):
    ends, weights = random_graph(1, n=600, n_links=3000)
    graph = graph_of([(*pair, weight) for pair, weight in zip(ends.tolist(), weights, strict=True)], directed=directed)
    held = {link[:2]: link[2] for link in listed(graph)}
    for seeds in ({5: 1.0}, dict.fromkeys(range(0, 300, 7), 1.0)):
        wanted = spread_by_definition(held, directed=directed, seeds=seeds, walk=0.6, steps=10, rarity=True)
        got = graph.spread(list(seeds), walk=0.6, rarity=True)
        assert set(got.ids.tolist()) == wanted.keys()
        np.testing.assert_allclose(got.scores, [wanted[node] for node in got.ids.tolist()], rtol=1e-12)
        # Few steps reach few nodes, which takes another way through the links.
        near = graph.spread(list(seeds), walk=0.6, steps=1)
        np.testing.assert_allclose(
            near.scores,
            list(spread_by_definition(held, directed=directed, seeds=seeds, walk=0.6, steps=1, rarity=False).values()),
            rtol=1e-12,
        )


edits = st.lists(
    st.one_of(
        st.tuples(st.just("add"), LINKS),
        st.tuples(st.just("remove"), st.lists(st.integers(0, 1000), min_size=1, max_size=4)),
        st.tuples(st.just("remove_nodes"), st.lists(st.integers(0, 1000), min_size=1, max_size=3)),
        st.tuples(st.just("look"), st.none()),
        st.tuples(st.just("copy"), st.none()),
    ),
    max_size=12,
)


@given(edits=edits, directed=st.booleans())
def test_after_any_edits_it_is_a_fresh_graph_of_the_same_links(edits, directed):
    graph, held, copies = Graph(directed=directed), {}, []
    for kind, what in edits:
        if kind == "add":
            add(graph, what)
            held |= plain(what, directed=directed)
        elif kind == "remove" and held:
            gone = {sorted(held)[number % len(held)] for number in what}
            # The other way round names the same link, unless it is directed.
            ends = [link if directed else link[::-1] for link in gone]
            graph.remove(*zip(*ends, strict=True))
            held = {link: weight for link, weight in held.items() if link not in gone}
        elif kind == "remove_nodes" and held:
            nodes = sorted({node for link in held for node in link})
            gone = {nodes[number % len(nodes)] for number in what}
            graph.remove_nodes(list(gone))
            held = {link: weight for link, weight in held.items() if not gone & set(link)}
        elif kind == "look":
            assert len(graph) == len({node for link in held for node in link})
        elif kind == "copy":
            copies.append((graph.copy(), dict(held)))
        assert graph.n_links == len(held)
    for kept, links in [*copies, (graph, held)]:
        assert listed(kept) == [(*link, weight) for link, weight in sorted(links.items())]
        nodes = sorted({node for link in links for node in link})
        assert kept.ids.tolist() == nodes
        assert all(node in kept for node in nodes)
        assert 99 not in kept
        fresh = graph_of([(*link, weight) for link, weight in links.items()], directed=directed)
        for rarity in (False, True):
            ours, theirs = (g.spread([0, 3, -2], [1.0, 2.0, 0.5], rarity=rarity) for g in (kept, fresh))
            assert ours.ids.tolist() == theirs.ids.tolist()
            assert ours.scores.tobytes() == theirs.scores.tobytes()


def test_order_and_size_of_calls_change_no_bit():
    ends, weights = random_graph(2)
    links = plain([(*pair, weight) for pair, weight in zip(ends.tolist(), weights.tolist(), strict=True)])
    links = [(*link, weight) for link, weight in links.items()]
    at_once, one_by_one = graph_of(links), Graph()
    order = np.random.default_rng(0).permutation(len(links))
    for start in range(0, len(links), 37):
        add(one_by_one, [links[i] for i in order[start : start + 37]])
        one_by_one.spread([0], steps=1)
    for rarity in (False, True):
        a, b = (g.spread([1, 2, 3], walk=0.7, rarity=rarity) for g in (at_once, one_by_one))
        assert a.ids.tolist() == b.ids.tolist()
        assert a.scores.tobytes() == b.scores.tobytes()


def test_k_gives_the_first_of_all():
    ends, weights = random_graph(3)
    graph = Graph()
    graph.add(ends[:, 0], ends[:, 1], weights)
    every = graph.spread([7, 8])
    assert len(every.ids) > 1000
    for k in (1, 10, 999, 10**30):
        some = graph.spread([7, 8], k=k)
        assert some.ids.tolist() == every.ids[:k].tolist()
        assert some.scores.tolist() == every.scores[:k].tolist()


def test_hidden_nodes_are_walked_through_and_are_no_answers():
    graph = Graph()
    graph.add([1, 2, 2, 3], [-7, -7, -8, -8])
    assert graph.spread([1], walk=0.5).ids.tolist() == [1, 2, 3]
    assert sorted(graph.spread([-7], walk=0.5).ids.tolist()) == [1, 2, 3]
    everything = graph.spread([1], walk=0.5).scores.sum()
    assert 0 < everything < 1  # the rest lies on hidden nodes


def test_scores_of_all_nodes_add_up_to_one():
    graph = Graph(directed=True)
    graph.add([1, 2, 3, 3], [2, 3, 4, 9])  # 4 and 9 lead nowhere
    assert graph.spread([1, 77], [3.0, 1.0], walk=0.9, steps=50).scores.sum() == pytest.approx(1, rel=1e-12)


def test_a_seed_that_is_no_node_gives_all_back_to_the_seeds():
    graph = Graph()
    graph.add([1], [2])
    found = graph.spread([1, 50], [1.0, 1.0], walk=0.5, steps=50)
    assert found.scores[found.ids == 50] == pytest.approx(1 / 3)
    assert found.scores.sum() == pytest.approx(1)
    alone = graph.spread([50], steps=3)
    assert (alone.ids.tolist(), alone.scores.tolist()) == ([50], [1.0])
    assert graph.spread([-50]).ids.tolist() == []
    assert Graph().spread([4]).ids.tolist() == [4]
    assert Graph().spread([]).ids.tolist() == []


def test_rarity_prefers_what_few_share():
    graph = Graph()
    memories = list(range(3, 50))
    graph.add([1, 1, 2, *memories], [-10, -11, -10, *[-11] * len(memories)])  # 1 and 2 share -10, 1 and many -11
    plainly, by_rarity = (graph.spread([1], rarity=rarity) for rarity in (False, True))
    share = lambda found: dict(zip(found.ids.tolist(), found.scores.tolist(), strict=True))[2]  # noqa: E731 - used once
    assert share(by_rarity) > share(plainly)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda g: g.add([1, 2], [3]), errors.ShapeError, "targets: wanted 2"),
        (lambda g: g.add([1], [3], [1.0, 2.0]), errors.ShapeError, "weights: wanted 1"),
        (lambda g: g.add([5, 1], [6, 3], [1.0, 0.0]), errors.InvalidValueError, "weights: .*0 at position 1"),
        (lambda g: g.add([1], [3], [np.nan]), errors.InvalidValueError, "weights"),
        (lambda g: g.add([1], [3], [np.inf]), errors.InvalidValueError, "weights"),
        (lambda g: g.add([1.5], [3]), errors.DTypeError, "sources"),
        (lambda g: g.add([[1]], [[3]]), errors.ShapeError, "sources"),
        (lambda g: g.remove([1, 8], [2, 9]), errors.UnknownIdError, "from 8 to 9"),
        (lambda g: g.remove([1, 2], [2, 1]), errors.DuplicateIdError, "twice"),
        (lambda g: g.remove([1], [2, 3]), errors.ShapeError, "targets"),
        (lambda g: g.remove_nodes([1, 99]), errors.UnknownIdError, "99"),
        (lambda g: g.remove_nodes([1, 1]), errors.DuplicateIdError, "1"),
        (lambda g: g.spread([1, 1]), errors.DuplicateIdError, "1"),
        (lambda g: g.spread([1], [-1.0]), errors.InvalidValueError, "weights"),
        (lambda g: g.spread([1], [0.0]), errors.InvalidValueError, "weights"),
        (lambda g: g.spread([1], [1.0, 2.0]), errors.ShapeError, "weights"),
        (lambda g: g.spread([1], walk=1.5), errors.InvalidValueError, "walk"),
        (lambda g: g.spread([1], walk=np.nan), errors.InvalidValueError, "walk"),
        (lambda g: g.spread([1], steps=-1), errors.InvalidValueError, "steps"),
        (lambda g: g.spread([1], steps=1.0), errors.DTypeError, "steps"),
        (lambda g: g.spread([1], k=0), errors.InvalidValueError, "k"),
    ],
)
def test_bad_input_changes_nothing(call, error, message):
    graph = graph_of([(1, 2, 1.0), (2, 3, 2.0)])
    before = listed(graph)
    with pytest.raises(error, match=message):
        call(graph)
    assert listed(graph) == before
    assert graph.n_links == 2


def test_searches_beside_writes_see_whole_edits():
    """Each edit brings or takes both links of a bridge, so 1 reaches 3 by all of it or not at all."""
    graph = graph_of([(1, 9, 1.0)])
    wanted = {tuple(graph.spread([1]).ids.tolist())}
    graph.add([1, -5], [-5, 3])
    wanted.add(tuple(graph.spread([1]).ids.tolist()))
    seen, stop = set(), threading.Event()

    def search():
        while not stop.is_set():
            seen.add(tuple(graph.spread([1]).ids.tolist()))

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(300):
        graph.remove_nodes([-5])
        graph.add([1, -5], [-5, 3])
    stop.set()
    for thread in threads:
        thread.join()
    assert seen
    assert seen <= wanted


def test_it_says_what_it_holds():
    graph = graph_of([(1, 2, 1.0), (2, 3, 2.0)], directed=True)
    assert repr(graph) == "Graph(directed=True, n=3, n_links=2)"
    assert graph.directed
    assert graph.nbytes > 0
    assert "x" not in graph
