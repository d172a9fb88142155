"""Multi-hop: both formats of questions, scores worked by hand, the command, and the real file."""

from __future__ import annotations

import json
import lzma
import os
from pathlib import Path

import numpy as np
import pytest

from command_line import hmem
from hmem_fast.core import Graph
from hmem_fast.encode import HashingEncoder
from hmem_fast.errors import InvalidValueError
from hmem_fast.evaluate import MultihopScored, load_corpus, load_multihop, run_multihop
from hmem_fast.evaluate.metrics import confidence_interval
from hmem_fast.evaluate.multihop import _shuffled, multihop_methods

CORPUS = [
    {"title": "Red Harbour", "text": "Red Harbour is a film. It was directed by Mira Voss."},
    {"title": "Mira Voss", "text": "Mira Voss was born in Tartu."},
    {"title": "Tartu", "text": "Tartu lies on the river Emajogi."},
    {"title": "Tartu", "text": "Tartu is also the name of a crater."},
    *({"title": f"Filler {i}", "text": f"Nothing of note, {i} times over."} for i in range(30)),
]
QUESTION = "Where was the director of Red Harbour born?"
MUSIQUE = [
    {
        "id": "2hop__1",
        "question": QUESTION,
        "paragraphs": [
            {"idx": i, "title": p["title"], "paragraph_text": p["text"], "is_supporting": i < 2}
            for i, p in enumerate(CORPUS[:5])
        ],
    }
]
HOTPOTQA = [
    {
        "_id": "1",
        "question": QUESTION,
        "supporting_facts": [["Red Harbour", 1], ["Mira Voss", 0], ["Red Harbour", 0]],
        # Sentences are cut, and joined, in more than one way.
        "context": [
            ["Tartu", ["Tartu lies on the river Emajogi."]],
            ["Red Harbour", ["Red Harbour is a film.", " It was directed by Mira Voss."]],
            ["Mira Voss", ["Mira Voss was ", "born in Tartu. "]],
        ],
    },
    {"_id": "2", "question": "?", "supporting_facts": [["Elsewhere", 0]], "context": [["Elsewhere", ["Not there."]]]},
    {"_id": "3", "question": "?", "supporting_facts": [["Tartu", 0], ["Nowhere", 0]], "context": [["Tartu", ["?"]]]},
]


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_text(json.dumps(content), encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(("content", "dropped"), [(MUSIQUE, 0), (HOTPOTQA, 2)], ids=["musique", "hotpotqa"])
def test_both_formats_give_the_same_question(write, content, dropped):
    corpus = load_corpus(write("corpus.json", CORPUS))
    questions, left_out = load_multihop(write("questions.json", content), corpus)
    assert left_out == dropped
    (question,) = questions
    assert question.text == QUESTION
    assert sorted(question.evidence) == [0, 1]


def test_a_passage_is_told_by_title_and_text(write):
    corpus = load_corpus(write("corpus.json", CORPUS))
    question = {"question": "?", "supporting_facts": [["Tartu", 0]]}
    texts = ["Tartu is also the name of a crater.", "Tartu lies on the river Emajogi."]
    found = [
        load_multihop(write("q.json", [question | {"context": [["Tartu", [text]]]}]), corpus)[0][0].evidence
        for text in texts
    ]
    assert found == [(3,), (2,)]


@pytest.mark.parametrize(
    ("questions", "match"),
    [
        ({}, "got dict"),
        ([], "an empty list"),
        ([{"question": 3}], "entry 0: question: wanted str, got int"),
        ([{"question": "?"}], "entry 0: supporting_facts: wanted list, got nothing"),
        ([{"question": "?", "supporting_facts": ["x"], "context": []}], r"supporting_facts: wanted \[title"),
        ([{"question": "?", "supporting_facts": [], "context": [3]}], "context: wanted"),
        ([{"question": "?", "paragraphs": [{"is_supporting": 1}]}], "is_supporting: wanted bool, got int"),
        (HOTPOTQA[1:], "of the 2 in .* none has"),
    ],
)
def test_other_questions_are_refused(write, questions, match):
    corpus = load_corpus(write("corpus.json", CORPUS))
    with pytest.raises(InvalidValueError, match=rf"questions: wanted .*{match}"):
        load_multihop(write("q.json", questions), corpus)


@pytest.mark.parametrize("corpus", [{"a": 1}, [], [{"title": "x"}], ["x"]])
def test_another_corpus_is_refused(write, corpus):
    with pytest.raises(InvalidValueError, match="corpus: wanted a corpus"):
        load_corpus(write("corpus.json", corpus))


def test_a_row_is_summed_up_as_worked_by_hand():
    spread, nearest = MultihopScored("spread"), MultihopScored("nearest")
    spread.ranks, nearest.ranks = [(1, 2), (4, None)], [(1, 7), (None, None)]
    spread.milliseconds = nearest.milliseconds = [1.0, 3.0]
    row = spread.row(seed=0, nearest=nearest)
    assert row["questions"] == 2
    assert row["recall"] == {"2": 0.5, "5": 0.75, "10": 0.75}
    assert row["gain_over_nearest"] == {"2": 0.25, "5": 0.5, "10": 0.25}
    assert row["gain_over_nearest_ci"]["5"] == [0.5, 0.5]
    assert row["recall_ci"]["2"] == [0.0, 1.0]
    assert "gain_over_nearest" not in nearest.row(seed=0, nearest=nearest)


def test_an_interval_is_that_of_the_mean():
    values = np.random.default_rng(0).normal(3.0, 2.0, 400).tolist()
    low, high = confidence_interval(values, seed=1)
    error = np.std(values) / 20
    assert low == pytest.approx(np.mean(values) - 1.96 * error, abs=0.03)
    assert high == pytest.approx(np.mean(values) + 1.96 * error, abs=0.03)
    assert [low, high] == confidence_interval(values, seed=1) != confidence_interval(values, seed=2)
    with pytest.raises(InvalidValueError, match="values"):
        confidence_interval([], seed=0)


def test_a_shuffled_graph_keeps_how_many_links_a_node_has_and_not_which():
    graph = Graph()
    sources, targets = np.arange(-400, 0), np.arange(400) % 80
    graph.add(sources, targets)
    shuffled = _shuffled(graph, 3)
    assert shuffled is _shuffled(graph, 3)
    assert shuffled is not _shuffled(graph, 4)
    assert np.bincount(shuffled.links()[1]).tolist() == [5] * 80
    assert sum(a != b for a, b in zip(shuffled.links()[1], targets, strict=True)) > 350


def figures(write):
    corpus = load_corpus(write("corpus.json", CORPUS))
    questions, _ = load_multihop(write("q.json", MUSIQUE), corpus)
    done = []
    scored = run_multihop(questions, corpus, HashingEncoder(64), progress=lambda *step: done.append(step))
    assert done[-1] == (2 * len(CORPUS) + 5, 2 * len(CORPUS) + 5)
    return {result.name: result.ranks for result in scored}


def test_every_method_answers_and_a_second_run_gives_the_same(write):
    first = figures(write)
    assert list(first) == [method.name for method in multihop_methods()]
    assert sorted(first["spread"][0]) == [1, 2]
    assert figures(write) == first


def test_the_command_writes_every_row(write, tmp_path):
    questions, corpus, out = write("q.json", MUSIQUE * 4), write("c.json", CORPUS), tmp_path / "out.json"
    command = ["eval", "multihop", "--questions", questions, "--corpus", corpus, "--encoder", "hashing", "--json", out]
    done = hmem(*command, "--half", "2", "--limit", "1")
    assert done.returncode == 0, done.err
    result = json.loads(out.read_text(encoding="utf-8"))
    assert result["task"] == "multihop"
    assert [row["name"] for row in result["rows"]] == ["bm25", "nearest", "hybrid", "spread", "spread-shuffled"]
    assert [item["items"] for item in result["data"]] == [4, len(CORPUS)]
    assert result["settings"]["half"] == 2
    for row in result["rows"]:
        assert row["questions"] == 1
        assert set(row["recall"]) == set(row["recall_ci"]) == {"2", "5", "10"}
        assert set(row["recall_ms"]) == {"p50", "p99"}
        assert row["name"] in done.out
    assert "the first 1 questions of 2: a quick look" in done.out
    refused = hmem("eval", "multihop", "--questions", tmp_path / "nowhere.json", "--corpus", corpus)
    assert refused.returncode == 2
    assert "questions: wanted" in refused.err


def test_the_real_files():
    root = Path(__file__).resolve().parents[1]
    folder = Path(os.environ.get("HMEM_DATA", root.parent / "shared" / "data")) / "multihop_qa"
    if not folder.is_dir():
        pytest.skip(f"MuSiQue's sample is not at {folder}")
    corpus = load_corpus(folder / "musique_train_corpus.json.xz")
    questions, dropped = load_multihop(folder / "musique_train.json.xz", corpus)
    assert (len(corpus), len(questions), dropped) == (1890, 100, 0)
    assert sum(len(question.evidence) for question in questions) == 237
    with lzma.open(folder / "musique_train.json.xz", "rt", encoding="utf-8") as file:
        first = json.load(file)[0]
    wanted = {(p["title"], p["paragraph_text"]) for p in first["paragraphs"] if p["is_supporting"]}
    assert {(corpus[row].title, corpus[row].text) for row in questions[0].evidence} == wanted
