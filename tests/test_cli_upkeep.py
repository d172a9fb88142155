"""Purging, copying, exporting, verifying and repairing on the command line."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from command_line import heed_ctrl_c, hmem, lines, make_store, read_result
from hmem_fast.cli import main
from hmem_fast.memory import Memory
from stores import in_child, needs_fork
from transfers import answers, contents, edit

NO_UTF8 = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture
def store(tmp_path):
    return make_store(tmp_path / "notes")


def same(one, other):
    with Memory.open(one, mode="r") as ours, Memory.open(other, mode="r") as theirs:
        return answers(ours) == answers(theirs) and list(ours) == list(theirs)


# Forgetting and purging


def test_a_dry_run_says_what_else_would_go(store):
    done = hmem("forget", store, "1", "--dry-run")
    assert done.out == "1\tI adopted a parrot called Captain.\nkeys\t1\nlinks\t0\nrenewed\t2\n"
    assert contents(store)["keys"]


def test_purge_leaves_no_byte(store):
    (store / "truth.sqlite3.v1.backup").write_bytes(b"a parrot called Captain")
    dry = hmem("purge", store, "1", "--dry-run")
    assert (dry.returncode, dry.out) == (
        0,
        "1\tI adopted a parrot called Captain.\nkeys\t1\nlinks\t0\nrenewed\t2\n",
    )
    assert "would purge 1" in dry.err
    hmem("forget", store, "3")
    done = hmem("purge", store, "1", "3", "1")
    assert (done.returncode, done.out) == (0, "1\n3\nremoved: truth.sqlite3.v1.backup\n")
    for file in store.iterdir():
        raw = file.read_bytes()
        assert b"parrot" not in raw
        assert b"marathon" not in raw
    assert hmem("purge", store, "1", "--dry-run").out == "1\t(forgotten before)\n"
    assert hmem("purge", store, "1").returncode == 0


def test_purge_that_is_not_complete_says_why_and_is_1(store, tmp_path):
    out = tmp_path / "purged.json"
    with Memory.open(store, mode="r") as memory, memory._store.snapshot() as connection:
        connection.execute("SELECT count(*) FROM memories").fetchone()  # a reader in the middle of something
        done = hmem("purge", store, "1", "--json", out)
    assert done.returncode == 1
    assert "remains: truth.sqlite3: a reader" in done.out
    assert "run it again" in done.err
    (row,) = read_result(out, "purge")["rows"]
    assert (row["ids"], row["renewed"], row["is_complete"]) == ([1], [2], False)
    assert hmem("purge", store, "1").returncode == 0


@pytest.mark.parametrize("command", ["forget", "purge"])
def test_ids_that_never_were_are_bad_input_and_nothing_goes(store, command):
    before = contents(store)
    for more in ((), ("--dry-run",)):
        done = hmem(command, store, "1", "99", *more)
        assert done.returncode == 2
        assert "99" in done.err
        assert not done.out
    assert contents(store) == before


# What a store holds


def test_info_tells_sizes_by_kind(store, tmp_path):
    (store / "truth.sqlite3.v1.backup").write_bytes(bytes(1000))
    (store / "vectors-00000001").write_bytes(bytes(2000))
    (store / "notes.txt").write_bytes(bytes(300))
    hmem("info", store, "--json", tmp_path / "info.json")
    (row,) = read_result(tmp_path / "info.json", "info")["rows"]
    assert row["truth_bytes"] == (store / "truth.sqlite3").stat().st_size
    assert row["backup_bytes"] == 1000
    assert row["snapshot_bytes"] == 2000
    assert row["other_bytes"] == 300 + (store / "writer.lock").stat().st_size
    kinds = ("truth_bytes", "log_bytes", "snapshot_bytes", "backup_bytes", "other_bytes")
    assert row["disk_bytes"] == sum(row[kind] for kind in kinds)


# Damage


def test_verify_tells_each_problem_and_repair_mends_it(store, tmp_path):
    out = tmp_path / "out.json"
    well = hmem("verify", store, "--json", out)
    assert (well.returncode, well.out.split()[:2]) == (0, ["memories", "3"])
    assert "all is well" in well.err
    assert read_result(out, "verify")["rows"][0]["ok"] is True

    edit(store, "UPDATE keys SET vector = zeroblob(4) WHERE key_id = 1")
    edit(store, "UPDATE memories SET text = 'x' WHERE memory_id = 3")
    ill = hmem("verify", store, "--json", out)
    assert ill.returncode == 1
    assert "problem: checksum: memory 3: its checksum does not match\n" in ill.out
    (row,) = read_result(out, "verify")["rows"]
    assert {(problem["kind"], problem["table"], problem["id"]) for problem in row["problems"]} == {
        ("checksum", "memories", 3),
        ("checksum", "keys", 1),
    }

    mended = hmem("repair", store, "--json", out)
    assert mended.returncode == 1
    assert re.search(r"^damaged +3 ", mended.out, re.MULTILINE)
    assert re.search(r"^renewed +1 ", mended.out, re.MULTILINE)
    dropped = hmem("repair", store, "--drop", "--json", out)
    assert dropped.returncode == 0
    (row,) = read_result(out, "repair")["rows"]
    assert (row["dropped"], row["ok"], row["problems"]) == ([3], True, [])
    assert hmem("verify", store).returncode == 0
    assert hmem("recall", store, "parrot", "-k", "1").out.startswith("1. [1] ")


def test_a_file_that_is_no_store_is_one_line(tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "truth.sqlite3").write_bytes(b"not a database" * 100)
    for command in ("verify", "repair"):
        done = hmem(command, tmp_path / "s")
        assert done.returncode == 1
        assert done.err.startswith("error: ")
        assert done.err.count("\n") == 1


# Copies


def test_backup_export_and_import(store, tmp_path):
    assert hmem("backup", store, tmp_path / "copy").out == f"{tmp_path / 'copy'}\n"
    assert same(store, tmp_path / "copy")
    exported = hmem("export", store, tmp_path / "export")
    assert exported.returncode == 0
    assert re.search(r"^memories +3$", exported.out, re.MULTILINE)
    imported = hmem("import", tmp_path / "export", tmp_path / "second")
    assert imported.returncode == 0, imported.err
    assert re.search(r"^memories +3$", imported.out, re.MULTILINE)
    assert same(store, tmp_path / "second")
    assert contents(store) == contents(tmp_path / "second")
    for again in (
        ["backup", store, tmp_path / "copy"],
        ["import", tmp_path / "export", tmp_path / "second"],
        ["export", store, tmp_path / "copy"],
        ["import", tmp_path / "nowhere", tmp_path / "third"],
    ):
        done = hmem(*again)
        assert done.returncode == 2, again
        assert done.err.startswith("error: ")
    assert not (tmp_path / "third").exists()


def test_a_wrong_line_of_an_export_is_named(store, tmp_path):
    hmem("export", store, tmp_path / "export")
    with (tmp_path / "export" / "memories.jsonl").open("ab") as file:
        file.write(b"{}\n")
    done = hmem("import", tmp_path / "export", tmp_path / "copy")
    assert done.returncode == 2
    assert "memories.jsonl: wanted " in done.err


def test_reading_commands_work_beside_a_writer(store, tmp_path):
    with Memory.open(store) as memory:
        assert hmem("verify", store).returncode == 0
        assert hmem("backup", store, tmp_path / "copy").returncode == 0
        assert hmem("export", store, tmp_path / "export").returncode == 0
        for command in (["repair", store], ["purge", store, "1"]):
            locked = hmem(*command)
            assert locked.returncode == 1
            assert f"process {os.getpid()}" in locked.err
        assert len(memory) == 3


def unprivileged():
    """Let this process be one that may write only what everybody may."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)


