"""What importing the package costs: numpy and the compiled core, nothing else that is heavy."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {
    "torch", "sentence_transformers", "transformers", "onnxruntime", "onnx", "tokenizers", "safetensors", "sklearn",
    "scipy", "pandas", "matplotlib", "rich", "argparse", "asyncio",
}  # fmt: skip


def modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys, json\nprint(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("module", ["hmem_fast", "hmem_fast.torch_core"])
def test_importing_the_package_loads_nothing_heavy(module):
    loaded = modules_after(f"import {module}") - modules_after("import numpy")
    assert loaded & HEAVY == set()


def test_encoding_loads_no_store_and_no_exporter():
    loaded = modules_after("from hmem_fast.encode import NativeEncoder") - modules_after("import numpy")
    assert loaded & {"sqlite3", "concurrent", "tempfile", "importlib.metadata", "logging"} == set()
    code = "from hmem_fast.encode import NativeEncoder; import sys; print(*[m for m in sys.modules if 'hmem' in m])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "hmem_fast.memory" not in done.stdout
    assert "hmem_fast.encode.export" not in done.stdout.split()


@pytest.mark.parametrize(
    "name", ["encode.resolve", "memory.Memory", "store.TraceStore", "diagnosis.doctor", "core.isa", "errors.HmemError"]
)
def test_rooms_can_be_entered_from_the_front_door(name):
    code = f"import hmem_fast; assert {name.split('.')[0]!r} in dir(hmem_fast); print(hmem_fast.{name})"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_every_public_name_can_be_had():
    import hmem_fast

    assert sorted(hmem_fast.__all__) == list(hmem_fast.__all__)
    for name in hmem_fast.__all__:
        assert getattr(hmem_fast, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    code = "import hmem_fast\ntry: hmem_fast.nothing\nexcept AttributeError as e: print(e)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "nothing" in done.stdout
