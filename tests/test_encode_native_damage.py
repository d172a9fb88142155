"""The file of the core's encoder: missing, cut, changed, contradicting itself, replaced while it is open."""

from __future__ import annotations

import copy
import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_models import WIDTHS, make_model, with_checksum, write
from hmem_fast.encode import NativeEncoder, export_native
from hmem_fast.encode.native_file import NATIVE_FILE, read_native, write_native
from hmem_fast.errors import ModelError, ModelNotFoundError


@pytest.fixture(scope="module")
def small_file(tmp_path_factory) -> Path:
    """A small model with random weights."""
    folder = tmp_path_factory.mktemp("small")
    return export_native(make_model(folder / "source", **WIDTHS), folder / "out").folder / NATIVE_FILE


@pytest.fixture
def copied(small_file, tmp_path) -> Path:
    """A model's file that a test may damage."""
    return Path(shutil.copy(small_file, tmp_path))


def test_a_missing_file_is_said(tmp_path):
    for path in (tmp_path, tmp_path / NATIVE_FILE, tmp_path / "nowhere" / NATIVE_FILE):
        with pytest.raises(ModelNotFoundError, match="there is no file"):
            NativeEncoder(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / NATIVE_FILE)
    with pytest.raises(ModelNotFoundError, match="there is no file"):
        NativeEncoder(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\n", b"HMEMBERT", b"PK\x03\x04" * 1000])
def test_what_is_no_model_is_said(tmp_path, content):
    (tmp_path / NATIVE_FILE).write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.hmem"):
        NativeEncoder(tmp_path)


def test_a_file_that_is_cut_anywhere_is_said(copied):
    size = copied.stat().st_size
    lengths = [*range(0, 700, 7), *np.linspace(700, size - 1, 100, dtype=int).tolist()]
    for length in sorted(lengths, reverse=True):
        os.truncate(copied, length)
        with pytest.raises(ModelError, match=r"model\.hmem"):
            NativeEncoder(copied)


def test_a_byte_that_is_changed_anywhere_is_said(copied):
    whole = copied.read_bytes()
    places = [*range(600), *np.linspace(600, len(whole) - 1, 300, dtype=int).tolist()]
    for place in places:
        raw = bytearray(whole)
        raw[place] ^= 1 << place % 8
        copied.write_bytes(raw)
        with pytest.raises(ModelError, match=r"model\.hmem"):
            NativeEncoder(copied)
    copied.write_bytes(whole)
    assert NativeEncoder(copied).dim == 64


@settings(max_examples=int(os.environ.get("HMEM_DAMAGES", "300")))
@given(places=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=3))
def test_a_file_that_lies_is_refused_or_harmless(small_file, tmp_path_factory, places):
    # The checksum fits what was changed, so what is wrong must be seen by other means, or do no harm.
    raw = bytearray(small_file.read_bytes())
    for place, value in places:
        raw[int(place * (600 if value % 2 else len(raw)))] = value
    path = tmp_path_factory.getbasetemp() / "lies.hmem"
    path.write_bytes(with_checksum(raw))
    try:
        rows = NativeEncoder(path).encode(["the spare key is lost", "", "a b c " * 100])
    except ModelError:
        return
    assert rows.shape[0] == 3


@pytest.mark.parametrize("name", ["space_id", "producer", "prefix"])
@pytest.mark.parametrize("value", [None, 7])
def test_a_manifest_without_what_it_must_say_is_refused(copied, name, value):
    model = read_native(copied)
    manifest = {**model.manifest, name: value}
    if value is None:
        del manifest[name]
    write_native(copied, type(model)(model.dimensions, manifest, model.tokenizer, model.arrays))
    with pytest.raises(ModelError, match=rf"manifest: .*{name}|manifest: invalid type"):
        NativeEncoder(copied)


@pytest.mark.skipif(os.name != "posix", reason="file modes are a POSIX matter")
def test_a_folder_that_cannot_be_written_will_do(copied):
    before = NativeEncoder(copied).encode(["a key"])
    copied.chmod(0o444)
    copied.parent.chmod(0o555)
    try:
        assert np.array_equal(NativeEncoder(copied.parent).encode(["a key"]), before)
        assert [entry.name for entry in copied.parent.iterdir()] == [NATIVE_FILE]
    finally:
        copied.parent.chmod(0o755)


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a file that is mapped cannot be replaced")
def test_a_file_may_be_renamed_over_one_that_is_open(copied, minilm_native, tmp_path):
    encoder = NativeEncoder(copied)
    before = encoder.encode(["a key"])
    other = Path(shutil.copy(minilm_native / NATIVE_FILE, tmp_path / "other"))
    other.replace(copied)
    assert np.array_equal(encoder.encode(["a key"]), before)
    assert NativeEncoder(copied).dim == 384
    copied.unlink()
    assert np.array_equal(encoder.encode(["a key"]), before)


def test_an_open_encoder_is_not_copied(small_file):
    for make in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="TextEncoder"):
            make(NativeEncoder(small_file))


def test_a_tokenizer_that_gives_an_empty_text_no_token_is_refused(tmp_path):
    source = make_model(tmp_path / "source", **WIDTHS)
    tokenizer = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    write(source / "tokenizer.json", tokenizer | {"post_processor": None})
    folder = export_native(source, tmp_path / "out").folder
    with pytest.raises(ModelError, match="wanted special tokens around a text, it adds none"):
        NativeEncoder(folder)
