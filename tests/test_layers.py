"""Imports point downward, and siblings never import each other."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "python" / "hmem_fast"

#: From the bottom up; modules on one line are siblings. `_core` is the compiled part.
LAYERS = [
    {"errors"},
    {"types", "extra", "lazy"},
    {"_core"},
    {"core"},
    {"torch_core", "whitening"},
    {"encode"},
    {"store"},
    {"memory", "forecast", "classify", "oneshot", "cache"},
    {"diagnosis", "data_file"},
    {"probe", "evaluate"},
    {"integrations"},
    {"cli"},
    {"__main__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}

#: The front door re-exports the public names of every layer below the command line.
FRONT_DOOR = "__init__"


def room(path: Path) -> str:
    """Top-level module or package that a file belongs to."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py").removesuffix(".pyi")


def imported_rooms(path: Path) -> set[str]:
    """Rooms that a file imports, wherever in the file the import stands."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative imports hide the layer"
            if node.module == "hmem_fast":
                rooms |= {alias.name if alias.name in LEVEL else FRONT_DOOR for alias in node.names}
            elif node.module and node.module.startswith("hmem_fast."):
                rooms.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            rooms |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("hmem_fast.")}
    return rooms


FILES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


def test_every_room_has_its_level():
    rooms = {room(path) for path in FILES} - {"_core.abi3"}
    assert rooms <= set(LEVEL), f"give these a level in LAYERS: {rooms - set(LEVEL)}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_downward(path):
    own = room(path)
    for other in imported_rooms(path) - {own}:
        assert other != FRONT_DOOR, f"{path.name} imports the front door; import the room itself"
        assert LEVEL[other] < LEVEL[own], f"{own} must not import {other}"


def test_the_walk_sees_what_it_should(tmp_path):
    sample = tmp_path / "sample.py"
    sample.write_text("import hmem_fast.store.lock\ndef f():\n    from hmem_fast import memory, Memory\n")
    assert imported_rooms(sample) == {"store", "memory", FRONT_DOOR}
