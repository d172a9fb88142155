"""Exports that anybody may have written: what is wrong is named, and nothing is written."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hmem_fast.errors import InvalidValueError
from hmem_fast.memory import Memory, import_memory
from transfers import make_memory, sign


@pytest.fixture
def folder(tmp_path):
    return make_memory(tmp_path / "m")


@pytest.fixture
def export(folder, tmp_path):
    with Memory.open(folder, mode="r") as memory:
        memory.export(tmp_path / "export")
    return tmp_path / "export"


def on_line(number, **fields):
    def change(folder):
        file = folder / "memories.jsonl"
        lines = [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n")[:-1]]
        for name, value in fields.items():
            at, *path = name.split("__")
            target, key = lines[number - 1], at
            for part in path:
                target, key = target[key], int(part) if part.isdigit() else part
            target[key] = value
        file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")

    return change


def in_manifest(**fields):
    def change(folder):
        manifest = json.loads((folder / "export.json").read_text())
        (folder / "export.json").write_text(json.dumps(manifest | fields))

    return change


def raw_line(name, raw):
    def change(folder):
        with (folder / name).open("ab") as file:
            file.write(raw)

    return change


def matrix(change_matrix):
    def change(folder):
        rows = change_matrix(np.load(folder / "vectors.npy"))
        with (folder / "vectors.npy").open("wb") as file:
            np.save(file, rows, allow_pickle=True)

    return change


def with_nan(rows):
    rows[3, 2] = np.nan
    return rows


def archive(folder):
    with (folder / "vectors.npy").open("wb") as file:
        np.savez(file, a=np.zeros(3))


WRONG = [
    (on_line(2, id=1), "line 2: id: wanted more than 1"),
    (on_line(2, id=True), "line 2: id: wanted a whole number"),
    (on_line(2, id=-3), "line 2: id: wanted a whole number from 1"),
    (on_line(7, id=1 << 80), "line 7: id: wanted a whole number from 1"),
    (on_line(2, text=None), "line 2: text: wanted a string, got None"),
    (on_line(2, text="\ud800"), "line 2: text: wanted valid Unicode"),
    (on_line(2, extra=1), "line 2: extra: there is no such field"),
    (on_line(2, speaker=7), "line 2: speaker: wanted a string"),
    (on_line(2, seq=0), "line 2: seq: wanted more than 0"),
    (on_line(2, seq=0.5), "line 2: seq: wanted a whole number"),
    (on_line(2, time="soon"), "line 2: time: wanted a number"),
    (on_line(2, time=1e300), "line 2: time: wanted seconds"),
    (on_line(2, time=10**400), "line 2: time: wanted a finite number"),
    (on_line(2, metadata=[]), "line 2: metadata: wanted a JSON object"),
    (on_line(2, metadata={"a": "\x00"}), "line 2: metadata: wanted text without NUL"),
    (on_line(8, external_id="é"), "external_id: 'é' stands in an earlier line"),
    (on_line(2, keys={}), "line 2: keys: wanted a JSON list"),
    (on_line(2, keys=[None] * 33), "line 2: keys: wanted at most 32"),
    (on_line(2, keys__0="key"), r"line 2: keys\[0\]: wanted a JSON object"),
    (on_line(2, keys__0__id=1), r"line 2: keys\[0\].id: 1 has been given"),
    (on_line(2, keys__0__kind="vector"), r"line 2: keys\[0\].kind: wanted one of"),
    (on_line(2, keys__0__text=None), r"line 2: keys\[0\].text: wanted a string"),
    (on_line(2, keys__0__row=0), r"line 2: keys\[0\].row: wanted"),
    (on_line(2, keys__0__row=None), r"line 2: keys\[1\].row: wanted"),
    (on_line(2, keys__0__more=None), r"line 2: keys\[0\].more: there is no such field"),
    (raw_line("memories.jsonl", b"{}"), "line 9: wanted a line"),
    (raw_line("memories.jsonl", b"{}\n"), "line 9: id: missing"),
    (raw_line("memories.jsonl", b"[]\n"), "line 9: wanted a JSON object"),
    (raw_line("memories.jsonl", b"\xff\n"), "line 9: wanted JSON in UTF-8"),
    (raw_line("memories.jsonl", b"[" * 100_000 + b"\n"), "line 9: wanted JSON in UTF-8"),
    (raw_line("memories.jsonl", b'{"id": NaN}\n'), "line 9: wanted JSON in UTF-8: NaN"),
    (raw_line("memories.jsonl", b'{"id": ' + b"9" * 5000 + b"}\n"), "line 9: "),
    (
        raw_line("links.jsonl", b'{"source": 1, "target": 2, "kind": "link", "weight": 1}\n'),
        "source: wanted source, target",
    ),
    (raw_line("links.jsonl", b'{"source": 9, "target": 99, "kind": "link", "weight": 1}\n'), "links, got|no memory 99"),
    (
        raw_line("links.jsonl", b'{"source": 9, "target": 1, "kind": "link", "weight": 1e999}\n'),
        "weight: wanted a finite number",
    ),
    (
        raw_line("links.jsonl", b'{"source": 9, "target": 1, "kind": "link", "weight": 0}\n'),
        "weight: wanted a number above 0",
    ),
    (raw_line("links.jsonl", b'{"source": 9, "target": 1, "kind": "rope", "weight": 1}\n'), "kind: wanted one of link"),
    (raw_line("links.jsonl", b'{"source": 9, "target": 1, "weight": 1}\n'), "kind: missing"),
    (in_manifest(links=1), "wanted 1 links, got"),
    (in_manifest(memories=9), "wanted 9 memories, as its manifest says"),
    (in_manifest(export_version=3), "install a newer hmem_fast"),
    (in_manifest(dim=0), "dim: wanted"),
    (in_manifest(dim=1 << 60), "dim|wanted"),
    (in_manifest(recipe={"keys": ["context"], "window_turns": 3}), "recipe.analyzer: missing"),
    (in_manifest(recipe={"keys": ["magic"], "window_turns": 3, "analyzer": "english"}), "keys: wanted some of"),
    (in_manifest(recipe={"keys": [], "window_turns": 3, "analyzer": "klingon"}), "klingon"),
    (in_manifest(space_id=None), "encoder: wanted null"),
    (in_manifest(files={}), "files.memories.jsonl: missing"),
    (in_manifest(more=1), "more: there is no such field"),
    (matrix(with_nan), "vectors.npy, row 3: wanted finite numbers"),
    (matrix(lambda rows: rows[:-1]), "vectors.npy: wanted little-endian float32 of shape"),
    (matrix(lambda rows: rows.astype(">f4")), "vectors.npy: wanted little-endian float32"),
    (matrix(lambda rows: rows.astype(np.float64)), "vectors.npy: wanted little-endian float32"),
    (matrix(np.asfortranarray), "vectors.npy: wanted little-endian float32 .* by columns"),
    (matrix(lambda rows: rows.astype(object)), "vectors.npy: wanted a matrix in numpy's format"),
    (archive, "vectors.npy: wanted"),
    (raw_line("vectors.npy", b"more"), "vectors.npy: wanted [0-9]+ bytes"),
]


@pytest.mark.parametrize(("change", "told"), WRONG, ids=[told for _, told in WRONG])
def test_a_wrong_export_is_refused_before_anything_is_written(export, tmp_path, change, told):
    change(export)
    manifest = json.loads((export / "export.json").read_text())
    if manifest["files"]:
        sign(export)
    with pytest.raises(InvalidValueError, match=told):
        import_memory(export, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("name", ["memories.jsonl", "vectors.npy", "links.jsonl", "export.json"])
def test_a_damaged_or_missing_file_is_refused(export, tmp_path, name):
    raw = (export / name).read_bytes()
    (export / name).write_bytes(raw[:-3])
    with pytest.raises(InvalidValueError, match=name):
        import_memory(export, tmp_path / "copy")
    (export / name).unlink()
    with pytest.raises(InvalidValueError, match=name):
        import_memory(export, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