@needs_fork
def test_a_folder_that_cannot_be_written_can_be_read():
    def reading(out):
        return [
            ["info", str(store)],
            ["verify", str(store)],
            ["forget", str(store), "1", "--dry-run"],
            ["purge", str(store), "1", "--dry-run"],
            ["backup", str(store), str(out / "copy")],
            ["export", str(store), str(out / "export")],
        ]

    def read_all():
        unprivileged()
        with pytest.raises(PermissionError):
            (store / "new").touch()
        for line in reading(out):
            assert main(line) == 0, line

    with tempfile.TemporaryDirectory() as name:
        store, out = make_store(Path(name) / "notes"), Path(name) / "out"
        for line in reading(Path(name) / "first"):
            # What is imported here need not be found by a user who may not look into our folders.
            assert main(line) == 0
        out.mkdir()
        Path(name).chmod(0o755)
        out.chmod(0o777)
        store.chmod(0o555)
        try:
            assert in_child(read_all) == 0
        finally:
            store.chmod(0o755)
        assert {path.name for path in out.iterdir()} == {"copy", "export"}


# Streams, names, signals


@pytest.mark.parametrize("environment", [{}, NO_UTF8], ids=["utf-8", "no utf-8"])
def test_folders_may_have_any_name(store, tmp_path, environment):
    named = tmp_path / "Meine Käfer 甲虫"
    shutil.move(store, named)
    for command in (
        ["info", named],
        ["verify", named],
        ["backup", named, tmp_path / "Kopie für später"],
        ["export", named, tmp_path / "als Dateien ü"],
        ["import", tmp_path / "als Dateien ü", tmp_path / "zurück"],
        ["repair", tmp_path / "zurück"],
        ["purge", tmp_path / "zurück", "1"],
    ):
        done = hmem(*command, **environment)
        assert done.returncode == 0, (command, done.err)
    assert len(list((tmp_path / "zurück").iterdir())) > 1
    assert same(named, tmp_path / "Kopie für später")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such terminals")
