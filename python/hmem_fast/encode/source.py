"""A sentence-transformers folder, read without sentence-transformers: what it holds, and its embedding space's name.

The space's name is made from what decides a vector: the weights' bytes, the tokenizer, the pooling, the prefix and the
length. Whoever reads the same folder, through whichever backend, gets the same name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from hmem_fast.encode.manifest import sha256_of
from hmem_fast.errors import ModelError

__all__ = ["SourceModel", "is_source_folder", "read_source"]

DEFAULT_MAX_LENGTH = 256
_SANE_LENGTH = 100_000
"""transformers writes 1e30 into tokenizer_config.json where no length is known."""

_WEIGHT_SUFFIXES = (".safetensors", ".bin")


@dataclass(frozen=True)
class SourceModel:
    """What a sentence-transformers folder says about itself.

    Attributes
    ----------
    folder : Path
        The folder.
    transformer : Path
        Where the transformer's files are: the folder itself, or one inside it.
    config : mapping
        The transformer's `config.json`.
    pooling : str
        ``"mean"``, ``"cls"``, or another one's name.
    prefix : str
        Put before each text: the folder's default prompt, or empty.
    max_length : int
        Most tokens of a text, special ones included.
    obstacles : tuple of str
        Parts of the folder that our own export does not carry out; empty for the usual ones.
    """

    folder: Path
    transformer: Path
    config: Mapping[str, Any]
    pooling: str
    prefix: str
    max_length: int
    obstacles: tuple[str, ...]

    @property
    def architecture(self) -> str:
        """The model type, ``"bert"`` for one."""
        return str(self.config.get("model_type", "unknown"))

    @property
    def dim(self) -> int:
        """Width of the hidden states."""
        return int(self.config.get("hidden_size", 0))

    @property
    def weights(self) -> Path:
        """The file that holds the transformer's weights, where it is a single safetensors file."""
        return self.transformer / "model.safetensors"

    @property
    def tokenizer(self) -> Path:
        """The tokenizer's file."""
        return self.transformer / "tokenizer.json"

    def hashes(self) -> dict[str, str]:
        """Hash weights and tokenizer; 0.1 to 0.4 s for 90 MB. Kept for as long as the files do not change.

        The tokenizer's hash leaves out its settings for padding and truncation: they are not used.
        """
        files = _weight_files(self.folder)
        if files == [self.weights]:
            weights = _hashed(self.weights)
        else:
            listed = "\n".join(f"{file.relative_to(self.folder).as_posix()} {_hashed(file)}" for file in files)
            weights = hashlib.sha256(listed.encode()).hexdigest()
        return {"weights_sha256": weights, "tokenizer_sha256": _tokenizer_hash(self.tokenizer)}

    def space_id(self) -> str:
        """Name the embedding space, ``bert-384-mean-256-…`` and 32 hexadecimal digits."""
        identity = {
            **self.hashes(),
            "pooling": self.pooling,
            "prefix": self.prefix,
            "max_length": self.max_length,
            "others": list(self.obstacles),
        }
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
        return f"{self.architecture}-{self.dim}-{self.pooling}-{self.max_length}-{digest[:32]}"


def is_source_folder(folder: Path) -> bool:
    """Tell whether a folder looks like a sentence-transformers or transformers model."""
    return (folder / "modules.json").is_file() or (folder / "config.json").is_file()


def read_source(folder: Path) -> SourceModel:
    """Read what a sentence-transformers folder (or a plain transformers one: mean pooling) says about itself.

    Raises
    ------
    ModelError
        If a file that every such folder has is missing or damaged.
    """
    if not is_source_folder(folder):
        raise ModelError(
            f"{folder}: wanted a sentence-transformers folder, it holds neither modules.json nor config.json"
        )
    modules = _modules(folder)
    transformer = folder / modules.get("Transformer", "")
    config = _json_object(transformer / "config.json")
    if not (transformer / "tokenizer.json").is_file():
        raise ModelError(f"{transformer}: holds no tokenizer.json (a slow tokenizer's files alone are not supported)")
    if not _weight_files(folder):
        raise ModelError(f"{folder}: holds no weights (model.safetensors)")
    obstacles = [f"module {kind}" for kind in modules if kind not in {"Transformer", "Pooling", "Normalize"}]
    pooling, include_prompt = _pooling(folder / modules["Pooling"]) if "Pooling" in modules else ("mean", True)
    prompts = _optional_json(folder / "config_sentence_transformers.json")
    prefix = (prompts.get("prompts") or {}).get(prompts.get("default_prompt_name") or "", "")
    if prefix and not include_prompt:
        obstacles.append("a prompt that is left out of the pooling")
    settings = _optional_json(transformer / "sentence_bert_config.json")
    if settings.get("do_lower_case"):
        obstacles.append("do_lower_case in sentence_bert_config.json")
    return SourceModel(
        folder, transformer, config, pooling, str(prefix), _max_length(transformer, config, settings), tuple(obstacles)
    )


