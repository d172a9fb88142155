"""Names of participants in a question.

People speak of themselves as "I", and of each other by name. So a question about Ann resembles what others said to
Ann ("Wow, Ann!") more than what Ann told. Rewritten to the first person it resembles what she told.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

__all__ = ["first_person", "named_in"]


def named_in(text: str, participants: Sequence[str]) -> tuple[str, ...]:
    """Give the participants that a text names, in the order of their first mention.

    A participant is named by the whole name, or by its first word where no other participant shares it. Case counts:
    "will" is no Will. A name is never found inside a longer word.

    Examples
    --------
    >>> named_in("Did Ann meet Bob's sister?", ["Ann Lee", "Bob", "Will"])
    ('Ann Lee', 'Bob')
    """
    pattern, participant_of = _names(tuple(participants))
    if pattern is None:
        return ()
    return tuple(dict.fromkeys(participant_of[match["name"]] for match in pattern.finditer(text)))


def first_person(text: str, participants: Sequence[str]) -> str:
    """Put the first person where a text names a participant.

    No grammar is mended ("does I"): encoders do not mind, measured on real questions.

    Examples
    --------
    >>> first_person("What is Ann's job, and where did Ann learn it?", ["Ann", "Bob"])
    'What is my job, and where did I learn it?'
    """
    pattern, _ = _names(tuple(participants))
    return text if pattern is None else pattern.sub(lambda match: "my" if match["possessive"] else "I", text)


@lru_cache(maxsize=64)
def _names(participants: tuple[str, ...]) -> tuple[re.Pattern[str] | None, dict[str, str]]:
    """Build the pattern that finds names, and the participant that each name means."""
    firsts = Counter(words[0] for name in participants if (words := name.split()))
    participant_of = {name: name for name in participants if name.strip()}
    for name in list(participant_of):
        first = name.split()[0]
        if firsts[first] == 1:
            participant_of.setdefault(first, name)
    if not participant_of:
        return None, {}
    longest_first = sorted(participant_of, key=len, reverse=True)
    alternatives = "|".join(map(re.escape, longest_first))
    return re.compile(rf"(?<!\w)(?P<name>{alternatives})(?P<possessive>['’]s?)?(?!\w)"), participant_of
