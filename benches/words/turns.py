"""As many turns of dialogue as wanted, made from LoCoMo's: there are only some thousands of real ones.

A made turn is a real one, or the first half of one and the second half of another, in which

* names of speakers are exchanged for those of others,
* every third word, on average, gives way to another of the same class, that is, one that stands in as many turns (from
  `2^i` to below `2^(i+1)` of the real ones),
* words that stand in one turn alone give way to words of this kind, or to rare ones of other dialogues: more turns
  would have more different words.

So lengths are those of dialogue, and so is in how many turns words stand, from the most frequent to the rarest.
Sense is lost, of which BM25 knows nothing; and words meet that seldom meet in truth, so that fewer turns stand out.
"""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from benches.encode.texts import conversations, dialogues, questions, turns

__all__ = ["asked", "made_turns"]

_WORD = re.compile(r"[A-Za-z][A-Za-z'’]*")
_RARE = 2
"""A word of other dialogues is rare if it stands at most so often there."""


def made_turns(count: int, seed: int = 0) -> list[str]:
    """Make `count` turns, the same ones each time; the first of them are those of a smaller count."""
    chance = random.Random(seed)
    real = turns()
    names = sorted({turn.speaker for conversation in conversations() for turn in conversation.turns})
    classes = _Classes(real, names, _rare_words())
    made = []
    for _ in range(count):
        text = chance.choice(real)
        if chance.random() < 0.5:
            text = f"{_halves(text)[0]} {_halves(chance.choice(real))[1]}".strip()
        made.append(_WORD.sub(lambda match: classes.other(match.group(), chance), text))
    return made


def asked(least: int = 5, most: int = 15) -> list[str]:
    """Give LoCoMo's questions of so many words."""
    return [question for question in questions() if least <= len(question.split()) <= most]


def _halves(text: str) -> tuple[str, str]:
    words = text.split()
    return " ".join(words[: len(words) // 2]), " ".join(words[len(words) // 2 :])


def _rare_words() -> list[str]:
    counts = Counter(
        word.lower()
        for dialogue in dialogues()
        for turn in dialogue["turns"]
        for word in _WORD.findall(turn["content"])
    )
    return sorted(word for word, count in counts.items() if count <= _RARE)


class _Classes:
    """Words, by the number of texts in which they stand."""

    def __init__(self, texts: Iterable[str], names: Sequence[str], rare: Sequence[str]) -> None:
        self._names = {name.lower(): list(names) for name in names}
        counts = Counter(word for text in texts for word in {word.lower() for word in _WORD.findall(text)})
        by_class: dict[int, list[str]] = defaultdict(list)
        for word, count in sorted(counts.items()):
            if word not in self._names:
                by_class[count.bit_length()].append(word)
        by_class[1] = sorted({*by_class[1], *(word for word in rare if word not in counts)})
        self._others = {word: words for words in by_class.values() for word in words}
        self._single = set(by_class[1])

    def other(self, word: str, chance: random.Random) -> str:
        """Give the word, or one that may stand for it, with the capitals that it had."""
        lower = word.lower()
        if lower in self._names:
            return chance.choice(self._names[lower])
        if lower not in self._others or not (lower in self._single or chance.random() < 1 / 3):
            return word
        found = chance.choice(self._others[lower])
        return found.capitalize() if word[0].isupper() else found
