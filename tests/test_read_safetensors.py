"""Reading safetensors: the same arrays as the package reads, and damage is an error."""

from __future__ import annotations

import json
import os
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hmem_fast.core import read_safetensors
from hmem_fast.errors import DTypeError, ModelError


def content(header: object, data: bytes = b"") -> bytes:
    """A file's bytes, written by hand."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(dtype: str, shape: list[int], start: int, end: int) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


@pytest.fixture
def write(tmp_path):
    """Writes bytes into a file."""

    def write(content: bytes):
        path = tmp_path / "model.safetensors"
        path.write_bytes(content)
        return path

    return write


def test_arrays_are_those_of_the_package(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    rng = np.random.default_rng(0)
    shapes = {"cube": (2, 3, 4), "scalar": (), "empty": (0, 5), "row": (7,), "é": (1, 1), "matrix": (300, 64)}
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    safetensors.save_file(arrays, tmp_path / "f", metadata={"format": "pt"})
    read = read_safetensors(tmp_path / "f")
    assert list(read) == sorted(arrays)
    for name, values in read.items():
        assert values.dtype == np.float32
        assert values.flags.c_contiguous
        assert values.shape == arrays[name].shape
        np.testing.assert_array_equal(values, arrays[name])


def test_a_real_model_s_arrays_are_those_of_the_package(minilm_source):
    safetensors = pytest.importorskip("safetensors.numpy")
    path = minilm_source / "model.safetensors"
    wanted = {name: values for name, values in safetensors.load_file(path).items() if values.dtype.kind == "f"}
    read = read_safetensors(str(path))
    assert set(read) == set(wanted)
    assert all(np.array_equal(read[name], values) for name, values in wanted.items())


def test_every_half_is_widened_exactly(write):
    bits = np.arange(1 << 16, dtype="<u2")
    read = read_safetensors(write(content({"x": entry("F16", [256, 256], 0, 1 << 17)}, bits.tobytes())))["x"]
    with np.errstate(invalid="ignore"):  # signalling NaNs
        wanted = bits.view("<f2").astype(np.float32).reshape(256, 256)
    np.testing.assert_array_equal(read, wanted)
    np.testing.assert_array_equal(np.signbit(read), np.signbit(wanted))


def test_every_brain_float_is_widened_exactly(write):
    bits = np.arange(1 << 16, dtype="<u2")
    read = read_safetensors(write(content({"x": entry("BF16", [1 << 16], 0, 1 << 17)}, bits.tobytes())))["x"]
    np.testing.assert_array_equal(read.view(np.uint32), bits.astype(np.uint32) << 16)


def test_doubles_are_rounded_and_what_is_no_float_is_left_out(write):
    header = {
        "a": entry("I64", [1], 0, 8),
        "b": entry("F64", [2], 8, 24),
        "c": entry("BOOL", [3], 24, 27),
        "d": entry("F8_E4M3", [1], 27, 28),
        "e": entry("F32", [1], 28, 32),
    }
    data = bytes(8) + np.array([0.1, -3], dtype="<f8").tobytes() + bytes(4) + np.array([2.5], dtype="<f4").tobytes()
    read = read_safetensors(write(content(header, data)))
    assert set(read) == {"b", "e"}
    np.testing.assert_array_equal(read["b"], np.array([0.1, -3], dtype=np.float32))
    assert read["e"].tolist() == [2.5]


def test_a_file_without_tensors_has_none(write):
    assert read_safetensors(write(content({}))) == {}


# Damage


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"1234567",
        bytes(8),
        content(b"{"),
        content(b"[]"),
        content(b"\xff\xfe"),
        struct.pack("<Q", 1 << 63),
        struct.pack("<Q", 50) + b"{}",
        content({"x": entry("F32", [2], 0, 8)}, bytes(7)),
        content({"x": entry("F32", [2], 0, 8)}, bytes(9)),
        content({"x": entry("F32", [3], 0, 8)}, bytes(8)),
        content({"x": entry("F32", [1], 4, 8)}, bytes(8)),
        content({"x": entry("F32", [1], 8, 4)}, bytes(8)),
        content({"x": entry("F99", [1], 0, 4)}, bytes(4)),
        content({"x": entry("F32", [-1], 0, 4)}, bytes(4)),
        content({"x": entry("F32", [1 << 40, 1 << 40], 0, 4)}, bytes(4)),
        content({"x": entry("F32", [1 << 61, 2], 0, 0)}),
        content({"x": entry("F32", [0, 1 << 62, 1 << 62], 0, 0)}),
        content({"x": entry("F32", [1] * 100, 0, 4)}, bytes(4)),
        content({"x": entry("F32", [1], 0, 4), "y": entry("F32", [1], 0, 4)}, bytes(4)),
    ],
)
def test_a_damaged_file_is_said(write, raw):
    with pytest.raises(ModelError, match=r"model\.safetensors: "):
        read_safetensors(write(raw))


def test_a_file_that_is_cut_anywhere_is_said(write):
    whole = content({"x": entry("F32", [4], 0, 16)}, bytes(16))
    for length in range(len(whole)):
        with pytest.raises(ModelError, match=rf"wanted whole safetensors, got {length} bytes"):
            read_safetensors(write(whole[:length]))


@given(where=st.integers(0, 200), value=st.integers(0, 255))
def test_a_byte_that_is_changed_anywhere_never_does_worse_than_an_error(tmp_path_factory, where, value):
    raw = bytearray(content({"x": entry("F32", [4], 0, 16), "y": entry("F16", [2, 2], 16, 24)}, bytes(24)))
    raw[where % len(raw)] = value
    path = tmp_path_factory.getbasetemp() / "changed.safetensors"
    path.write_bytes(raw)
    try:
        read = read_safetensors(path)
    except ModelError:
        return
    assert sum(values.nbytes for values in read.values()) <= 48


def test_what_is_no_file_is_said(tmp_path):
    with pytest.raises(ModelError, match="missing"):
        read_safetensors(tmp_path / "missing")
    with pytest.raises(ModelError, match="wanted a file"):
        read_safetensors(tmp_path)
    for wrong in (7, None, [str(tmp_path)]):
        with pytest.raises(DTypeError, match="path: wanted a path"):
            read_safetensors(wrong)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelError, match="wanted a file"):
        read_safetensors(tmp_path / "pipe")