def test_progress_is_shown_on_a_terminal_only(store, tmp_path):
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "hmem_fast", "export", str(store), str(tmp_path / "export")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs) as process:
        out = process.stdout.read()
        assert process.wait(60) == 0
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert "\x1b" in shown
    assert "exporting" in shown
    assert b"\x1b" not in out
    assert b"memories        3\n" in out


@pytest.mark.skipif(sys.platform == "win32", reason="signals are another thing there")
@pytest.mark.parametrize("command", ["export", "import"])
def test_ctrl_c_says_how_to_go_on(tmp_path, command):
    store = tmp_path / "s"
    with Memory.open(store, encoder="hashing:8", durability="none") as memory:
        memory.store_many({"text": f"thing {i}"} for i in range(20_000))
        if command == "import":
            memory.export(tmp_path / "export")
    arguments = {"export": [store, tmp_path / "export"], "import": [tmp_path / "export", tmp_path / "copy"]}[command]
    # What shows that it is in the middle of it.
    begun = tmp_path / ("export/unfinished.json" if command == "export" else "copy/truth.sqlite3")
    line = [sys.executable, "-m", "hmem_fast", command, *map(str, arguments)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heed_ctrl_c) as process:
        while not begun.exists() and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        err = process.stderr.read().decode()
        status = process.wait(60)
    assert status == 130, err
    assert f"`hmem {command} {arguments[0]} {arguments[1]}` goes on with it" in err
    assert "error: interrupted\n" in err
    assert "Traceback" not in err
    again = hmem(command, *arguments)
    assert again.returncode == 0, again.err
    if command == "export":
        hmem("import", tmp_path / "export", tmp_path / "copy")
    assert contents(tmp_path / "copy") == contents(store)


def test_json_says_what_was_asked(store, tmp_path):
    hmem("store", store, "--file", "-", stdin=lines([{"text": "more"}]))
    out = tmp_path / "out.json"
    hmem("repair", store, "--drop", "--json", out)
    assert json.loads(out.read_text())["settings"] == {"drop": True}
