"""Exporting a model for the core: what the file means, what is refused, and what happens where there is one already."""

from __future__ import annotations

import importlib.util
import json
import lzma
import os
import sys
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest

from bert_models import CLS, MPNET, WIDTHS, make_model
from bert_reference import Coded, Plain
from hmem_fast.cli import demo
from hmem_fast.encode import NativeEncoder, OnnxEncoder, export_native, export_onnx
from hmem_fast.encode.native_file import NATIVE_FILE, read_native
from hmem_fast.encode.source import read_source
from hmem_fast.encode.tokenizer import Tokenizer
from hmem_fast.errors import InvalidValueError, ModelError

safetensors = pytest.importorskip("safetensors.numpy", reason="reading a source beside the core needs safetensors")

TEXTS = ["the spare key is lost", "a", "", "the the the unknownword", "a b c " * 30, "lost key the b " * 70]

needs_runtime = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxruntime", "tokenizers")),
    reason="comparing with float32 needs the extra onnx",
)


@pytest.fixture(scope="module")
def native_minilm(minilm_source, tmp_path_factory):
    """MiniLM, exported."""
    return read_native(export_native(minilm_source, tmp_path_factory.mktemp("native") / "m").folder / NATIVE_FILE)


@pytest.fixture(scope="module")
def plain(minilm_source):
    """MiniLM's own tensors."""
    return safetensors.load_file(minilm_source / "model.safetensors")


def token_ids(source, texts):
    model = read_source(source)
    tokenizer = Tokenizer(model.tokenizer, max_length=model.max_length, prefix=model.prefix)
    return [tokenizer.tokenize(text).ids for text in texts]


# What it means


@needs_runtime
@pytest.mark.parametrize(
    "made",
    [
        {},
        {"pooling": CLS},
        {"config": {"hidden_act": "relu"}},
        {"prefix": "bert."},
        {"prompts": {"prompts": {"query": "the key "}, "default_prompt_name": "query"}},
        {"settings": {"max_seq_length": 7}},
        MPNET,
    ],
    ids=["mean", "cls", "relu", "bert. in front", "prompt", "7 tokens", "mpnet"],
)
def test_small_models_mean_what_their_graph_means(tmp_path, made):
    source = make_model(tmp_path / "source", **WIDTHS | made)
    model = read_native(export_native(source, tmp_path / "out").folder / NATIVE_FILE)
    tensors = safetensors.load_file(source / "model.safetensors")
    tensors = {name.removeprefix("bert."): values for name, values in tensors.items()}
    graph = OnnxEncoder(export_onnx(source, tmp_path / "graph").folder)
    wanted, tokens, ids = graph.encode(TEXTS), graph.encode_tokens(TEXTS), token_ids(source, TEXTS)
    sentences, rows = Plain(model, tensors).run(ids)
    np.testing.assert_allclose(sentences, wanted, atol=1e-5)
    np.testing.assert_allclose(np.concatenate([each[1:-1] for each in rows]), tokens.vectors, atol=1e-5)
    coded, coded_rows = Coded(model).run(ids)
    assert np.einsum("nd,nd->n", coded, wanted).min() > 0.99  # random weights suffer more than learned ones
    # A number that lies between two codes may be rounded to either, in float32 and in float64.
    core = NativeEncoder(tmp_path / "out")
    assert np.einsum("nd,nd->n", core.encode(TEXTS), coded).min() > 0.9999
    of_tokens = core.encode_tokens(TEXTS)
    assert np.array_equal(of_tokens.offsets, tokens.offsets)
    assert np.array_equal(of_tokens.tokens, tokens.tokens)
    expected = np.concatenate([each[1:-1] for each in coded_rows])
    assert np.einsum("nd,nd->n", of_tokens.vectors, expected).min() > 0.999


