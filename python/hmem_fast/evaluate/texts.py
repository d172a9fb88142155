"""Every distinct English text of the data folder: what people say, ask and look up."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import numpy as np

from hmem_fast.data_file import open_data

__all__ = ["mixed_texts", "read_texts", "sentences", "text_files"]

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")

Reader = Callable[[IO[str]], Iterator[str]]


def sentences(text: str) -> list[str]:
    """Split a text after its full stops, question marks, exclamation marks and line ends."""
    return [part.strip() for part in _SENTENCE_END.split(text) if part.strip()]


def read_texts(folder: Path) -> tuple[list[str], dict[str, int]]:
    """Read all files of `text_files`.

    Raises
    ------
    InvalidValueError
        If one of them cannot be read.

    Returns
    -------
    texts
        Each distinct text once, stripped, where it stands first.
    found
        File name -> how many texts no earlier file had.
    """
    texts: dict[str, None] = {}
    found = {}
    for name, reader in text_files().items():
        before = len(texts)
        wanted = "the public data sets; set HMEM_DATA to their folder"
        with open_data(folder / name, wanted=wanted, argument="HMEM_DATA") as raw:
            opened = io.TextIOWrapper(raw, encoding="utf-8", newline="")
            texts.update(dict.fromkeys(text.strip() for text in reader(opened) if text.strip()))
        found[name] = len(texts) - before
    return list(texts), found


def mixed_texts(folder: Path) -> tuple[list[str], dict[str, int]]:
    """Read as `read_texts` does, in a random order that is always the same: the first n are a sample of all."""
    texts, found = read_texts(folder)
    return [texts[i] for i in np.random.default_rng(0).permutation(len(texts))], found


def text_files() -> dict[str, Reader]:
    """Give the files that hold English texts, and for each the function that reads it."""
    return {
        "locomo/locomo5.json.xz": _locomo,
        "banking77/train.csv.xz": _banking,
        "banking77/test.csv.xz": _banking,
        "clinc150/data_full.json.xz": _clinc,
        "longmemeval_s_sample/sessions.jsonl.xz": _sessions,
        "multihop_qa/musique_train.json.xz": _questions,
        "multihop_qa/musique_train_corpus.json.xz": _passages,
        "multihop_qa/2wikimultihopqa_corpus.json.xz": _passages,
    }


def _with_sentences(text: str) -> Iterator[str]:
    yield text
    yield from sentences(text)


def _locomo(file: IO[str]) -> Iterator[str]:
    for conversation in json.load(file):
        for session in conversation["conversation"].values():
            if isinstance(session, list):
                for turn in session:
                    yield from _with_sentences(turn["text"])
        for question in conversation["qa"]:
            yield question["question"]


def _banking(file: IO[str]) -> Iterator[str]:
    for row in csv.DictReader(file):
        yield row["text"]


def _clinc(file: IO[str]) -> Iterator[str]:
    for part in json.load(file).values():
        for text, _ in part:
            yield text


def _sessions(file: IO[str]) -> Iterator[str]:
    for line in file:
        for turn in json.loads(line)["turns"]:
            yield from _with_sentences(turn["content"])


def _questions(file: IO[str]) -> Iterator[str]:
    for question in json.load(file):
        yield question["question"]


def _passages(file: IO[str]) -> Iterator[str]:
    for passage in json.load(file):
        yield from _with_sentences(passage["text"])
