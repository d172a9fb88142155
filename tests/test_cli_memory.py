"""Storing, recalling and forgetting on the command line."""

import lzma
import os
import re

import pytest

from command_line import ITEMS, hmem, lines, make_store, read_result
from hmem_fast.memory import Memory


@pytest.fixture
def store(tmp_path):
    return make_store(tmp_path / "notes")


def test_ids_go_to_stdout_and_notes_to_stderr(tmp_path):
    done = hmem("store", tmp_path / "s", "one thing", "another thing", "--encoder", "hashing")
    assert done.returncode == 0
    assert done.out == "1\n2\n"
    assert "stored 2 memories" in done.err


def test_texts_come_before_the_file_and_the_encoder_is_recorded(store):
    done = hmem("store", store, "first", "--file", "-", stdin=lines([{"text": "second"}]))
    assert done.out == "4\n5\n"
    with Memory.open(store, mode="r") as memory:
        assert [memory.get(4).text, memory.get(5).text] == ["first", "second"]
        assert memory.info().encoder == "hashing"


def test_all_fields_of_a_line_arrive(store):
    with Memory.open(store, mode="r") as memory:
        record = memory.get(3)
        assert memory.id_of("a") == 1
    assert (record.speaker, record.session, record.cues) == ("Ann", "friday", ("When does Ann run?",))
    assert record.metadata == {"year": "2024"}
    assert record.time.isoformat() == "2024-05-03T08:00:00+00:00"


def test_a_compressed_file_is_read_as_it_is(tmp_path):
    file = tmp_path / "items.jsonl.xz"
    file.write_bytes(lzma.compress(b"\xef\xbb\xbf" + lines(ITEMS) + b"\n \n"))  # a byte order mark, empty lines
    assert hmem("store", tmp_path / "s", "--encoder", "hashing", "--file", file).out == "1\n2\n3\n"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"{oops\n", "wanted a JSON object in UTF-8, got '{oops'"),
        (b'"text"\n', 'wanted a JSON object with "text"'),
        (b'{"speaker": "Ann"}\n', 'wanted a JSON object with "text"'),
        (b'{"text": "x", "speeker": "Ann"}\n', "got 'speeker'"),
        (b'{"text": "x", "time": "2024-05-03"}\n', "which has no zone"),
        (b'{"text": "x", "time": "soon"}\n', "got 'soon'"),
        (b'{"text": "x", "time": true}\n', "time: wanted"),
        (b'{"text": 7}\n', "text: wanted a string, got int"),
        (b'{"text": null}\n', "text: wanted a string, got NoneType"),
        (b'{"text": "  "}\n', "text: wanted some text"),
        (b'{"text": "\\ud800"}\n', "lone surrogate"),
        (b'{"text": "x", "metadata": [1]}\n', "metadata: wanted a mapping"),
        (b'{"text": "x", "cues": "one"}\n', "cues: wanted a sequence"),
        (b'\xff{"text": "x"}\n', "UTF-8"),
    ],
)
def test_a_bad_line_is_named_and_what_is_stored_is_said(tmp_path, line, told):
    file = tmp_path / "items.jsonl"
    file.write_bytes(lines(ITEMS) + line + lines([{"text": "after"}]))
    done = hmem("store", tmp_path / "s", "--encoder", "hashing", "--file", file)
    assert done.returncode == 2
    assert f"error: {file}, line 4: " in done.err
    assert told in done.err
    stored = int(re.search(r"(\d+) memories of this run are stored", done.err)[1])
    assert done.out.split() == [str(memory_id) for memory_id in range(1, stored + 1)]
    assert f"memories        {stored}\n" in hmem("info", tmp_path / "s").out


def test_an_external_id_that_is_taken_is_bad_input(store):
    done = hmem("store", store, "--file", "-", stdin=lines([{"text": "x"}, {"text": "y", "external_id": "a"}]))
    assert done.returncode == 2
    assert "external_id: 'a'" in done.err
    assert "0 memories of this run are stored" in done.err


def test_a_missing_file_is_bad_input(tmp_path):
    done = hmem("store", tmp_path / "s", "--encoder", "hashing", "--file", tmp_path / "nowhere.jsonl")
    assert done.returncode == 2
    assert "--file: wanted a file of JSON lines" in done.err


def test_an_unknown_encoder_is_bad_input_and_makes_no_store(tmp_path):
    done = hmem("store", tmp_path / "s", "x", "--encoder", "nonsense")
    assert done.returncode == 2
    assert "'nonsense'" in done.err
    assert not (tmp_path / "s").exists()


def test_recall_prints_the_best_hit_first(store):
    done = hmem("recall", store, "Which parrot did Ann adopt?", "-k", "2")
    assert done.returncode == 0
    first, second = done.out.splitlines()
    assert re.fullmatch(r"1\. \[1\] \d+\.\d{3}  I adopted a parrot called Captain\.  \(Ann, monday\)", first)
    assert second.startswith("2. ")
    assert not done.err


@pytest.mark.parametrize("pipeline", ["default", "nearest", "bm25", "hopfield"])
def test_recall_takes_each_pipeline(store, pipeline):
    done = hmem("recall", store, "parrot", "-k", "1", "--pipeline", pipeline)
    assert done.returncode == 0
    assert "[1]" in done.out


