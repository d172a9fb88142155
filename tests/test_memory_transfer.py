"""Backups, exports and imports: what comes out again is what went in, whatever happened on the way."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hmem_fast.errors import InvalidValueError, StoreLockedError, StoreNotFoundError
from hmem_fast.memory import KeyRecipe, Memory, import_memory
from hmem_fast.store.lock import WriterLock
from strategies import TALK
from transfers import FragileEncoder, answers, contents, make_memory, sign


@pytest.fixture
def folder(tmp_path):
    return make_memory(tmp_path / "m")


@pytest.fixture
def export(folder, tmp_path):
    with Memory.open(folder, mode="r") as memory:
        memory.export(tmp_path / "export")
    return tmp_path / "export"


# Backups


def test_a_backup_recalls_the_same(folder, tmp_path):
    calls = []
    with Memory.open(folder, mode="r") as memory:
        memory.backup(tmp_path / "copy", progress=lambda *call: calls.append(call))
        with Memory.open(tmp_path / "copy") as copy:
            assert answers(copy) == answers(memory)
            assert list(copy) == list(memory)
    assert calls[-1][0] == calls[-1][1] > 0
    assert contents(tmp_path / "copy") == contents(folder)


def test_a_backup_never_replaces_a_memory(folder, tmp_path):
    with Memory.open(tmp_path / "other", encoder="hashing") as other, Memory.open(folder) as memory:
        other.store("mine")
        with pytest.raises((InvalidValueError, StoreLockedError)):
            memory.backup(tmp_path / "other")
        assert len(other) == 1


# Round trips

texts = st.text(st.sampled_from("ab é\n\x00?.🐝 "), min_size=1, max_size=30).filter(lambda text: text.strip())
sayings = st.text(st.sampled_from('ab\\"é\n🐝'))
names = st.sampled_from([None, "Ann", "Ben", ""])
metadata = st.dictionaries(
    st.text(st.sampled_from("ab"), max_size=2),
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.lists(sayings),
    max_size=2,
)
stored = st.fixed_dictionaries(
    {
        "text": texts,
        "speaker": names,
        "session": names,
        "metadata": metadata,
        "time": st.none() | st.floats(0, 1e9),
        "cues": st.lists(texts, max_size=2),
    }
)
changed = st.tuples(st.sampled_from(["update", "forget", "break"]), st.integers(0, 99), texts)


@settings(max_examples=25)
@given(st.lists(stored | changed, min_size=1, max_size=12))
def test_an_import_of_an_export_is_the_same_memory(steps):
    encoder = FragileEncoder(16)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Memory.open(folder / "m", encoder=encoder, durability="none") as memory:
            for step in steps:
                there = [record.id for record in memory]
                if isinstance(step, dict):
                    encoder.broken = False
                    memory.store(**step)
                elif not there:
                    continue
                elif step[0] == "update":
                    encoder.broken = False
                    memory.update(there[step[1] % len(there)], text=step[2])
                else:
                    encoder.broken = step[0] == "break"  # leaves stale keys behind
                    memory.forget(there[step[1] % len(there)])
            encoder.broken = False
            exported = memory.export(folder / "export")
            imported = import_memory(folder / "export", folder / "copy", durability="none")
            assert (imported.memories, imported.keys) == (exported.memories, exported.keys)
            assert contents(folder / "copy") == contents(folder / "m")
            with Memory.open(folder / "copy", encoder=encoder) as copy:
                assert answers(copy) == answers(memory)
                assert list(copy) == list(memory)
                assert copy.verify().ok
                assert copy.store("one more") == memory.store("one more")
                assert copy.renew() == memory.renew()
                assert answers(copy) == answers(memory)


def test_ready_vectors_come_back_bit_for_bit(tmp_path):
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((30, 5)).astype(np.float32) * np.float32(1e-30)
    recipe = KeyRecipe(keys=("turn",), window_turns=2, analyzer="char4")
    with Memory.open(tmp_path / "m", encoder=None, dim=5, recipe=recipe) as memory:
        memory.store_many({"text": f"bees {i}", "vectors": rows[i : i + 1 + i % 3]} for i in range(27))
        memory.export(tmp_path / "export")
        import_memory(tmp_path / "export", tmp_path / "copy")
        with Memory.open(tmp_path / "copy") as copy:
            assert answers(copy, rows[:4]) == answers(memory, rows[:4])
    assert contents(tmp_path / "copy") == contents(tmp_path / "m")
    exported = np.load(tmp_path / "export" / "vectors.npy", allow_pickle=False)
    assert exported.dtype == np.float32
    assert exported[0].tobytes() == rows[0].tobytes()


def test_an_empty_memory_and_one_in_ram_can_be_exported(tmp_path):
    with Memory.open(":memory:", encoder="hashing:16") as memory:
        memory.export(tmp_path / "empty")
        memory.store_many(TALK)
        memory.export(tmp_path / "full")
        for name, n in (("empty", 0), ("full", len(TALK))):
            assert import_memory(tmp_path / name, tmp_path / f"{name}-copy").memories == n
        with Memory.open(tmp_path / "full-copy") as copy:
            assert answers(copy) == answers(memory)


def test_links_and_odd_texts_are_taken_over_and_no_id_comes_twice(folder, export, tmp_path):
    import_memory(export, tmp_path / "copy")
    assert contents(tmp_path / "copy") == contents(folder)
    with Memory.open(tmp_path / "copy") as copy:
        copy.forget(9)
        assert copy.store("x") == 10  # 8 was forgotten before the export, 9 after it


def test_an_export_of_the_first_version_knew_one_kind_of_links(folder, export, tmp_path):
    lines = [json.loads(line) for line in (export / "links.jsonl").read_text().splitlines()]
    pairs = {(link["source"], link["target"]): link["weight"] for link in lines if link["kind"] == "link"}
    lines = [json.dumps({"source": a, "target": b, "weight": weight}) + "\n" for (a, b), weight in pairs.items()]
    (export / "links.jsonl").write_text("".join(lines))
    manifest = json.loads((export / "export.json").read_text())
    manifest |= {"export_version": 1, "links": len(lines)}
    (export / "export.json").write_text(json.dumps(manifest))
    sign(export)
    import_memory(export, tmp_path / "copy")
    with Memory.open(tmp_path / "copy") as copy:
        links = [(link.source, link.target, link.weight, link.kind) for link in copy.links(1)]
    assert links == [(1, 2, 0.5, "link"), (2, 1, 1e-300, "link")]


def test_no_encoder_is_needed(export, tmp_path):
    manifest = json.loads((export / "export.json").read_text())
    (export / "export.json").write_text(json.dumps(manifest | {"encoder": "./no/such/model"}))
    import_memory(export, tmp_path / "copy")
    with Memory.open(tmp_path / "copy") as copy:
        assert copy.recall("bicycle", k=1, pipeline="bm25")[0].id == 3


# One moment, and going on


def test_an_export_is_of_one_moment(folder, tmp_path):
    before = contents(folder)
    with Memory.open(folder) as memory:

        def write(_done, _total):
            memory.store("meanwhile")
            memory.update(1, text="changed meanwhile")

        memory.export(tmp_path / "export", progress=write)
        assert memory.get(1).text == "changed meanwhile"
    import_memory(tmp_path / "export", tmp_path / "copy")
    assert contents(tmp_path / "copy") == before


class StopError(Exception):
    pass


def stop_at(n):
    def progress(done, _total):
        if done >= n:
            raise StopError

    return progress


@pytest.fixture
def long(tmp_path):
    path = tmp_path / "long"
    with Memory.open(path, encoder="hashing:8", durability="none") as memory:
        memory.store_many({"text": f"note {i} on bees", "session": str(i % 7)} for i in range(3500))
    return path


def seen(act):
    calls = []
    act(lambda done, _total: calls.append(done))
    return calls


def test_an_interrupted_export_goes_on_where_it_stopped(long, tmp_path):
    with Memory.open(long) as memory:
        memory.export(tmp_path / "whole")
        with pytest.raises(StopError):
            memory.export(tmp_path / "export", progress=stop_at(2000))
        with pytest.raises(InvalidValueError, match="finished export"):
            import_memory(tmp_path / "export", tmp_path / "copy")
        assert seen(lambda report: memory.export(tmp_path / "export", report)) == [2000, 3000, 3500]
        names = sorted(path.name for path in (tmp_path / "export").iterdir())
        assert names == ["export.json", "links.jsonl", "memories.jsonl", "vectors.npy"]
        for name in names:
            assert (tmp_path / "export" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
        assert memory.export(tmp_path / "export") == memory.export(tmp_path / "export")  # nothing is left to do


@pytest.mark.parametrize("what", ["written", "damaged", "cut short"])
def test_an_interrupted_export_begins_anew_if_anything_was_changed(long, tmp_path, what):
    with Memory.open(long) as memory:
        with pytest.raises(StopError):
            memory.export(tmp_path / "export", progress=stop_at(2000))
        if what == "written":
            memory.store("one more")
        else:
            part = tmp_path / "export" / "memories.jsonl.part"
            raw = bytearray(part.read_bytes())
            raw[1000] ^= 1
            part.write_bytes(raw if what == "damaged" else raw[:1000])
        assert seen(lambda report: memory.export(tmp_path / "export", report))[0] == 0
    import_memory(tmp_path / "export", tmp_path / "copy")
    assert contents(tmp_path / "copy") == contents(long)


def test_an_export_replaces_nothing(folder, export, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "links.jsonl").write_text("mine")
    (tmp_path / "file").write_text("mine")
    with Memory.open(folder) as memory:
        for wrong, told in (("mine", "holds links.jsonl"), ("file", "got a file"), ("m", "holds a store")):
            with pytest.raises(InvalidValueError, match=told):
                memory.export(tmp_path / wrong)
        memory.store("one more")
        with pytest.raises(InvalidValueError, match="holds a finished one"):
            memory.export(export)
        (tmp_path / "busy").mkdir()
        lock = WriterLock(tmp_path / "busy")
        with pytest.raises(StoreLockedError, match="another export"):
            memory.export(tmp_path / "busy")
        lock.release()
    assert (tmp_path / "mine" / "links.jsonl").read_text() == "mine"


def test_an_interrupted_import_goes_on_and_cannot_be_opened_before(long, tmp_path):
    with Memory.open(long) as memory:
        memory.export(tmp_path / "export")
        memory.store("one more")
        memory.export(tmp_path / "another")
    with pytest.raises(StopError):
        import_memory(tmp_path / "export", tmp_path / "copy", progress=stop_at(3500 + 2000))
    for mode in ("r", "w"):
        with pytest.raises(StoreNotFoundError, match="import again"):
            Memory.open(tmp_path / "copy", mode=mode)
    with pytest.raises(InvalidValueError, match="another export"):
        import_memory(tmp_path / "another", tmp_path / "copy")
    import_memory(tmp_path / "export", tmp_path / "copy")
    with pytest.raises(InvalidValueError, match="which holds one"):
        import_memory(tmp_path / "export", tmp_path / "copy")
    import_memory(tmp_path / "another", tmp_path / "second")
    assert contents(tmp_path / "second") == contents(long)


def test_an_import_never_touches_a_memory_that_is_there(folder, export):
    before = contents(folder)
    with pytest.raises(InvalidValueError, match="which holds one"):
        import_memory(export, folder)
    assert contents(folder) == before


EXPORT = """
import sys
from hmem_fast.memory import Memory
with Memory.open(sys.argv[1], mode="r") as memory:
    memory.export(sys.argv[2], progress=lambda done, total: print(done, flush=True))
