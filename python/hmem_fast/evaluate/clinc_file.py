"""clinc150's file (clinc/oos-eval on GitHub): short texts that people wrote for 150 intents, in three parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hmem_fast.data_file import read_json
from hmem_fast.errors import InvalidValueError

__all__ = ["CLINC", "Clinc", "load_clinc"]

#: Where it lies in the data folder.
CLINC = "clinc150/data_full.json.xz"

_WANTED = 'a clinc150 file: a JSON object with "train", "val" and "test", each a list of [text, intent]'

Labelled = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Clinc:
    """Its parts, in the file's order: pairs of text and intent. What is out of scope is left out."""

    train: Labelled
    val: Labelled
    test: Labelled

    @property
    def intents(self) -> tuple[str, ...]:
        """The intents of the training part, sorted."""
        return tuple(sorted({intent for _, intent in self.train}))

    def by_intent(self) -> Mapping[str, tuple[str, ...]]:
        """The training texts of each intent, in the file's order."""
        texts: dict[str, list[str]] = {intent: [] for intent in self.intents}
        for text, intent in self.train:
            texts[intent].append(text)
        return {intent: tuple(of_intent) for intent, of_intent in texts.items()}


def load_clinc(path: str | Path) -> Clinc:
    """Read the file, ``.xz`` as it is.

    Raises
    ------
    InvalidValueError
        If there is no such file, or it is something else; the message says what was wanted.
    """
    content = read_json(path, wanted=_WANTED)
    if not isinstance(content, dict):
        raise InvalidValueError(f"data: wanted {_WANTED}; {path} holds a {type(content).__name__}")
    clinc = Clinc(*(_part(path, content, name) for name in ("train", "val", "test")))
    unknown = {intent for _, intent in (*clinc.val, *clinc.test)} - set(clinc.intents)
    if unknown:
        raise InvalidValueError(f"data: wanted only intents of the training part; {path} asks for {min(unknown)!r}")
    return clinc


def _part(path: str | Path, content: Mapping[str, object], name: str) -> Labelled:
    rows = content.get(name)
    if not isinstance(rows, list) or not rows:
        raise InvalidValueError(f"data: wanted {_WANTED}; {path} has no {name!r}")
    for position, row in enumerate(rows):
        if not (isinstance(row, list) and len(row) == 2 and all(isinstance(part, str) for part in row)):
            raise InvalidValueError(f"data: wanted {_WANTED}; {path}, {name}, row {position}: got {row!r}")
    return tuple((text, intent) for text, intent in rows)
