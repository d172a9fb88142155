"""Inputs, spelling vectors, and what importing the package loads."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hmem_fast.encode import Encoder, HashingEncoder
from hmem_fast.encode.text import MAX_CHARACTERS
from hmem_fast.errors import DTypeError, InvalidValueError

HEAVY = ("onnx", "onnxruntime", "tokenizers", "safetensors", "torch", "sentence_transformers", "transformers")


def run(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_loads_nothing_heavy():
    loaded = run("import sys, hmem_fast.encode; print(*sys.modules)").split()
    assert not set(HEAVY) & set(loaded)


def test_hashing_and_looking_for_encoders_load_nothing_heavy():
    code = (
        "import sys; from hmem_fast.encode import find_encoders, resolve\n"
        "resolve('hashing').encode(['text']); find_encoders(); print(*sys.modules)"
    )
    assert not set(HEAVY) & set(run(code).split())


def test_a_hashing_encoder_is_an_encoder():
    assert isinstance(HashingEncoder(), Encoder)


def test_the_same_bits_in_every_process():
    code = (
        "import hashlib; from hmem_fast.encode import HashingEncoder\n"
        "rows = HashingEncoder().encode(['Where is the key?', '我们去北京', 'naïve café 👍', ''])\n"
        "print(hashlib.sha256(rows.tobytes()).hexdigest())"
    )
    here = HashingEncoder().encode(["Where is the key?", "我们去北京", "naïve café 👍", ""])
    expected = hashlib.sha256(here.tobytes()).hexdigest()
    # It stands here so that a change of the vectors, on any platform, is seen: that needs a new version in space_id.
    assert expected == "6f5d4074ae339c4c4b2533189613d5fd986a818ee3fb89c17a9817391875dee2"
    assert {run(code, PYTHONHASHSEED=seed) for seed in ("0", "1", "4711")} == {expected}


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), max_size=5))
@settings(max_examples=60)
def test_every_text_gives_a_unit_row(texts):
    rows = HashingEncoder(64).encode(texts)
    assert rows.shape == (len(texts), 64)
    assert rows.dtype == np.float32
    assert rows.flags.c_contiguous
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-6)


def test_texts_without_a_word_share_the_first_axis():
    rows = HashingEncoder(16).encode(["", "   ", "?!", "\x00\x1f"])
    assert np.array_equal(rows, np.tile(np.eye(16, dtype=np.float32)[0], (4, 1)))


@pytest.mark.parametrize(
    ("text", "near", "far"),
    [
        ("my cats are sleeping", "the cat sleeps", "tax form is due"),
        ("I booked a flight to Berlin", "Berlin flight bookings", "the soup was too salty"),
        ("我们下周去北京出差", "下周我们到北京", "猫在睡觉"),
        ("Überraschung im Café", "überraschung im cafe\u0301", "Regen in Hamburg"),
        ("great 👍", "👍", "🎉"),
    ],
)
def test_similar_spelling_is_nearer(text, near, far):
    anchor, close, distant = HashingEncoder().encode([text, near, far])
    assert anchor @ close > anchor @ distant + 0.1


def test_a_row_does_not_depend_on_its_neighbours():
    encoder = HashingEncoder()
    texts = ["one text", "another text", "a third, longer text about keys"]
    together = encoder.encode(texts)
    assert all(np.array_equal(encoder.encode([text])[0], row) for text, row in zip(texts, together, strict=True))


def test_spaces_differ_by_all_that_moves_a_vector():
    encoders = [HashingEncoder(), HashingEncoder(128), HashingEncoder(seed=1), HashingEncoder(ngrams=(2, 4))]
    assert len({encoder.space_id for encoder in encoders}) == len(encoders)
    assert HashingEncoder().space_id == HashingEncoder(384, ngrams=(3, 5), seed=0).space_id
    assert not np.array_equal(encoders[0].encode(["key"]), encoders[2].encode(["key"]))


def test_a_very_long_text_is_cut():
    encoder = HashingEncoder()
    text = "word " * 10_000
    assert np.array_equal(*encoder.encode([text, text[:MAX_CHARACTERS]]))
    assert encoder.encode(["x" * 1_000_000]).shape == (1, 384)


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"dim": 1}, InvalidValueError, "dim: wanted at least 2, got 1"),
        ({"dim": 3.0}, DTypeError, "dim: wanted an int, got float"),
        ({"ngrams": (4, 3)}, InvalidValueError, "ngrams"),
        ({"seed": -1}, InvalidValueError, "seed"),
    ],
)
def test_arguments_are_checked(arguments, error, said):
    with pytest.raises(error, match=said):
        HashingEncoder(**arguments)


@pytest.mark.parametrize(
    ("texts", "error", "said"),
    [
        ("one string", DTypeError, r"wrap it in a list"),
        (b"bytes", DTypeError, "got bytes"),
        ({"a", "b"}, DTypeError, "got set"),
        (7, DTypeError, "got int"),
        (None, DTypeError, "got NoneType"),
        (["fine", 7], DTypeError, r"texts\[1\]: wanted a string, got int"),
        (["fine", None], DTypeError, r"texts\[1\]"),
        (["fine", "bad \ud83d here"], InvalidValueError, r"texts\[1\].*'\\ud83d' at position 4"),
    ],
)
def test_inputs_are_checked(texts, error, said):
    with pytest.raises(error, match=said):
        HashingEncoder().encode(texts)


@pytest.mark.parametrize("texts", [["a", "b"], ("a", "b"), np.array(["a", "b"]), np.array(["a", "b"], dtype=object)])
def test_any_sequence_of_strings_will_do(texts):
    assert HashingEncoder().encode(texts).shape == (2, 384)


def test_the_repr_rebuilds_it():
    encoder = HashingEncoder(32, ngrams=(2, 3), seed=9)
    assert eval(repr(encoder)) == encoder
