"""What a text names, read off its letters: no model, no list of names.

Names are capitalised words that stand together, years, and numbers with a unit. A single word that is capitalised
because a sentence begins with it says nothing. A script without capitals gives what is likely to be rare: character
3-grams where words are not separated, longer words where they are.

All of it is a function of the text alone. What is rare is decided where it is used, by how many memories share a name.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b

from hmem_fast.core import analyze

__all__ = ["MAX_GRAMS", "TitleTable", "entities_of", "node_of", "phrase_of", "title_of"]

#: Names that a text in a script without capitals may have: those of the smallest hash, so that texts agree on them.
MAX_GRAMS = 64

#: Words of a name. A longer run is a heading or shouting.
_MAX_WORDS = 8

#: Letters of Thai, Lao, Burmese, Khmer, Japanese and Chinese, which are written without spaces.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_UNSPACED_RUN = re.compile(f"[{_UNSPACED}]{{3,}}")
#: Words of Hebrew, Arabic, the scripts of India, Tibetan, Ethiopic, Mongolian, Korean.
_UNCASED_WORD = re.compile("[\u0590-\u0dff\u0f00-\u0fff\u1200-\u137f\u1800-\u18af\uac00-\ud7af]{3,}")
_WORD = rf"[^\W_{_UNSPACED}]+(?:[.'’&-][^\W_{_UNSPACED}]+)*"
_WORD_OR_SIGN = re.compile(rf"[{_UNSPACED}]|{_WORD}")
_POSSESSIVE = re.compile(r"['’]s?$")
#: What stands between two sentences; looked for in front of a name.
_NEW_SENTENCE = re.compile(r"(?:[.!?…。！？:;\n]|^)\W*$")
#: Small words that may stand inside a name: "Duke of Lucca", "Ludwig van Beethoven".
_INSIDE = frozenset(
    (
        "of",
        "the",
        "de",
        "del",
        "della",
        "der",
        "den",
        "des",
        "di",
        "da",
        "do",
        "dos",
        "du",
        "la",
        "le",
        "van",
        "von",
        "y",
    )
)

_YEAR = re.compile(r"(?<![\w.,-])(?:1[0-9]|20|21)[0-9]{2}(?![\w-]|[.,][0-9])")
_QUANTITY = re.compile(
    r"(?<![\w.,])(?:[$€£¥]\s?)?([0-9](?:[0-9.,]*[0-9])?)\s?"
    r"(million|billion|trillion|%|‰|°\s?[CF]|[kcmn]?m|km/h|mph|[km]?g|kilograms?|grams?|tons?|tonnes?|pounds?|lbs?|"
    r"kilomet(?:re|er)s?|met(?:re|er)s?|miles?|feet|foot|ft|inch(?:es)?|acres?|hectares?|lit(?:re|er)s?|"
    r"[kMG]?Hz|[kMGT]B|[kMG]?W|kWh|volts?|hours?|minutes?|seconds?|days?|weeks?|months?|years?|"
    r"dollars?|euros?|公里|千米|米|公斤|千克|吨|元|万|亿|年|岁)(?![^\W_])"
)
_MONEY = re.compile(r"([$€£¥])\s?([0-9](?:[0-9.,]*[0-9])?)")
_DIGIT = re.compile("[0-9]")
_QUALIFIER = re.compile(r"\s*[(（][^()（）]*[)）]\s*$")


def entities_of(text: str) -> set[str]:
    """Names in a text, in one spelling.

    Examples
    --------
    >>> sorted(entities_of("The Beatles met in Hamburg. Nobody else came, in 1960 or later."))
    ['1960', 'beatles', 'hamburg']
    """
    found = _capitalised(text)
    if _DIGIT.search(text):
        found.update(_YEAR.findall(text))
        found.update(f"{number.replace(',', '')} {unit}" for number, unit in _QUANTITY.findall(text))
        found.update(f"{sign}{number.replace(',', '')}" for sign, number in _MONEY.findall(text))
    return found if text.isascii() else found | _uncased(text)


def _capitalised(text: str) -> set[str]:
    """Capitalised words that stand together, and the parts of such a name around the small words inside it."""
    names: set[str] = set()
    for match in _name_pattern().finditer(text):
        starts = _NEW_SENTENCE.search(text, max(0, match.start() - 6), match.start()) is not None
        name: list[str] = []
        for word in _BETWEEN.split(match[0]):
            end = _POSSESSIVE.search(word)
            name.append(word[: end.start()] if end else word)
            if end:  # "Ann's Acme" are two names
                names |= _names_in(text, name, starts=starts)
                name, starts = [], False
        names |= _names_in(text, name, starts=starts)
    return names


def _names_in(text: str, name: list[str], *, starts: bool) -> set[str]:
    """Names in words that stand together; `starts` says that they begin a sentence."""
    if starts and name:
        # The first capital may be that of the sentence.
        if len(name) == 1:
            return set()
        first = name[0].lower()
        if _is_common(first) or _stands_in(text, first):
            name = name[1:]
    while name and name[0] in _INSIDE:
        name = name[1:]
    while name and name[-1] in _INSIDE:
        name = name[:-1]
    parts: list[list[str]] = [[]]
    for word in name:
        if word in _INSIDE:
            parts.append([])
        else:
            parts[-1].append(word)
    wholes = [name] if len(parts) > 1 else []
    kept = (
        part for part in (*wholes, *parts) if 1 < len(part) <= _MAX_WORDS or (len(part) == 1 and _says_much(part[0]))
    )
    return {_spelt(part) for part in kept}


#: Between the words of a name: a space, or that and the point of an abbreviation.
_BETWEEN = re.compile(r"\.? ")


@lru_cache(maxsize=1)
def _name_pattern() -> re.Pattern[str]:
    """Capitalised words with nothing but a space between them, or up to two small ones.

    Made when it is first needed: `re` has no name for capitals, so they are listed.
    """
    codes = [code for code in range(0x10000) if chr(code).isupper() or chr(code).istitle()]
    starts = [code for code in codes if code - 1 not in set(codes)]
    ends = [code for code in codes if code + 1 not in set(codes)]
    capitals = "".join(f"{chr(start)}-{chr(end)}" for start, end in zip(starts, ends, strict=True))
    word = rf"[{capitals}](?:[^\W_{_UNSPACED}]*(?:[.'’&-][^\W_{_UNSPACED}]+)*)['’]?"
    space = r"(?: |(?<=\b\w)\. |(?<=\b\w\w)\. )"
    inside = "|".join(sorted(_INSIDE))
    # The capital is looked for first: most letters are none, and are passed over at once.
    return re.compile(
        rf"(?=[{capitals}])(?<![^\W{_UNSPACED}])(?<!\w[.'’&-]){word}(?:{space}(?:(?:{inside}) ){{0,2}}{word})*"
    )


def _uncased(text: str) -> set[str]:
    """Names of what is written without capitals."""
    grams = {run[at : at + 3] for run in _UNSPACED_RUN.findall(text) for at in range(len(run) - 2)}
    grams.update(_UNCASED_WORD.findall(text))
    return grams if len(grams) <= MAX_GRAMS else set(sorted(grams, key=node_of)[:MAX_GRAMS])


def _stands_in(text: str, word: str) -> bool:
    """Whether a word stands in a text as it is written."""
    at = text.find(word)
    while at >= 0:
        end = at + len(word)
        if not (text[at - 1 : at].isalnum() or text[end : end + 1].isalnum()):
            return True
        at = text.find(word, end)
    return False


def _spelt(words: Iterable[str]) -> str:
    return " ".join(words).casefold()


def _says_much(word: str) -> bool:
    return len(word) > 1 and not _is_common(word.lower())


@lru_cache(maxsize=1 << 16)
def _is_common(word: str) -> bool:
    """Whether it is a stop word."""
    return not analyze(word)


def node_of(entity: str) -> int:
    """Id of an entity's node in a graph: negative, so that it is walked through and is no answer.

    62 bits of a hash, so that it depends on nothing else: among a million entities, two share one with a chance of one
    in nine million.
    """
    digest = blake2b(entity.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return -2 - (int.from_bytes(digest, "little") >> 2)


def title_of(metadata: str) -> str | None:
    """Give the title that a memory's metadata holds, as words; None without one.

    What stands in brackets at its end tells it from others of the same name, and is left out.
    """
    if '"title"' not in metadata:
        return None
    title = json.loads(metadata).get("title")
    if not isinstance(title, str):
        return None
    return phrase_of(_QUALIFIER.sub("", title)) or phrase_of(title) or None


def phrase_of(text: str) -> str:
    """Words of a text, each after a space; signs of scripts without spaces are words."""
    return " ".join(_POSSESSIVE.sub("", word) for word in _WORD_OR_SIGN.findall(text))


class TitleTable:
    """Titles that are looked for in texts, and how many memories have each. Case counts, words are whole.

    Examples
    --------
    >>> table = TitleTable()
    >>> for title in ("Red Baron", "Baron"):
    ...     table.add(title)
    >>> sorted(table.found_in(phrase_of("The Red Baron's plane")))
    ['Baron', 'Red Baron']
    """

    def __init__(self) -> None:
        self._with_title: Counter[str] = Counter()
        #: For the first word of a title, how many titles there are of each number of words.
        self._lengths: dict[str, Counter[int]] = {}

    def __contains__(self, title: object) -> bool:
        return title in self._with_title

    def add(self, title: str) -> None:
        """Note that a memory has this title."""
        if title not in self._with_title:
            words = title.split(" ")
            self._lengths.setdefault(words[0], Counter())[len(words)] += 1
        self._with_title[title] += 1

    def remove(self, title: str) -> None:
        """Note that a memory does not have this title any more."""
        self._with_title[title] -= 1
        if self._with_title[title]:
            return
        del self._with_title[title]
        words = title.split(" ")
        lengths = self._lengths[words[0]]
        lengths[len(words)] -= 1
        if not lengths[len(words)]:
            del lengths[len(words)]
            if not lengths:
                del self._lengths[words[0]]

    def found_in(self, phrase: str) -> set[str]:
        """Titles that stand in a text, given as `phrase_of` gives it."""
        words = phrase.split(" ")
        return {
            title
            for at, word in enumerate(words)
            for length in self._lengths.get(word, ())
            if (title := " ".join(words[at : at + length])) in self._with_title
        }
