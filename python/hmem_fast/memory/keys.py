"""Which dense keys and which words a memory is found by.

A turn of a conversation says little alone: "Yes, in May!" answers a question that stands in the turn before. So a
memory gets several keys, pooled by energy when it is searched, and the words of the turns before it. And a question
is best found by its answer: the questions at the end of a turn leave its own keys, since the next turn takes them over.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hmem_fast.core import analyze
from hmem_fast.errors import InvalidValueError
from hmem_fast.memory.turn import MAX_KEYS

__all__ = ["KEY_KINDS", "KeyRecipe", "is_question", "split_sentences", "with_speaker"]

#: Questions that a turn takes over from the one before it, the last ones: the rest must leave room for its own keys.
_MAX_QUESTIONS = 4

#: Kinds that a recipe may ask for. Cues and ready vectors are keys in any recipe.
KEY_KINDS = ("turn", "context", "sentences", "questions")


@dataclass(frozen=True, slots=True)
class KeyRecipe:
    """How the keys and the words of a memory are made; recorded in the store, since all its memories must agree.

    Parameters
    ----------
    keys : sequence of str
        ``"context"``: the questions that the previous turn of the session asked, and the turn.
        ``"sentences"``: each sentence of the turn.
        ``"questions"``: each question that the previous turn asked.
        ``"turn"``: the turn with its speaker's name, ``"speaker: text"``, as plain retrieval has it.
    window_turns : int
        Turns of the session whose words a memory is found by: itself and those before it.
    analyzer : str
        Language of the words, or ``"char4"`` for character 4-grams: see `hmem_fast.core.analyze`.
    """

    keys: tuple[str, ...] = ("context", "sentences", "questions")
    window_turns: int = 3
    analyzer: str = "english"

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", tuple(self.keys))  # a list would make the recipe mutable
        unknown = [kind for kind in self.keys if kind not in KEY_KINDS]
        if unknown:
            raise InvalidValueError(f"keys: wanted some of {', '.join(KEY_KINDS)}, got {unknown[0]!r}")
        analyze("", self.analyzer)  # refuses an analyzer that does not exist
        if self.window_turns < 1:
            raise InvalidValueError(f"window_turns: wanted 1 or more, got {self.window_turns}")

    def to_json(self) -> dict[str, Any]:
        """Give the recipe as it is recorded."""
        return asdict(self)

    @classmethod
    def from_json(cls, recorded: dict[str, Any]) -> KeyRecipe:
        """Read what `to_json` gave."""
        return cls(**{**recorded, "keys": tuple(recorded["keys"])})

    def pieces(
        self, text: str, speaker: str | None, cues: Sequence[str], *, in_session: bool, before: str | None
    ) -> tuple[list[tuple[str, str]], int]:
        """Cut a turn into what is encoded.

        Parameters
        ----------
        text, speaker, cues
            The turn.
        in_session : bool
            Whether a next turn can take over the questions at the end of this one.
        before : str or None
            Text of the turn before it in the session.

        Returns
        -------
        pieces : list of (kind, text)
            At most 32, no text twice.
        unkeyed : int
            Number of pieces that found no place.
        """
        own = split_sentences(text)
        if in_session:
            own = _without_last_questions(own)
        asked = [sentence for sentence in split_sentences(before or "") if is_question(sentence)][-_MAX_QUESTIONS:]
        wanted = [("cue", cue) for cue in cues]
        if own and "turn" in self.keys:
            wanted.append(("turn", with_speaker(speaker, text)))
        if own and "context" in self.keys:
            wanted.append(("context", " ".join(asked + own)))
        if own and "questions" in self.keys:
            wanted += [("question", question) for question in asked]
        if "sentences" in self.keys:
            wanted += [("sentence", sentence) for sentence in own]
        distinct: dict[str, str] = {}
        for kind, piece in wanted:  # the same text twice would count twice in the energy
            distinct.setdefault(piece, kind)
        pieces = [(kind, piece) for piece, kind in distinct.items()]
        return pieces[:MAX_KEYS], max(0, len(pieces) - MAX_KEYS)


def with_speaker(speaker: str | None, text: str) -> str:
    """Write a turn as it stands in a transcript."""
    return text if speaker is None else f"{speaker}: {text}"


# A sentence ends with . ! ? … and the quotes or brackets that close after it, before white space; in scripts without
# spaces with their own full stop; and at the end of a line. The look-behind and the possessive repeats keep the time
# linear: a run of marks is looked at once.
_CLOSING = r"""["'”’)\]»」』）]*+"""
_SENTENCE = re.compile(
    rf"[^\r\n]+?(?:(?<![.!?…])[.!?…]++{_CLOSING}(?=\s|$)|(?<![。！？])[。！？]++{_CLOSING}|(?=[\r\n])|$)"
)
_QUESTION = re.compile(rf"[?？]{_CLOSING}$")


def split_sentences(text: str) -> list[str]:
    r"""Cut a text where sentences end.

    Examples
    --------
    >>> split_sentences('He said "Really?" Yes. In May\nor so')
    ['He said "Really?"', 'Yes.', 'In May', 'or so']
    """
    return [sentence for match in _SENTENCE.finditer(text) if (sentence := match[0].strip())]


def is_question(sentence: str) -> bool:
    """Whether a sentence asks something, as far as its mark tells."""
    return _QUESTION.search(sentence) is not None


def _without_last_questions(sentences: list[str]) -> list[str]:
    """Leave out the questions at the end; a turn that only asks keeps them, since it says nothing else."""
    end = len(sentences)
    while end and is_question(sentences[end - 1]):
        end -= 1
    return sentences[:end] or sentences
