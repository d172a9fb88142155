"""LoCoMo's file (snap-research/LoCoMo on GitHub): conversations, and questions whose evidence is turns.

What is known to be wrong with the file, and what is done about it:

- an evidence string may hold several ids (``"D8:6; D9:17"``): it is split at spaces and semicolons;
- an evidence id may name no turn (``"D"``, ``"D30:05"``): it is dropped, and counted;
- a question may be left without evidence: it is dropped, and counted;
- a session may have a time and no turns: it is not there.

A turn may come with an image. Whoever reads the conversation sees it; a memory of text gets its caption, behind the
turn's own words: ``"Look at this! a photo of a zebra"``. The benchmark's own retrieval gives captions too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hmem_fast.data_file import read_json
from hmem_fast.errors import InvalidValueError

__all__ = ["CATEGORIES", "Conversation", "Question", "Turn", "load_locomo", "parse_session_time"]

#: What the file's category numbers mean.
CATEGORIES: Mapping[int, str] = {1: "multi-hop", 2: "temporal", 3: "open-domain", 4: "single-hop", 5: "adversarial"}

_WANTED = "a LoCoMo file: a JSON list of conversations, each with sample_id, conversation and qa"
_SESSION = re.compile(r"session_(\d+)")
_TIME_FORMAT = "%I:%M %p on %d %B, %Y"


@dataclass(frozen=True, slots=True)
class Turn:
    """One thing that was said."""

    dia_id: str
    speaker: str
    text: str
    session: str
    time: datetime | None
    """When its session began, in UTC: the file names no zone. None where the session has no time."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question, and the ids of the turns that answer it, each once, in the file's order."""

    text: str
    category: int
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Conversation:
    """All turns of one conversation in their order, and its questions.

    Attributes
    ----------
    dropped_evidence : int
        Evidence ids that name no turn.
    dropped_questions : int
        Questions that had no evidence, or none that names a turn.
    """

    sample_id: str
    turns: tuple[Turn, ...]
    questions: tuple[Question, ...]
    dropped_evidence: int
    dropped_questions: int


def load_locomo(path: str | Path, *, captions: bool = True) -> tuple[Conversation, ...]:
    """Read a file in LoCoMo's format, ``.xz`` as it is.

    Parameters
    ----------
    path : str or Path
        The file.
    captions : bool
        Whether captions of images are part of the turns' text.

    Raises
    ------
    InvalidValueError
        If there is no such file, or it is something else; the message says what was wanted and where it differs.
    """
    content = read_json(path, wanted=_WANTED)
    if not isinstance(content, list) or not content:
        raise InvalidValueError(f"data: wanted {_WANTED}; {path} holds {_kind(content)}")
    conversations = tuple(
        _conversation(_Place(path, f"conversation {position}"), item, captions=captions)
        for position, item in enumerate(content)
    )
    names = [conversation.sample_id for conversation in conversations]
    if len(set(names)) < len(names):
        raise InvalidValueError(f"data: wanted each sample_id once; {path} repeats one: {', '.join(names)}")
    return conversations


def parse_session_time(written: str) -> datetime:
    """Read ``"1:56 pm on 8 May, 2023"`` as a time in UTC.

    Raises
    ------
    InvalidValueError
        If it is written differently.
    """
    try:
        return datetime.strptime(" ".join(written.split()), _TIME_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        raise InvalidValueError(f'time: wanted the form "1:56 pm on 8 May, 2023", got {written!r}') from None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in the file something is read, for messages."""

    path: str | Path
    name: str

    def get(self, holder: object, key: str, kind: type) -> Any:  # noqa: ANN401 - its type is checked here, against `kind`
        value = holder.get(key) if isinstance(holder, dict) else None
        if not isinstance(value, kind) or isinstance(value, bool):
            raise InvalidValueError(
                f"data: wanted {_WANTED}; {self.path}, {self.name}: {key}: wanted {kind.__name__}, got {_kind(value)}"
            )
        return value


def _conversation(place: _Place, item: object, *, captions: bool) -> Conversation:
    sample_id: str = place.get(item, "sample_id", str)
    turns = _turns(place, place.get(item, "conversation", dict), captions=captions)
    there = {turn.dia_id for turn in turns}
    if len(there) < len(turns):
        raise InvalidValueError(f"data: {place.path}, {place.name}: wanted each dia_id once, got one twice")
    questions, dropped_evidence, dropped_questions = [], 0, 0
    for position, question in enumerate(place.get(item, "qa", list)):
        at = _Place(place.path, f"{place.name}, question {position}")
        at.get(question, "question", str)
        named = _evidence_ids(at.get(question, "evidence", list) if "evidence" in question else [])
        evidence = tuple(name for name in named if name in there)
        dropped_evidence += len(named) - len(evidence)
        if evidence:
            questions.append(Question(at.get(question, "question", str), at.get(question, "category", int), evidence))
        else:
            dropped_questions += 1
    return Conversation(sample_id, turns, tuple(questions), dropped_evidence, dropped_questions)


def _turns(place: _Place, conversation: Mapping[str, Any], *, captions: bool) -> tuple[Turn, ...]:
    numbers = sorted(int(found[1]) for name in conversation if (found := _SESSION.fullmatch(name)))
    turns = []
    for number in numbers:
        session = f"session_{number}"
        at = _Place(place.path, f"{place.name}, {session}")
        written = conversation.get(f"{session}_date_time")
        time = parse_session_time(written) if isinstance(written, str) else None
        turns += [
            Turn(
                dia_id=at.get(turn, "dia_id", str),
                speaker=at.get(turn, "speaker", str),
                text=_with_caption(at.get(turn, "text", str), turn.get("blip_caption") if captions else None),
                session=session,
                time=time,
            )
            for turn in place.get(conversation, session, list)
        ]
    return tuple(turns)


def _with_caption(text: str, caption: object) -> str:
    return f"{text} {caption}" if isinstance(caption, str) and caption.strip() else text


def _evidence_ids(evidence: Sequence[object]) -> list[str]:
    return list(dict.fromkeys(part for text in evidence for part in re.split(r"[\s;]+", str(text)) if part))


def _kind(value: object) -> str:
    return "nothing" if value is None else f"an empty {type(value).__name__}" if value == [] else type(value).__name__
