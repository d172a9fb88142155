"""Real texts: turns of LoCoMo, stretches of them with a given number of tokens, and texts of quite another kind."""

from __future__ import annotations

import inspect
import json
import lzma
import pkgutil
import random
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from hmem_fast.evaluate import Conversation, DataFile, load_locomo
from hmem_fast.evaluate.data_folder import data_folder

__all__ = [
    "conversations",
    "data_files",
    "dialogues",
    "docstrings",
    "intents",
    "missing_files",
    "of_length",
    "questions",
    "sample",
    "turns",
]

LOCOMO = "locomo/locomo5.json.xz"
SESSIONS = "longmemeval_s_sample/sessions.jsonl.xz"
INTENTS = "clinc150/data_full.json.xz"

CountTokens = Callable[[str], int]


def conversations() -> tuple[Conversation, ...]:
    """Read LoCoMo."""
    return load_locomo(data_folder() / LOCOMO)


def turns() -> list[str]:
    """All distinct turns of LoCoMo, in their order."""
    return list(dict.fromkeys(turn.text for conversation in conversations() for turn in conversation.turns))


def questions() -> list[str]:
    """All distinct questions of LoCoMo, in their order."""
    return list(dict.fromkeys(question.text for conversation in conversations() for question in conversation.questions))


def intents() -> list[str]:
    """What people ask of an assistant (clinc150): short, without capitals or full stops."""
    with lzma.open(data_folder() / INTENTS, "rt", encoding="utf-8") as file:
        parts = json.load(file)
    return list(dict.fromkeys(text for part in sorted(parts) for text, _ in parts[part]))


def dialogues() -> list[dict[str, Any]]:
    """Read dialogues of people with an assistant: session_id, and turns with role and content."""
    with lzma.open(data_folder() / SESSIONS, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def docstrings(count: int) -> list[str]:
    """Docstrings of numpy, from the first of its modules by name on: code, formulas, lists."""
    found: dict[str, None] = {}
    for module in [np, *_modules()]:
        for _, value in sorted(vars(module).items()):
            doc = inspect.getdoc(value) if callable(value) else None
            if doc and len(doc) > 40:
                found[doc] = None
    return list(found)[:count]


def _modules() -> Iterator[object]:
    for name in sorted(module.name for module in pkgutil.iter_modules(np.__path__)):
        if not name.startswith("_") and name not in {"conftest", "tests", "f2py", "distutils", "testing"}:
            try:
                yield import_module(f"numpy.{name}")
            except ImportError:
                continue


def sample(texts: Sequence[str], count: int, seed: int = 0) -> list[str]:
    """Draw `count` of the texts without repetition, the same ones each time; all of them where there are no more."""
    if len(texts) <= count:
        return list(texts)
    return random.Random(seed).sample(list(texts), count)


def of_length(texts: Sequence[str], length: int, count: int, count_tokens: CountTokens) -> list[str]:
    """Cut `count` stretches of consecutive texts, each with exactly `length` tokens, special ones among them.

    A stretch begins where a text begins and ends between two words; where no end has the right number of tokens, the
    next text's beginning is tried.

    Raises
    ------
    ValueError
        If there are not as many.
    """
    found: list[str] = []
    start = 0
    while start < len(texts) and len(found) < count:
        words: list[str] = []
        ends = []  # of each text that the stretch may reach into
        while start + len(ends) < len(texts) and len(words) < length:
            words += texts[start + len(ends)].split()
            ends.append(len(words))
        taken = _taken(words, length, count_tokens)
        if taken is None:
            start += 1
        else:
            found.append(" ".join(words[:taken]))
            start += 1 + sum(end < taken for end in ends)
    if len(found) < count:
        raise ValueError(f"texts: wanted {count} stretches of {length} tokens, there are {len(found)}")
    return found


def _taken(words: Sequence[str], length: int, count_tokens: CountTokens) -> int | None:
    """Count the first words that have `length` tokens together: more words never have fewer."""
    low, high = 1, len(words)
    while low < high:
        middle = (low + high) // 2
        if count_tokens(" ".join(words[:middle])) < length:
            low = middle + 1
        else:
            high = middle
    return low if words and count_tokens(" ".join(words[:low])) == length else None


def missing_files() -> list[str]:
    """Name the files that are read and not there."""
    paths = [data_folder() / name for name in (LOCOMO, INTENTS, SESSIONS)]
    return [str(path) for path in paths if not path.is_file()]


def data_files() -> list[DataFile]:
    """Describe what was read."""
    return [
        DataFile.of(data_folder() / name, items=len(read()))
        for name, read in ((LOCOMO, turns), (INTENTS, intents), (SESSIONS, dialogues))
    ]
