"""The core's model file: what stands where, and that damage is seen."""

from __future__ import annotations

import json
import os
import struct
import zlib

import numpy as np
import pytest

from bert_models import CLS, MPNET, WIDTHS, make_model, with_checksum
from bert_reference import PRODUCTS, rotated, unpacked, walsh_hadamard
from hmem_fast.encode import export_native
from hmem_fast.encode.native_calibration import spread_errors
from hmem_fast.encode.native_file import NATIVE_FILE, SECTIONS, read_native, write_native
from hmem_fast.encode.native_weights import Rotation, nearest, random_signs, row_scales
from hmem_fast.encode.source import read_source
from hmem_fast.errors import ModelError

safetensors = pytest.importorskip("safetensors.numpy", reason="reading a source beside the core needs safetensors")

NUMBERED = {section.name: number for number, section in enumerate(SECTIONS)}


@pytest.fixture
def small(tmp_path):
    """A small model's file."""
    return export_native(make_model(tmp_path / "source", **WIDTHS), tmp_path / "out").folder / NATIVE_FILE


def entry(raw, name):
    """Offset and length of a section, read by hand."""
    return struct.unpack_from("<QQ", raw, 128 + 16 * NUMBERED[name])


# What stands where


def test_the_head_says_what_the_model_is(small):
    raw = small.read_bytes()
    assert raw[:8] == b"HMEMBERT"
    assert struct.unpack_from("<IIQI", raw, 8) == (1, 24, len(raw), zlib.crc32(raw[28:], zlib.crc32(raw[:24])))
    # BERT, 2 layers of 2 heads, 64 and 192 wide, 12 words, 20 positions for 20 tokens, mean, GELU
    assert struct.unpack_from("<10I", raw, 28) == (0, 2, 2, 64, 192, 12, 20, 20, 0, 0)
    assert struct.unpack_from("<f", raw, 68)[0] == np.float32(1e-12)
    assert struct.unpack_from("<II", raw, 72) == (64, 64)
    assert raw[80:128] == bytes(48)


