"""The ONNX encoder on the real MiniLM: fidelity, the same bits always, damage, limits."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from encoder_texts import LONG, TEXTS
from hmem_fast.encode import (
    Encoder,
    OnnxEncoder,
    SentenceTransformerEncoder,
    TokenEncoder,
    compare_with_sentence_transformers,
)
from hmem_fast.encode.manifest import MANIFEST
from hmem_fast.errors import (
    DTypeError,
    InvalidValueError,
    MissingDependencyError,
    ModelError,
    ModelNotFoundError,
)


@pytest.fixture(scope="module")
def encoder(minilm) -> OnnxEncoder:
    return OnnxEncoder(minilm)


@pytest.fixture
def copied(minilm, tmp_path) -> Path:
    """An export that a test may damage."""
    return Path(shutil.copytree(minilm, tmp_path / "copied"))


def test_it_is_a_token_encoder(encoder):
    assert isinstance(encoder, Encoder)
    assert isinstance(encoder, TokenEncoder)
    assert (encoder.dim, encoder.max_length, encoder.producer) == (384, 256, "onnx-f32")


def test_rows_are_unit_float32(encoder):
    rows = encoder.encode(TEXTS)
    assert rows.shape == (len(TEXTS), 384)
    assert rows.dtype == np.float32
    assert rows.flags.c_contiguous
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-6)


def test_no_texts_give_no_rows(encoder):
    assert encoder.encode([]).shape == (0, 384)
    vectors, offsets, tokens = encoder.encode_tokens([])
    assert (vectors.shape, offsets.tolist(), tokens.shape) == ((0, 384), [0], (0,))
    assert vectors.dtype == np.float32
    assert tokens.dtype == offsets.dtype == np.int64


def test_meaning_is_nearer_than_spelling(encoder):
    cue, meant, spelled = encoder.encode(["How old is she?", "What is her age?", "How cold is tea?"])
    assert cue @ meant > cue @ spelled


def test_the_same_bits_whatever_a_text_is_encoded_with(encoder):
    together = encoder.encode(TEXTS)
    assert np.array_equal(together, encoder.encode(TEXTS[::-1])[::-1])
    assert all(np.array_equal(encoder.encode([text])[0], row) for text, row in zip(TEXTS, together, strict=True))


def test_the_same_bits_on_several_threads(minilm, encoder):
    texts = TEXTS * 4
    expected = encoder.encode(texts)
    spread = OnnxEncoder(minilm, threads=4)
    assert np.array_equal(spread.encode(texts), expected)
    for ours, theirs in zip(spread.encode_tokens(texts), encoder.encode_tokens(texts), strict=True):
        assert np.array_equal(ours, theirs)


def test_one_encoder_serves_several_callers(minilm):
    shared = OnnxEncoder(minilm)
    expected = shared.encode(TEXTS)
    before = shared.truncated
    start = threading.Barrier(4)

    def call(_: int) -> np.ndarray:
        start.wait()
        return shared.encode([*TEXTS, LONG])[:-1]

    with ThreadPoolExecutor(4) as pool:
        assert all(np.array_equal(rows, expected) for rows in pool.map(call, range(4)))
    assert shared.truncated == before + 4


def test_token_vectors_belong_to_their_texts(encoder):
    vectors, offsets, tokens = encoder.encode_tokens(["hello world", "", "spare key"])
    assert offsets.tolist() == [0, 2, 2, 4]
    assert tokens.tolist() == [7592, 2088, 8622, 3145]
    assert not {101, 102} & set(tokens.tolist())
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)
    alone = encoder.encode_tokens(["spare key"])
    assert np.array_equal(alone.vectors, vectors[2:])


def test_cut_texts_are_counted(minilm):
    encoder = OnnxEncoder(minilm)
    assert encoder.truncated == 0
    encoder.encode(["short", LONG])
    assert encoder.truncated == 1
    assert len(encoder.encode_tokens([LONG]).tokens) == 256 - 2
    assert encoder.truncated == 2
    encoder.encode(["one-word " + "y" * 20_000])  # few tokens, but beyond the limit of characters
    assert encoder.truncated == 3


def test_the_tokenizers_own_limit_of_128_is_put_aside(encoder):
    words = "word " * 200
    assert len(encoder.encode_tokens([words]).tokens) == 200
    changed = "word " * 180 + "sea " * 20
    assert not np.array_equal(*encoder.encode([words, changed]))


def test_a_very_long_text_is_quick_and_cut_the_same(encoder):
    assert np.array_equal(*encoder.encode(["word " * 2_000_000, "word " * 300]))


@pytest.mark.parametrize("method", ["encode", "encode_tokens"])
def test_inputs_are_checked(encoder, method):
    with pytest.raises(DTypeError, match="wrap it in a list"):
        getattr(encoder, method)("one string")
    with pytest.raises(DTypeError, match=r"texts\[1\]: wanted a string, got float"):
        getattr(encoder, method)(["fine", 1.0])
    with pytest.raises(InvalidValueError, match=r"texts\[2\].*position 3"):
        getattr(encoder, method)(["fine", "fine", "abc\udfff"])


@pytest.mark.parametrize(("threads", "error"), [(0, InvalidValueError), (-1, InvalidValueError), (1.5, DTypeError)])
def test_threads_are_checked(minilm, threads, error):
    with pytest.raises(error, match="threads: wanted"):
        OnnxEncoder(minilm, threads=threads)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no CPU affinity")
def test_threads_stay_within_the_cpus_of_the_process(minilm):
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert "threads=1" in repr(OnnxEncoder(minilm, threads=64))
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_it_works_after_a_fork(minilm):
    code = (
        "import os, sys; from hmem_fast.encode import OnnxEncoder\n"
        f"e = OnnxEncoder({str(minilm)!r}); here = e.encode(['key']).tobytes(); r, w = os.pipe()\n"
        "if os.fork() == 0:\n    os.write(w, e.encode(['key']).tobytes()); os._exit(0)\n"
        "assert os.read(r, 10_000) == here; print('equal')"
    )
    assert _python(code).stdout == "equal\n"


# Damage


def test_a_missing_folder_is_said(tmp_path):
    with pytest.raises(ModelNotFoundError, match="there is no folder"):
        OnnxEncoder(tmp_path / "nowhere")


def test_a_folder_without_a_manifest_is_said(tmp_path):
    with pytest.raises(ModelError, match=MANIFEST):
        OnnxEncoder(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "cannot be read"),
        ("{", "cannot be read"),
        ("[]", "this is something else"),
        ("{}", "this is something else"),
        ('{"format": "hmem-encoder"}', "version"),
        ('{"format": "hmem-encoder", "version": 1}', "space_id: wanted str, got None"),
        ('{"format": "hmem-encoder", "version": 2}', "install a newer hmem_fast"),
    ],
)
def test_a_damaged_manifest_is_said(copied, content, said):
    (copied / MANIFEST).write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=said):
        OnnxEncoder(copied)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("dim", "384", "dim: wanted int"),
        ("dim", 0, "dim: wanted at least 1"),
        ("dim", 768, "the manifest says 768 wide, the model gives 384"),
        ("max_length", True, "max_length: wanted int"),
        ("max_length", 1, "max_length: wanted at least 3"),
        ("files", {}, "size and hash of model.onnx"),
        ("files", {"model.onnx": {"bytes": "1", "sha256": 2}}, "size and hash of model.onnx"),
    ],
)
def test_a_wrong_field_is_said(copied, field, value, said):
    manifest = json.loads((copied / MANIFEST).read_text(encoding="utf-8"))
    manifest[field] = value
    (copied / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(ModelError, match=said):
        OnnxEncoder(copied)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_missing_file_is_said(copied, name):
    (copied / name).unlink()
    with pytest.raises(ModelError, match=f"{name}: missing"):
        OnnxEncoder(copied)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_shortened_file_is_said(copied, name):
    os.truncate(copied / name, 1000)
    with pytest.raises(ModelError, match=f"{name}: damaged: wanted .* it has 1000"):
        OnnxEncoder(copied)


def test_a_changed_tokenizer_is_seen_at_opening(copied):
    _flip(copied / "tokenizer.json", 200_000)
    with pytest.raises(ModelError, match=r"tokenizer.json: damaged"):
        OnnxEncoder(copied)


def test_changed_weights_are_seen_by_verify(copied):
    OnnxEncoder(copied).verify()
    _flip(copied / "model.onnx", 40_000_000)
    with pytest.raises(ModelError, match=r"model.onnx: damaged"):
        OnnxEncoder(copied).verify()


def test_a_model_that_is_none_is_said(copied):
    size = (copied / "model.onnx").stat().st_size
    with (copied / "model.onnx").open("r+b") as file:
        file.write(b"\xff" * 4096)
    assert (copied / "model.onnx").stat().st_size == size
    with pytest.raises(ModelError, match="onnxruntime cannot load it"):
        OnnxEncoder(copied)


# What it needs


def test_a_missing_package_names_the_extra(minilm):
    code = (
        "import sys; sys.modules['onnxruntime'] = None\n"
        "from hmem_fast.encode import OnnxEncoder\n"
        "from hmem_fast.errors import HmemError, MissingDependencyError\n"
        f"try: OnnxEncoder({str(minilm)!r})\n"
        "except MissingDependencyError as e: print(e, isinstance(e, ImportError), isinstance(e, HmemError))"
    )
    said = _python(code).stdout
    assert "onnxruntime" in said
    assert 'pip install "hmem_fast[onnx]" True True' in said


def test_encoding_imports_neither_torch_nor_tokenizers(minilm):
    code = (
        "import sys; from hmem_fast.encode import OnnxEncoder\n"
        f"OnnxEncoder({str(minilm)!r}).encode(['key']); print(*sys.modules)"
    )
    assert not {"torch", "transformers", "sentence_transformers", "onnx", "tokenizers"} & set(
        _python(code).stdout.split()
    )


def test_files_are_read_in_any_locale(minilm, encoder):
    code = (
        "import sys, locale; from hmem_fast.encode import OnnxEncoder\n"
        f"sys.stdout.buffer.write(OnnxEncoder({str(minilm)!r}).encode(['caf\\u00e9']).tobytes())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**_environment(), "LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        capture_output=True,
        check=True,
    )
    assert done.stdout == encoder.encode(["café"]).tobytes()


def test_onnxruntime_reports_to_nobody(minilm, tmp_path):
    code = (
        "import os\n"
        "from hmem_fast.encode import OnnxEncoder\n"
        f"OnnxEncoder({str(minilm)!r}).encode(['key']); print(os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    places = {"TMPDIR": tmp_path, "HOME": tmp_path, "XDG_CACHE_HOME": tmp_path, "XDG_DATA_HOME": tmp_path}
    environment = {name: value for name, value in _environment().items() if name != "ORT_DISABLE_TELEMETRY"}
    environment |= {name: str(path) for name, path in places.items()}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
    # Its uploader would leave a session's file and an identifier of this device.
    assert not list(tmp_path.iterdir())


# Beside sentence-transformers


@pytest.mark.torch
def test_vectors_are_those_of_sentence_transformers(minilm, minilm_source):
    found = compare_with_sentence_transformers(minilm, minilm_source)
    assert found.cosine_min > 0.99999
    assert found.max_abs_difference < 5e-6
    found = compare_with_sentence_transformers(minilm, minilm_source, [*TEXTS, LONG])
    assert found.texts == len(TEXTS) + 1
    assert found.cosine_min > 0.99999
    with pytest.raises(InvalidValueError, match="texts: wanted at least one"):
        compare_with_sentence_transformers(minilm, minilm_source, [])


@pytest.mark.torch
def test_both_encoders_name_one_space_and_agree_on_tokens(encoder, minilm_source):
    reference = SentenceTransformerEncoder(minilm_source)
    assert isinstance(reference, TokenEncoder)
    assert (reference.space_id, reference.dim) == (encoder.space_id, encoder.dim)
    assert (reference.producer, encoder.producer) == ("torch-f32", "onnx-f32")
    ours, theirs = encoder.encode_tokens([*TEXTS, LONG]), reference.encode_tokens([*TEXTS, LONG])
    assert np.array_equal(ours.tokens, theirs.tokens)
    assert np.array_equal(ours.offsets, theirs.offsets)
    np.testing.assert_allclose(ours.vectors, theirs.vectors, atol=1e-5)
    assert reference.truncated == 1
    assert reference.encode([]).shape == (0, 384)
    assert reference.encode_tokens([]).vectors.shape == (0, 384)
    with pytest.raises(DTypeError, match="wrap it in a list"):
        reference.encode("text")


@pytest.mark.torch
def test_the_reference_opens_a_folder_without_the_network(minilm_source):
    code = (
        "import socket\n"
        "def refuse(*a, **k): raise AssertionError('network')\n"
        "socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse\n"
        "from hmem_fast.encode import SentenceTransformerEncoder\n"
        f"print(SentenceTransformerEncoder({str(minilm_source)!r}).encode(['key']).shape)"
    )
    assert _python(code).stdout == "(1, 384)\n"


@pytest.mark.torch
def test_the_reference_serves_several_callers(minilm_source):
    reference = SentenceTransformerEncoder(minilm_source)
    expected = reference.encode(TEXTS)
    with ThreadPoolExecutor(4) as pool:
        for rows in pool.map(lambda _: reference.encode(TEXTS), range(8)):
            np.testing.assert_allclose(rows, expected, atol=1e-6)


def test_the_reference_names_its_extra(minilm_source, monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingDependencyError, match=r"sentence-transformers.*hmem_fast\[encode\]"):
        SentenceTransformerEncoder(minilm_source)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _python(code: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-c", code], env=_environment(), capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    return done


def _flip(path: Path, position: int) -> None:
    with path.open("r+b") as file:
        file.seek(position)
        byte = file.read(1)
        file.seek(position)
        file.write(bytes([byte[0] ^ 1]))
