"""Real texts to store and to ask for."""

from __future__ import annotations

import json
import lzma
import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """More than 20,000 distinct short English texts, in a fixed order."""
    root = Path(__file__).resolve().parents[1]
    folder = Path(os.environ.get("HMEM_DATA", root.parent / "shared" / "data"))
    file = folder / "clinc150" / "data_full.json.xz"
    if not file.is_file():
        pytest.skip(f"clinc150 is not at {file}; point HMEM_DATA at a folder that has clinc150/data_full.json.xz")
    with lzma.open(file, "rt", encoding="utf-8") as opened:
        parts = json.load(opened)
    return list(dict.fromkeys(text for part in sorted(parts) for text, _ in parts[part]))
