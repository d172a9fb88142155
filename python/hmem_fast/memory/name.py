"""Names of participants in a question.

People speak of themselves as "I", and of each other by name. So a question about Ann resembles what others said to
Ann ("Wow, Ann!") more than what Ann told. Rewritten to the first person it resembles what she told.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

__all__ = ["Participants"]

_TOKEN = re.compile(r"\w+|[^\w\s]")
_POSSESSIVE = re.compile(r"['’]s?(?!\w)")

Tokens = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Mention:
    """A participant in a text, and where."""

    name: str
    start: int
    end: int
    possessive: bool


class Participants:
    """The distinct speakers of a memory, and how to find them in a text. Never changes.

    A participant is named by the whole name, or by its first word where no other participant shares it. Case counts:
    "will" is not Will. A name is never found inside a longer word. A name that begins with a small letter is a role and
    not a name ("user", "assistant"): it is found behind "the" only, so that "user interface" names nobody.

    Examples
    --------
    >>> people = Participants(["Ann Lee", "Bob", "Will", "user"])
    >>> people.named_in("Did Ann meet Bob's sister at the user's house?")
    ('Ann Lee', 'Bob', 'user')
    >>> people.in_first_person("What is Ann's job, and where did Ann learn it?")
    'What is my job, and where did I learn it?'
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        #: In alphabetical order.
        self.names = tuple(sorted(names))
        tokens_of = {name: tuple(_TOKEN.findall(name)) for name in self.names}
        firsts = Counter(tokens[0] for tokens in tokens_of.values() if tokens)
        meant: dict[Tokens, str] = {tokens: name for name, tokens in tokens_of.items() if tokens}
        for name, tokens in tokens_of.items():
            if tokens and firsts[tokens[0]] == 1:
                meant.setdefault(tokens[:1], name)
        self._meant = meant
        lengths: dict[str, set[int]] = {}
        for tokens in meant:
            lengths.setdefault(tokens[0], set()).add(len(tokens))
        # For the first token of a name, how many tokens it may have, the longest first.
        self._lengths = {first: sorted(of_first, reverse=True) for first, of_first in lengths.items()}

    def named_in(self, text: str) -> tuple[str, ...]:
        """Give the participants that a text names, in the order of their first mention."""
        return tuple(dict.fromkeys(mention.name for mention in self._mentions(text)))

    def in_first_person(self, text: str) -> str:
        """Put the first person where a text names a participant.

        No grammar is mended ("does I"): encoders do not mind, measured on real questions.
        """
        pieces = []
        end = 0
        for mention in self._mentions(text):
            pieces += [text[end : mention.start], "my" if mention.possessive else "I"]
            end = mention.end
        return "".join([*pieces, text[end:]])

    def _mentions(self, text: str) -> Iterator[_Mention]:
        if not self._meant:
            return
        found = list(_TOKEN.finditer(text))
        at = 0
        while at < len(found):
            tokens = next(
                (
                    tokens
                    for length in self._lengths.get(found[at][0], ())
                    if (tokens := tuple(match[0] for match in found[at : at + length])) in self._meant
                ),
                None,
            )
            start = found[at].start()
            if tokens is not None and tokens[0][0].islower():
                before = found[at - 1] if at else None
                if before is None or before[0].lower() != "the":
                    tokens = None
                else:
                    start = before.start()
            if tokens is None:
                at += 1
                continue
            end = found[at + len(tokens) - 1].end()
            possessive = _POSSESSIVE.match(text, end)
            yield _Mention(self._meant[tokens], start, possessive.end() if possessive else end, possessive is not None)
            at += len(tokens)

    def __repr__(self) -> str:
        return f"Participants({list(self.names)})"
