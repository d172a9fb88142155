"""Distinct short texts that people say and ask, from several public data sets, in a fixed order."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from hmem_fast.data_file import open_data
from hmem_fast.evaluate.clinc_file import CLINC, load_clinc
from hmem_fast.evaluate.data_folder import data_file
from hmem_fast.evaluate.locomo_file import load_locomo
from hmem_fast.evaluate.result import DataFile

__all__ = ["read_dialogue_texts"]


def read_dialogue_texts() -> tuple[list[str], list[DataFile]]:
    """Read the turns and questions of LoCoMo, the utterances of clinc150 and those of banking77 from the data folder.

    Returns
    -------
    texts
        Each distinct text once, where it stands first.
    files
        What was read; ``items`` counts the texts that no earlier file had.

    Raises
    ------
    InvalidValueError
        If a file is missing or is something else.
    """
    texts: dict[str, None] = {}
    files = []
    for name, read in _READERS.items():
        path, before = data_file(name), len(texts)
        texts.update(dict.fromkeys(text.strip() for text in read(path) if text.strip()))
        files.append(DataFile.of(path, items=len(texts) - before))
    return list(texts), files


def _locomo(path: Path) -> Iterator[str]:
    for conversation in load_locomo(path, captions=False):
        yield from (turn.text for turn in conversation.turns)
        yield from (question.text for question in conversation.questions)


def _clinc(path: Path) -> Iterator[str]:
    clinc = load_clinc(path)
    yield from (text for part in (clinc.train, clinc.val, clinc.test) for text, _ in part)


def _banking(path: Path) -> Iterator[str]:
    with open_data(path) as raw:
        for row in csv.DictReader(io.TextIOWrapper(raw, encoding="utf-8", newline="")):
            yield row["text"]


_READERS: Mapping[str, Callable[[Path], Iterator[str]]] = {
    "locomo/locomo5.json.xz": _locomo,
    CLINC: _clinc,
    "banking77/train.csv.xz": _banking,
    "banking77/test.csv.xz": _banking,
}
