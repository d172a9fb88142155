"""The evaluation of chains: what is counted, and the command around it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from command_line import ENVELOPE, hmem
from hmem_fast.encode import HashingEncoder
from hmem_fast.errors import InvalidValueError
from hmem_fast.evaluate import chains
from hmem_fast.evaluate.chains import Ring, paraphrase, run_chains
from hmem_fast.evaluate.kept_vectors import kept_vectors
from hmem_fast.evaluate.texts import read_texts

TEXTS = [f"memory {i} of {word}" for i, word in enumerate(["bees", "soup", "hats", "ice", "roads"] * 12)]
ENCODER = HashingEncoder(64)


def measured(**options):
    defaults = {"sizes": [60], "codes": ["random"], "hops": 3, "corrupt": 0.0, "chains": 20, "seed": 0}
    vectors = ENCODER.encode(TEXTS)
    return list(run_chains(TEXTS, vectors, ENCODER, **{**defaults, **options}, progress=lambda _: None))


def test_random_codes_lead_through_the_ring():
    exact, paraphrased = measured()
    assert (exact["cue"], exact["started"], exact["correct"], exact["by_hop"]) == ("exact", 1.0, 1.0, [1.0] * 3)
    assert exact["cosine_by_hop"] == pytest.approx([1.0] * 3)
    assert (exact["memories"], exact["links"], exact["chains"], exact["hops"]) == (60, 48, 20, 3)
    assert paraphrased["cue"] == "paraphrased"
    assert paraphrased["correct"] == paraphrased["started"] < 1.0
    assert exact["hop_us"]["p50"] > 0


def test_the_ring_is_learnt_and_not_looked_up(monkeypatch):
    real = chains._Sparse.learn

    def learn_nonsense(self, ring):
        real(self, Ring(ring.vectors, np.random.default_rng(5).permutation(ring.order)))

    monkeypatch.setattr(chains._Sparse, "learn", learn_nonsense)
    exact, _ = measured()
    assert exact["started"] == 1.0
    assert exact["correct"] < 0.2


@pytest.mark.parametrize("code", ["random", "projected", "dense"])
def test_units_are_replaced_before_each_hop(code):
    vectors = np.random.default_rng(0).standard_normal((60, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    network = chains._network(code, vectors, 0)
    before = network.begin(np.arange(60))
    after = network.corrupt(before, 0.2, np.random.default_rng(1))
    assert before.shape == after.shape
    if code == "dense":
        assert 0.5 < network.cosine(after, np.arange(60)).mean() < 0.99
    else:
        assert network.cosine(after, np.arange(60)) == pytest.approx([0.8] * 60)
        assert all(len(set(row)) == len(row) for row in after.tolist())


def test_much_corruption_breaks_chains_and_a_little_does_not():
    assert measured(corrupt=0.2)[0]["correct"] == 1.0
    assert measured(corrupt=1.0)[0]["correct"] < 0.2


def test_the_same_seed_gives_the_same_figures():
    def figures(seed):
        rows = measured(corrupt=0.9, codes=["random", "projected", "dense"], seed=seed)
        return [{name: value for name, value in row.items() if name != "hop_us"} for row in rows]

    assert figures(1) == figures(1)
    assert figures(1) != figures(2)


def test_a_paraphrase_is_made_of_the_words():
    random = np.random.default_rng(0)
    text = "I have been to the market with my sister, and we bought apples."
    said = paraphrase(text, random)
    assert said != text
    assert set(said.split()) < {"market", "sister,", "bought", "apples."} | {"market"}
    assert paraphrase("It is.", random) == "It is."


def test_vectors_are_encoded_once(cache):
    class Counting(HashingEncoder):
        n = 0

        def encode(self, texts):
            self.n += len(texts)
            return super().encode(texts)

    encoder = Counting(16)
    told = []
    first = kept_vectors(encoder, TEXTS, lambda *done: told.append(done))
    again = kept_vectors(encoder, TEXTS, lambda *done: told.append(done))
    assert encoder.n == len(TEXTS)
    assert told == [(0, len(TEXTS))]
    np.testing.assert_array_equal(first, again)
    assert len(kept_vectors(encoder, TEXTS[:3], lambda *_: None)) == 3
    assert not list(cache.rglob("*.unfinished.npy"))


def test_without_data_the_folder_is_named(tmp_path):
    with pytest.raises(InvalidValueError, match="HMEM_DATA"):
        read_texts(tmp_path)
    done = hmem("eval", "chains", HMEM_DATA=str(tmp_path))
    assert done.returncode == 2
    assert "HMEM_DATA" in done.err


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["--corrupt", "2"], "--corrupt: wanted a number from 0 to 1"),
        (["--code", "morse"], "--code"),
        (["--memories", "0"], "--memories"),
        (["--hops", "-1"], "--hops"),
    ],
)
def test_wrong_arguments_are_named(arguments, wanted):
    done = hmem("eval", "chains", *arguments)
    assert done.returncode == 2
    assert wanted in done.err


@pytest.mark.data
def test_the_command_writes_its_rows(tmp_path):
    folder = Path(os.environ.get("HMEM_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not (folder / "locomo").is_dir():
        pytest.skip(f"there are no data sets at {folder}: set HMEM_DATA")
    out = tmp_path / "chains.json"
    done = hmem(
        *("eval", "chains", "--memories", "300", "--encoder", "hashing", "--limit", "40", "--code", "random", "dense"),
        *("--corrupt", "0.2", "--json", out),
        HMEM_DATA=str(folder),
        HMEM_CACHE=str(tmp_path / "cache"),
    )
    assert done.returncode == 0, done.err
    assert "40 a row: a quick look" in done.out
    result = json.loads(out.read_text(encoding="utf-8"))
    assert set(result) >= ENVELOPE
    assert [(row["code"], row["cue"]) for row in result["rows"]] == [
        ("random", "exact"),
        ("random", "paraphrased"),
        ("dense", "exact"),
        ("dense", "paraphrased"),
    ]
    assert result["rows"][0]["correct"] == 1.0
    too_many = hmem("eval", "chains", "--memories", "10000000", HMEM_DATA=str(folder))
    assert (too_many.returncode, "distinct texts" in too_many.err) == (2, True)