def demo_texts():
    lines = (Path(demo.__file__).parent / "demo_conversation.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["text"] for line in lines]


@needs_runtime
def test_minilm_in_codes_is_minilm(native_minilm, minilm_source, minilm, plain, tmp_path):
    texts = demo_texts()
    wanted, ids = OnnxEncoder(minilm).encode(texts), token_ids(minilm_source, texts)
    np.testing.assert_allclose(Plain(native_minilm, plain).run(ids[:20])[0], wanted[:20], atol=5e-6)
    cosines = np.einsum("nd,nd->n", Coded(native_minilm).run(ids)[0], wanted)
    assert cosines.mean() > 0.9995
    assert cosines.min() > 0.998
    core = NativeEncoder(export_native(minilm_source, tmp_path / "core").folder).encode(texts)
    # One number that is rounded otherwise leads to many a few layers on: the two differ by part of what codes cost.
    assert np.einsum("nd,nd->n", core, Coded(native_minilm).run(ids)[0]).min() > 0.999


def locomo_texts(number):
    folder = Path(os.environ.get("HMEM_DATA", Path(__file__).parents[2] / "shared" / "data"))
    path = folder / "locomo" / "locomo5.json.xz"
    if not path.is_file():
        pytest.skip(f"LoCoMo is not at {path}: set HMEM_DATA")
    conversation = json.loads(lzma.decompress(path.read_bytes()))[number]["conversation"]
    sessions = [turns for name, turns in conversation.items() if isinstance(turns, list)]
    return [turn["text"] for turns in sessions for turn in turns if turn.get("text")]


@needs_runtime
@pytest.mark.data
@pytest.mark.slow
def test_calibrated_rounding_comes_closer_on_other_texts(native_minilm, minilm_source, minilm, tmp_path):
    texts = locomo_texts(4)[:80]
    folder = export_native(minilm_source, tmp_path / "out", calibrate=locomo_texts(0)[:200]).folder
    wanted, ids = OnnxEncoder(minilm).encode(texts), token_ids(minilm_source, texts)
    nearest_codes, calibrated = (
        np.einsum("nd,nd->n", Coded(model).run(ids)[0], wanted)
        for model in (native_minilm, read_native(folder / NATIVE_FILE))
    )
    assert nearest_codes.mean() > 0.9995
    assert nearest_codes.min() > 0.998
    assert calibrated.mean() > 0.99975
    assert 1 - calibrated.mean() < 0.7 * (1 - nearest_codes.mean())


# Exporting


def test_the_report_says_what_was_made(tmp_path):
    source = make_model(tmp_path / "source", **WIDTHS)
    report = export_native(source, tmp_path / "deep" / "er" / "out")
    assert [entry.name for entry in report.folder.iterdir()] == [NATIVE_FILE]
    assert report.bytes == (report.folder / NATIVE_FILE).stat().st_size
    assert (report.dim, report.max_length, report.producer) == (64, 20, "core-int8")
    assert report.space_id == read_source(source).space_id()


def test_no_other_package_is_needed(tmp_path, monkeypatch):
    source = make_model(tmp_path / "source", **WIDTHS)
    for module in ("torch", "onnx", "onnxruntime", "tokenizers", "safetensors", "safetensors.numpy"):
        monkeypatch.setitem(sys.modules, module, None)
    assert NativeEncoder(export_native(source, tmp_path / "out").folder).encode(["a key"]).shape == (1, 64)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"width": 32, "inner": 64}, r"hidden_size 32 cannot be exported .* multiple of 64; export it as ONNX"),
        ({"width": 64, "inner": 96}, "intermediate_size 96"),
        ({"config": {"model_type": "t5"}}, "architecture 't5'"),
        ({"modules": ("Dense",)}, "module Dense"),
        ({"config": {"max_position_embeddings": 500}, "settings": {"max_seq_length": 400}}, "400 tokens"),
    ],
)
def test_what_cannot_be_exported_is_said(tmp_path, made, said):
    with pytest.raises(ModelError, match=said):
        export_native(make_model(tmp_path / "source", **WIDTHS | made), tmp_path / "out")
    assert [entry.name for entry in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_said(tmp_path, value):
    source = make_model(tmp_path / "source", **WIDTHS)
    tensors = safetensors.load_file(source / "model.safetensors")
    tensors["encoder.layer.1.output.dense.weight"][3, 4] = value
    safetensors.save_file(tensors, source / "model.safetensors")
    with pytest.raises(ModelError, match="finite"):
        export_native(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_bad_arguments_are_said(tmp_path):
    source = make_model(tmp_path / "source", **WIDTHS)
    with pytest.raises(InvalidValueError, match="precision: wanted one of int8, got 'f32'"):
        export_native(source, tmp_path / "out", precision="f32")
    with pytest.raises(
        InvalidValueError, match=r"calibrate: wanted texts with at least 2000 tokens, got 2 texts with 6"
    ):
        export_native(source, tmp_path / "out", calibrate=["a", "b"])
    assert not (tmp_path / "out").exists()


def test_a_tokenizer_that_knows_more_words_than_the_model_is_said(tmp_path):
    source = make_model(tmp_path / "source", **WIDTHS)
    tensors = safetensors.load_file(source / "model.safetensors")
    tensors["embeddings.word_embeddings.weight"] = tensors["embeddings.word_embeddings.weight"][:10]
    safetensors.save_file(tensors, source / "model.safetensors")
    with pytest.raises(ModelError, match=r"has a token 11, model.safetensors has 10 words"):
        export_native(source, tmp_path / "out", calibrate=["a b c " * 10] * 200)


def test_the_same_model_gives_the_same_bytes(tmp_path):
    source = make_model(tmp_path / "source", **WIDTHS)
    first, second = (export_native(source, tmp_path / name).folder / NATIVE_FILE for name in ("one", "two"))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("made", [{}, {"config": {"hidden_act": "relu"}}, MPNET], ids=["gelu", "relu", "mpnet"])
def test_rounding_is_part_of_what_an_export_is(tmp_path, made):
    source, out = make_model(tmp_path / "source", **WIDTHS | made), tmp_path / "out"
    texts = ["the spare key is lost a b c " * 10] * 12
    long = texts * (1 + 2000 // sum(map(len, token_ids(source, texts))))
    before = read_native(export_native(source, out).folder / NATIVE_FILE)
    changed = (out / NATIVE_FILE).stat().st_mtime_ns
    export_native(source, out)
    assert (out / NATIVE_FILE).stat().st_mtime_ns == changed
    with pytest.raises(InvalidValueError, match="holds another or a damaged export"):
        export_native(source, out, calibrate=long)
    export_native(source, out, calibrate=long, replace=True)
    after = read_native(out / NATIVE_FILE)
    assert (before.manifest["rounding"], after.manifest["rounding"]) == ("nearest", "calibrated")
    assert before.manifest["space_id"] == after.manifest["space_id"]
    assert astuple(before.dimensions) == astuple(after.dimensions)
    assert (before.arrays["up_codes"] != after.arrays["up_codes"]).any()
    with pytest.raises(InvalidValueError, match="holds another or a damaged export"):
        export_native(source, out, calibrate=[*long, "b"])


def test_a_damaged_export_is_replaced_when_asked(tmp_path):
    source, out = make_model(tmp_path / "source", **WIDTHS), tmp_path / "out"
    file = export_native(source, out).folder / NATIVE_FILE
    whole = file.read_bytes()
    file.write_bytes(whole[:-100] + bytes(100))
    with pytest.raises(InvalidValueError, match="holds another or a damaged export"):
        export_native(source, out)
    export_native(source, out, replace=True)
    assert file.read_bytes() == whole


@pytest.mark.parametrize("replace", [True, False])
def test_nothing_else_is_ever_replaced(tmp_path, replace):
    source = make_model(tmp_path / "source", **WIDTHS)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "diary.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InvalidValueError, match=r"holds other things \(diary.txt"):
        export_native(source, tmp_path / "out", replace=replace)
    assert (tmp_path / "out" / "diary.txt").read_text(encoding="utf-8") == "mine"
