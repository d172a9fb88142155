"""Small BERT and MPNet models with random weights, in folders as sentence-transformers writes them."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from hmem_fast.encode import export_native
from hmem_fast.encode.native_file import NATIVE_FILE

safetensors = pytest.importorskip("safetensors.numpy", reason="making a model needs safetensors")
tokenizers = pytest.importorskip("tokenizers", reason="the tests make their tokenizers with it")

POSITIONS = 300
MPNET_WORDS = ["[CLS]", "[PAD]", "[SEP]", "[UNK]", "the", "spare", "key", "is", "lost", "a", "b", "c"]
"""MPNet's padding has id 1, whatever its configuration says."""

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "spare", "key", "is", "lost", "a", "b", "c"]


def make_model(
    folder: Path, *, config=None, pooling=None, modules=(), settings=None, prompts=None, prefix="", width=16, inner=24
) -> Path:
    """Write a BERT (or MPNet) of 2 layers with random weights, as sentence-transformers folders hold it."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    mpnet = (config or {}).get("model_type") == "mpnet"
    words = MPNET_WORDS if mpnet else WORDS
    heads = 4 if width % 64 else width // 32  # heads that the core takes are a multiple of 32 wide

    def random(*shape):
        return (rng.normal(size=shape) * 0.3).astype(np.float32)

    tensors = {
        "embeddings.word_embeddings.weight": random(len(words), width),
        "embeddings.position_embeddings.weight": random(POSITIONS, width),
        "embeddings.token_type_embeddings.weight": random(2, width),
    }
    attention = ["self.query", "self.key", "self.value", "output.dense"]
    norm = "attention.output.LayerNorm"
    if mpnet:
        del tensors["embeddings.token_type_embeddings.weight"]
        tensors["encoder.relative_attention_bias.weight"] = random(32, heads)
        attention, norm = ["attn.q", "attn.k", "attn.v", "attn.o"], "attention.LayerNorm"
    parts = {f"attention.{part}": (width, width) for part in attention}
    parts |= {"intermediate.dense": (inner, width), "output.dense": (width, inner)}
    for layer in range(2):
        for part, shape in parts.items():
            tensors[f"encoder.layer.{layer}.{part}.weight"] = random(*shape)
            tensors[f"encoder.layer.{layer}.{part}.bias"] = random(shape[0])
        for part in (norm, "output.LayerNorm"):
            tensors[f"encoder.layer.{layer}.{part}.weight"] = 1 + random(width)
            tensors[f"encoder.layer.{layer}.{part}.bias"] = random(width)
    tensors |= {"embeddings.LayerNorm.weight": 1 + random(width), "embeddings.LayerNorm.bias": random(width)}
    safetensors.save_file(
        {prefix + name: values for name, values in tensors.items()},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    write(
        folder / "config.json",
        {
            "model_type": "bert", "architectures": ["BertModel"], "hidden_size": width, "num_attention_heads": heads,
            "num_hidden_layers": 2, "intermediate_size": inner, "hidden_act": "gelu", "layer_norm_eps": 1e-12,
            "max_position_embeddings": POSITIONS, "type_vocab_size": 2, "vocab_size": len(words),
            "pad_token_id": words.index("[PAD]"),
            **(config or {}),
        },
    )  # fmt: skip
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.WordPiece({word: number for number, word in enumerate(words)}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(word, words.index(word)) for word in ("[CLS]", "[SEP]")]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    write(folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", **special})
    types = ["Transformer", "Pooling", "Normalize", *modules]
    paths = {kind: "" if kind == "Transformer" else f"{number}_{kind}" for number, kind in enumerate(types)}
    write(
        folder / "modules.json",
        [
            {"idx": number, "name": str(number), "path": paths[kind], "type": f"sentence_transformers.models.{kind}"}
            for number, kind in enumerate(types)
        ],
    )
    write(
        folder / "1_Pooling" / "config.json",
        {"word_embedding_dimension": width, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}
        if pooling is None
        else pooling,
    )
    write(folder / "sentence_bert_config.json", {"max_seq_length": 20, "do_lower_case": False, **(settings or {})})
    if prompts:
        write(folder / "config_sentence_transformers.json", prompts)
    return folder


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def with_checksum(raw: bytearray) -> bytes:
    """Mend the checksum of altered bytes of a model's file."""
    raw[24:28] = struct.pack("<I", zlib.crc32(bytes(raw[28:]), zlib.crc32(bytes(raw[:24]))))
    return bytes(raw)


CLS = {"word_embedding_dimension": 16, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}

WIDTHS = {"width": 64, "inner": 192}
"""The narrowest that the core takes are multiples of 64."""

MPNET = {"config": {"model_type": "mpnet", "architectures": ["MPNetModel"]}, "settings": {"max_seq_length": 298}}


def small_native(folder: Path) -> Path:
    """Export a small model with random weights, which reads up to 298 tokens, for the core; give its file."""
    source = make_model(folder / "source", settings={"max_seq_length": 298}, **WIDTHS)
    return export_native(source, folder / "out").folder / NATIVE_FILE
