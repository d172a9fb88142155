"""The rival: ONNX Runtime's dynamic 8-bit quantization of the same float32 graph, one scale a channel of the weights.

It is made into the folder of an export, so that `OnnxEncoder` runs it exactly as it runs the float32 graph: one text at
a time, unpadded, one thread, none that spins.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from hmem_fast.encode import OnnxEncoder, cache_dir
from hmem_fast.encode.manifest import FILES, FileRecord, read_manifest, sha256_of, write_manifest

__all__ = ["SETTINGS", "onnx_int8_folder"]

SETTINGS = {"per_channel": True, "reduce_range": False}


def onnx_int8_folder(float32: OnnxEncoder) -> Path:
    """Give the folder of the quantized export, made in the cache by the first call."""
    manifest = read_manifest(float32.folder)
    version = metadata.version("onnxruntime")
    folder = cache_dir() / "bench-encode" / f"onnx-int8-{manifest.files[FILES[0]].sha256[:16]}-ort{version}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=".onnx-int8-", dir=folder.parent))
    try:
        model, tokenizer = (made / name for name in FILES)
        shutil.copyfile(float32.folder / FILES[1], tokenizer)
        _quantize(float32.folder / FILES[0], model)
        records = {path.name: FileRecord(path.stat().st_size, sha256_of(path)) for path in (model, tokenizer)}
        write_manifest(made, replace(manifest, producer="onnx-int8", precision="int8", files=records))
        made.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return folder


def _quantize(source: Path, target: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(source, target, weight_type=QuantType.QInt8, **SETTINGS)