def _modules(folder: Path) -> dict[str, str]:
    """Read modules.json: the folder of each module by the last part of its type's name."""
    path = folder / "modules.json"
    if not path.is_file():
        return {"Transformer": ""}
    content = _json(path)
    if not isinstance(content, list) or not all(isinstance(entry, dict) and "type" in entry for entry in content):
        raise ModelError(f"{path}: wanted a list of modules with their types, got something else")
    modules = {str(entry["type"]).rpartition(".")[2]: str(entry.get("path", "")) for entry in content}
    if "Transformer" not in modules:
        raise ModelError(f"{path}: wanted a Transformer among the modules, got {', '.join(modules) or 'none'}")
    return modules


def _pooling(folder: Path) -> tuple[str, bool]:
    """Read how tokens are pooled, and whether a prompt's tokens are among them. Older folders have a flag a mode."""
    content = _json_object(folder / "config.json")
    modes = [
        name for name in ("cls", "mean", "max") if content.get(f"pooling_mode_{name}_token" + "s" * (name != "cls"))
    ]
    modes += [
        name
        for name in ("mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")
        if content.get(f"pooling_mode_{name}")
    ]
    if "pooling_mode" in content:
        named = content["pooling_mode"]
        modes = [named] if isinstance(named, str) else [str(name) for name in named]
    if not modes:
        raise ModelError(f"{folder / 'config.json'}: names no pooling mode")
    return "+".join(modes), bool(content.get("include_prompt", True))


def _max_length(transformer: Path, config: Mapping[str, Any], settings: Mapping[str, Any]) -> int:
    positions = int(config.get("max_position_embeddings", DEFAULT_MAX_LENGTH))
    if config.get("model_type") in {"mpnet", "roberta", "xlm-roberta", "camembert"}:
        positions -= 2  # their first two positions are reserved for padding
    tokenizer = _optional_json(transformer / "tokenizer_config.json")
    for length in (settings.get("max_seq_length"), tokenizer.get("model_max_length")):
        if isinstance(length, int | float) and 2 < length < _SANE_LENGTH:
            return min(int(length), positions)
    return min(DEFAULT_MAX_LENGTH, positions)


def _weight_files(folder: Path) -> list[Path]:
    """List all weight files, safetensors where there are any, by name; exports of other tools left out."""
    files = sorted(
        path for path in folder.rglob("*") if path.suffix in _WEIGHT_SUFFIXES and path.name != "training_args.bin"
    )
    files = [path for path in files if not {"onnx", "openvino"} & set(path.relative_to(folder).parts)]
    return [path for path in files if path.suffix == ".safetensors"] or files


def _hashed(path: Path) -> str:
    stat = path.stat()
    return _hashed_once(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=64)
def _hashed_once(path: Path, size: int, changed_ns: int) -> str:  # noqa: ARG001 - size and time are the cache's key
    return sha256_of(path)


def _tokenizer_hash(path: Path) -> str:
    content = _json_object(path)
    for unused in ("padding", "truncation"):
        content.pop(unused, None)
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _json(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path}: missing from the model's folder") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read: {error}") from error


def _json_object(path: Path) -> dict[str, Any]:
    content = _json(path)
    if not isinstance(content, dict):
        raise ModelError(f"{path}: wanted a JSON object, got {type(content).__name__}")
    return content


def _optional_json(path: Path) -> dict[str, Any]:
    return _json_object(path) if path.is_file() else {}