"""
IMPORT = """
import sys
from hmem_fast.memory import import_memory
import_memory(sys.argv[1], sys.argv[2], progress=lambda done, total: print(done, flush=True))
"""


def killed(code, *arguments, rng, most):
    """Run it, and kill it when it has reported a random number of times and a little later; gives its exit status."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for _ in range(rng.randrange(1, most)):
            process.stdout.readline()
        try:
            process.wait(rng.uniform(0, 0.03))
        except subprocess.TimeoutExpired:
            process.kill()
        process.stdout.read()
        return process.wait()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are another thing there")
def test_what_is_killed_can_be_done_again_and_is_the_same(long, tmp_path):
    rng = random.Random(0)
    statuses = [killed(EXPORT, long, tmp_path / "export", rng=rng, most=5) for _ in range(6)]
    statuses += [killed(EXPORT, long, tmp_path / f"export-{i}", rng=rng, most=5) for i in range(4)]
    with Memory.open(long, mode="r") as memory:
        memory.export(tmp_path / "whole")
        for name in ("export", *(f"export-{i}" for i in range(4))):
            memory.export(tmp_path / name)
            for file in ("memories.jsonl", "vectors.npy", "links.jsonl"):
                assert (tmp_path / name / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    for i in range(4):
        statuses += [killed(IMPORT, tmp_path / "whole", tmp_path / f"copy-{i}", rng=rng, most=10) for _ in range(2)]
        with suppress(InvalidValueError):  # there is nothing left to do if it was killed behind its end
            import_memory(tmp_path / "whole", tmp_path / f"copy-{i}")
        assert contents(tmp_path / f"copy-{i}") == contents(long)
    assert -9 in statuses
