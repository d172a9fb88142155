"""Files of questions that need several passages: MuSiQue's format and HotpotQA's, and the passages they are asked of.

MuSiQue: ``question``, and ``paragraphs`` with ``title``, ``paragraph_text`` and ``is_supporting``. HotpotQA:
``question``, ``context`` ([title, [sentence, …]]) and ``supporting_facts`` ([title, sentence number]). A corpus:
``title`` and ``text``.

The supporting passages of a question are looked up in the corpus by title and text. White space does not count there:
the two formats, and those who make samples of them, join sentences differently.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hmem_fast.data_file import read_json
from hmem_fast.errors import InvalidValueError

__all__ = ["MultihopQuestion", "Passage", "load_corpus", "load_multihop"]

_CORPUS = "a corpus: a JSON list of passages, each with title and text"
_QUESTIONS = "questions in the format of MuSiQue or HotpotQA: a JSON list"


@dataclass(frozen=True, slots=True)
class Passage:
    """A text and its title."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class MultihopQuestion:
    """A question, and the places in the corpus of the passages that answer it together."""

    text: str
    evidence: tuple[int, ...]


def load_corpus(path: str | Path) -> tuple[Passage, ...]:
    """Read passages, ``.xz`` as it is.

    Raises
    ------
    InvalidValueError
        If there is no such file, or it is something else.
    """
    place = _Place("corpus", _CORPUS, path)
    return tuple(
        Passage(place.get(item, "title", str, at), place.get(item, "text", str, at))
        for at, item in enumerate(place.items())
    )


def load_multihop(path: str | Path, corpus: Sequence[Passage]) -> tuple[tuple[MultihopQuestion, ...], int]:
    """Read questions, ``.xz`` as it is.

    Returns
    -------
    questions : tuple of MultihopQuestion
        Those of which all supporting passages are in the corpus, in the file's order.
    dropped : int
        How many others there were.

    Raises
    ------
    InvalidValueError
        If there is no such file, it is something else, or no question's passages are in the corpus.
    """
    place = _Place("questions", _QUESTIONS, path)
    row_of: dict[tuple[str, str], int] = {}
    for row, passage in enumerate(corpus):
        row_of.setdefault(_matched_by(passage.title, passage.text), row)
    questions, dropped = [], 0
    for at, item in enumerate(place.items()):
        text = place.get(item, "question", str, at)
        rows = [row_of.get(_matched_by(*passage)) for passage in _supporting(place, item, at)]
        there = [row for row in rows if row is not None]
        if rows and len(there) == len(rows):
            questions.append(MultihopQuestion(text, tuple(dict.fromkeys(there))))
        else:
            dropped += 1
    if not questions:
        raise InvalidValueError(
            f"questions: wanted some whose supporting passages are in the corpus; of the {dropped} in {path} none has "
            "all of its passages there"
        )
    return tuple(questions), dropped


def _supporting(place: _Place, item: object, at: int) -> Iterator[tuple[str, str]]:
    """Titles and texts of a question's supporting passages."""
    if isinstance(item, dict) and "paragraphs" in item:
        for paragraph in place.get(item, "paragraphs", list, at):
            if place.get(paragraph, "is_supporting", bool, at):
                yield place.get(paragraph, "title", str, at), place.get(paragraph, "paragraph_text", str, at)
        return
    facts = place.get(item, "supporting_facts", list, at)
    if not all(isinstance(fact, list) and fact and isinstance(fact[0], str) for fact in facts):
        raise place.refused(f"question {at}: supporting_facts: wanted [title, number], got something else")
    titles = {fact[0] for fact in facts}
    found = set()
    for paragraph in place.get(item, "context", list, at):
        match paragraph:
            case [str(title), list(sentences)] if all(isinstance(sentence, str) for sentence in sentences):
                if title in titles:
                    found.add(title)
                    yield title, "".join(sentences)
            case _:
                raise place.refused(f"question {at}: context: wanted [title, [sentence, …]], got something else")
    # A passage that the question names and does not bring has no text, and so is not in the corpus.
    yield from ((title, "") for title in titles - found)


def _matched_by(title: str, text: str) -> tuple[str, str]:
    return "".join(title.split()), "".join(text.split())


@dataclass(frozen=True, slots=True)
class _Place:
    """A file, and what it should be, for messages."""

    argument: str
    wanted: str
    path: str | Path

    def items(self) -> list[object]:
        content = read_json(self.path, wanted=self.wanted, argument=self.argument)
        if not isinstance(content, list) or not content:
            raise self.refused(f"got {'an empty list' if content == [] else type(content).__name__}")
        return content

    def get(self, holder: object, key: str, kind: type, at: int) -> Any:  # noqa: ANN401 - its type is checked against `kind`
        value = holder.get(key) if isinstance(holder, dict) else None
        if not isinstance(value, kind):
            got = "nothing" if value is None else type(value).__name__
            raise self.refused(f"entry {at}: {key}: wanted {kind.__name__}, got {got}")
        return value

    def refused(self, what: str) -> InvalidValueError:
        return InvalidValueError(f"{self.argument}: wanted {self.wanted}; {self.path}: {what}")