def test_sections_follow_each_other_at_multiples_of_64(small):
    raw, end = small.read_bytes(), 128 + 24 * 16
    for number in range(24):
        offset, length = struct.unpack_from("<QQ", raw, 128 + 16 * number)
        assert offset == -(-end // 64) * 64
        assert raw[end:offset] == bytes(offset - end)
        end = offset + length
    assert end == len(raw)


@pytest.mark.parametrize(
    ("made", "fields"),
    [
        ({"pooling": CLS}, {"pooling": 1}),
        ({"config": {"hidden_act": "relu"}}, {"activation": 1}),
        ({"settings": {"max_seq_length": 7}}, {"max_length": 7, "positions": 7}),
        ({"width": 256, "inner": 1024}, {"width": 256, "inner": 1024, "block": 256, "inner_block": 1024}),
        ({"width": 192, "inner": 320}, {"block": 64, "inner_block": 64}),
        (MPNET, {"architecture": 1, "max_length": 298, "positions": 298}),
    ],
    ids=["cls", "relu", "7 tokens", "wide", "odd", "mpnet"],
)
def test_each_number_of_the_head_follows_the_model(tmp_path, made, fields):
    model = read_native(
        export_native(make_model(tmp_path / "source", **WIDTHS | made), tmp_path / "out").folder / NATIVE_FILE
    )
    assert {name: getattr(model.dimensions, name) for name in fields} == fields


def test_manifest_and_tokenizer_are_inside(tmp_path):
    source = make_model(
        tmp_path / "source", prompts={"prompts": {"query": "ключ "}, "default_prompt_name": "query"}, **WIDTHS
    )
    report = export_native(source, tmp_path / "out")
    raw = (report.folder / NATIVE_FILE).read_bytes()
    (offset, length), (place, size) = entry(raw, "manifest"), entry(raw, "tokenizer")
    manifest = json.loads(raw[offset : offset + length].decode("utf-8"))
    assert manifest["source"].pop("base_model") == ""
    assert manifest.pop("source") == read_source(source).hashes()
    assert manifest == {
        "space_id": report.space_id, "producer": "core-int8", "dim": 64, "max_length": 20, "pooling": "mean",
        "prefix": "ключ ", "architecture": "bert", "precision": "int8", "rounding": "nearest",
    }  # fmt: skip
    assert raw[place : place + size] == (source / "tokenizer.json").read_bytes()
    assert report.space_id == read_source(source).space_id()


def test_codes_stand_for_the_weights(tmp_path):
    source = make_model(tmp_path / "source", **WIDTHS)
    model = read_native(export_native(source, tmp_path / "out").folder / NATIVE_FILE)
    tensors = safetensors.load_file(source / "model.safetensors")
    attention = "encoder.layer.1.attention"
    query, key, value = (tensors[f"{attention}.self.{name}.weight"] for name in ("query", "key", "value"))
    wanted = {
        "qkv": np.concatenate([query / np.sqrt(32), key, value]),  # 2 heads of 32
        "out": tensors[f"{attention}.output.dense.weight"],
        "up": tensors["encoder.layer.1.intermediate.dense.weight"],
        "down": tensors["encoder.layer.1.output.dense.weight"],
    }
    arrays, sums = model.arrays, []
    for name in PRODUCTS:
        codes, scales = unpacked(arrays[f"{name}_codes"][1]).astype(np.int64), arrays[f"{name}_scales"][1]
        sums.append(codes.sum(axis=1))
        assert np.abs(codes).max(axis=1).tolist() == [127] * len(codes)
        signs = arrays["inner_signs" if name == "down" else "signs"]
        stood_for = codes * scales[:, np.newaxis].astype(np.float64)
        assert np.abs(stood_for - rotated(wanted[name], signs, 64)).max() <= scales.max() * 0.5001
    np.testing.assert_array_equal(arrays["code_sums"][1], np.concatenate(sums))
    np.testing.assert_allclose(
        arrays["qkv_bias"][1][:64], tensors[f"{attention}.self.query.bias"] / np.sqrt(32), rtol=1e-6
    )
    words = tensors["embeddings.word_embeddings.weight"]
    errors = arrays["word_codes"] * arrays["word_scales"][:, np.newaxis] - words
    assert (np.abs(errors).max(axis=1) <= arrays["word_scales"] * 0.5001).all()
    positions = tensors["embeddings.position_embeddings.weight"] + tensors["embeddings.token_type_embeddings.weight"][0]
    np.testing.assert_array_equal(arrays["positions"], positions[:20])
    assert arrays["distance_bias"].size == 0


def test_a_row_of_zeros_has_codes_of_zero(tmp_path):
    source = make_model(tmp_path / "source", **WIDTHS)
    tensors = safetensors.load_file(source / "model.safetensors")
    tensors["embeddings.word_embeddings.weight"][0] = 0
    tensors["encoder.layer.0.output.dense.weight"][:] = 0
    safetensors.save_file(tensors, source / "model.safetensors")
    arrays = read_native(export_native(source, tmp_path / "out").folder / NATIVE_FILE).arrays
    assert not arrays["word_codes"][0].any()
    assert not arrays["down_codes"][0].any()
    assert (arrays["down_scales"] > 0).all()


def test_mpnet_s_distances_are_spelled_out(tmp_path):
    source = make_model(tmp_path / "source", **WIDTHS | MPNET)
    arrays = read_native(export_native(source, tmp_path / "out").folder / NATIVE_FILE).arrays
    tensors = safetensors.load_file(source / "model.safetensors")
    buckets, here = tensors["encoder.relative_attention_bias.weight"].T, 297
    assert arrays["distance_bias"].shape == (2, 2 * 298 - 1)
    for apart, bucket in ((0, 0), (-1, 1), (-7, 7), (1, 17), (7, 23), (-297, 15), (297, 31), (-128, 15), (8, 24)):
        np.testing.assert_array_equal(arrays["distance_bias"][:, here + apart], buckets[:, bucket], str(apart))
    np.testing.assert_array_equal(arrays["positions"], tensors["embeddings.position_embeddings.weight"][2:])


def test_signs_are_the_same_everywhere():
    assert random_signs("hmem_fast rotation", 16).tolist() == [
        1, 1, -1, -1, 1, -1, 1, -1, -1, 1, 1, 1, 1, -1, 1, 1,
    ]  # fmt: skip
    assert abs(int(random_signs("hmem_fast inner rotation", 4096).sum())) < 300


def test_a_rotation_keeps_products():
    rng = np.random.default_rng(0)
    matrix, inputs = rng.normal(size=(5, 256)), rng.normal(size=(3, 256))
    rotation = Rotation(random_signs("any", 256), 128)
    np.testing.assert_allclose(rotation.rotate(inputs) @ rotation.rotate(matrix).T, inputs @ matrix.T, atol=1e-12)
    np.testing.assert_allclose(rotation.rotate(inputs), rotated(inputs, rotation.signs, 128), atol=1e-12)


def test_the_transform_is_in_natural_order():
    signs = [[(-1) ** (row & column).bit_count() for column in range(8)] for row in range(8)]
    np.testing.assert_allclose(walsh_hadamard(np.eye(8)), np.array(signs) / np.sqrt(8))


def test_spread_errors_change_products_less():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(2000, 8)) @ rng.normal(size=(8, 128)) + 0.1 * rng.normal(size=(2000, 128))
    matrix = rng.normal(size=(16, 128))
    scales, covariance = row_scales(matrix), np.cov(inputs.T, bias=True)
    plain, spread = nearest(matrix, scales[:, np.newaxis]), spread_errors(matrix, scales, covariance)

    def lost(codes):
        off = codes * scales[:, np.newaxis].astype(np.float64) - matrix
        return np.einsum("nk,kj,nj->", off, covariance, off)

    assert lost(spread) < 0.3 * lost(plain)
    np.testing.assert_array_equal(spread_errors(matrix, scales, np.eye(128)), plain)