@pytest.mark.parametrize("pipeline", ["default", "nearest", "bm25", "hopfield"])
def test_an_explanation_adds_up(store, tmp_path, pipeline):
    out = tmp_path / "out.json"
    done = hmem(
        "recall", store, "When is the marathon that Ann runs?", "--explain", "--pipeline", pipeline, "--json", out
    )
    assert done.returncode == 0, done.err
    rows = read_result(out, "recall")["rows"]
    assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
    for row in rows:
        assert sum(row["explanation"]["parts"].values()) == pytest.approx(row["score"], abs=1e-6)
        assert f"{row['score']:.4f} = " in done.out
    if pipeline == "default":
        assert "names:      Ann" in done.out
        assert "encoded as: " in done.out
        assert re.search(r"words +.*marathon \d", done.out)
        assert re.search(r"cue +-?0\.\d{3}  When does Ann run\?", done.out)


def test_a_recall_is_written_with_what_steered_it(store, tmp_path):
    out = tmp_path / "out.json"
    hmem("recall", store, "parrot", "-k", "1", "--json", out)
    result = read_result(out, "recall")
    assert result["settings"]["query"] == "parrot"
    assert result["settings"]["k"] == 1
    assert "explanation" not in result
    (row,) = result["rows"]
    assert (row["id"], row["speaker"], row["external_id"]) == (1, "Ann", "a")
    assert "time" not in row  # what does not apply is left out


@pytest.mark.parametrize(
    ("conditions", "ids"),
    [
        (["speaker=Ann"], {1, 3}),
        (["speaker=Ann", "session=friday"], {3}),
        (["session=friday", "session=monday"], {1, 2, 3}),
        (["year=2024"], {2}),  # a number
        (['year="2024"'], {3}),  # a text
        (["time=2024-05-03T08:00:00Z.."], {3}),
        (["time=..1714723199"], set()),
        (["speaker=Nobody"], set()),
    ],
)
def test_where_filters(store, conditions, ids):
    where = [part for condition in conditions for part in ("--where", condition)]
    done = hmem("recall", store, "anything", *where)
    assert done.returncode == 0, done.err
    assert {int(found) for found in re.findall(r"^\d+\. \[(\d+)\]", done.out, re.MULTILINE)} == ids
    assert bool(ids) != ("nothing was found" in done.err)


@pytest.mark.parametrize(
    ("condition", "told"),
    [("speaker", "wanted NAME=VALUE"), ("time=now..", "got 'now'"), ("time=2024", "wanted START..END")],
)
def test_a_bad_filter_is_bad_input(store, condition, told):
    done = hmem("recall", store, "anything", "--where", condition)
    assert done.returncode == 2
    assert told in done.err


def test_a_store_that_is_not_there_is_bad_input(tmp_path):
    for command in (
        ["recall", tmp_path / "no", "q"],
        ["info", tmp_path / "no"],
        ["forget", tmp_path / "no", "1", "--dry-run"],
        ["forget", tmp_path / "no", "1"],
    ):
        done = hmem(*command)
        assert done.returncode == 2
        assert str(tmp_path / "no") in done.err
    assert not (tmp_path / "no").exists()


def test_reading_commands_work_beside_a_writer(store):
    with Memory.open(store) as memory:
        assert hmem("recall", store, "parrot", "-k", "1").returncode == 0
        assert hmem("info", store).returncode == 0
        assert hmem("forget", store, "1", "--dry-run").returncode == 0
        locked = hmem("store", store, "x")
        assert locked.returncode == 1
        assert f"process {os.getpid()}" in locked.err
        assert len(memory) == 3


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_can_be_read(store):
    store.chmod(0o555)
    try:
        assert hmem("recall", store, "parrot", "-k", "1").returncode == 0
    finally:
        store.chmod(0o755)


def test_forget_shows_what_goes_and_a_dry_run_keeps_it(store):
    dry = hmem("forget", store, "1", "3", "--dry-run")
    assert dry.returncode == 0
    assert dry.out.startswith("1\tI adopted a parrot called Captain.\n3\tMy marathon is on Sunday.\nkeys\t")
    assert "would forget 2" in dry.err
    wet = hmem("forget", store, "1", "3", "1")
    assert wet.out == "1\tI adopted a parrot called Captain.\n3\tMy marathon is on Sunday.\n"
    assert "memories        1\n" in hmem("info", store).out


def test_forgetting_what_is_not_there_forgets_nothing(store):
    done = hmem("forget", store, "1", "99")
    assert done.returncode == 2
    assert "99" in done.err
    assert done.out == ""
    assert "memories        3\n" in hmem("info", store).out


def test_a_stored_text_cannot_steer_the_terminal(store):
    hmem("store", store, "two\nlines and \x1b[31mred\x07")
    for done in (
        hmem("recall", store, "two lines red", "-k", "1", "--explain"),
        hmem("forget", store, "4", "--dry-run"),
    ):
        assert r"two lines and \x1b[31mred\x07" in done.out  # and hmem() has looked for escapes


def test_info_is_printed_and_written(store, tmp_path):
    out = tmp_path / "info.json"
    done = hmem("info", store, "--json", out)
    (row,) = read_result(out, "info")["rows"]
    assert (row["memories"], row["sessions"], row["speakers"], row["encoder"]) == (3, 2, ["Ann", "Ben"], "hashing")
    assert "speakers        Ann, Ben\n" in done.out