# Damage


@pytest.mark.parametrize("length", [0, 7, 20, 127, 500, 600, -1])
def test_a_file_that_is_cut_short_is_said(small, length):
    os.truncate(small, length if length >= 0 else small.stat().st_size + length)
    with pytest.raises(ModelError, match=r"model\.hmem: (damaged|wanted an encoder's file)"):
        read_native(small)


def test_a_bit_that_is_flipped_anywhere_is_said(small):
    whole = small.read_bytes()
    places = [entry(whole, name)[0] for name in NUMBERED if entry(whole, name)[1]]
    for place in [0, 8, 12, 16, 24, 30, 70, 90, 130, 500, *places, len(whole) - 1]:
        raw = bytearray(whole)
        raw[place] ^= 4
        small.write_bytes(raw)
        with pytest.raises(ModelError, match=r"model\.hmem: (damaged|wanted an encoder's file|written in version)"):
            read_native(small)
    small.write_bytes(whole)
    assert read_native(small).dimensions.width == 64


@pytest.mark.parametrize(
    ("place", "form", "value", "said"),
    [
        (8, "<I", 2, "written in version 2 of the format, this hmem_fast reads version 1"),
        (12, "<I", 23, "24 sections"),
        (128, "<Q", 576, "sections do not lie where they should"),
        (40, "<I", 128, r"word_codes: wanted \(12, 128\)"),
        (128 + 16 * 3 + 8, "<Q", 47, "word_scales: wanted"),
    ],
)
def test_a_file_that_contradicts_itself_is_said(small, place, form, value, said):
    raw = bytearray(small.read_bytes())
    struct.pack_into(form, raw, place, value)
    small.write_bytes(with_checksum(raw))
    with pytest.raises(ModelError, match=said):
        read_native(small)


def test_a_manifest_that_is_none_is_said(small):
    raw = bytearray(small.read_bytes())
    raw[entry(raw, "manifest")[0]] = ord("[")
    small.write_bytes(with_checksum(raw))
    with pytest.raises(ModelError, match="manifest inside cannot be read"):
        read_native(small)


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(ModelError, match=r"cannot be read: No such file"):
        read_native(tmp_path / NATIVE_FILE)


def test_what_is_read_can_be_written_again(small, tmp_path):
    write_native(tmp_path / "again", read_native(small))
    assert (tmp_path / "again").read_bytes() == small.read_bytes()
