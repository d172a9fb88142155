"""What every encoder does to its input first: check that it is a sequence of valid strings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

from hmem_fast.errors import DTypeError, InvalidValueError

__all__ = ["MAX_CHARACTERS", "checked_texts"]

MAX_CHARACTERS = 10_000
"""Only so many characters of a text are tokenized: a model reads a few hundred tokens, and 10 MB would cost seconds."""


def checked_texts(texts: object) -> list[str]:
    """Return the texts as a list, or say which one cannot be encoded and why.

    Nothing is cut here: an encoder cuts to `MAX_CHARACTERS` where it can count what it cut.

    Raises
    ------
    DTypeError
        If `texts` is one string, no sequence, or holds something that is no string.
    InvalidValueError
        If a text holds a lone surrogate.
    """
    if isinstance(texts, str):
        raise DTypeError("texts: wanted a sequence of strings, got one string; wrap it in a list: encode([text])")
    if isinstance(texts, bytes | bytearray | AbstractSet | Mapping) or not isinstance(texts, Iterable):
        raise DTypeError(f"texts: wanted a sequence of strings, got {type(texts).__name__}")
    checked = list(texts)
    for number, text in enumerate(checked):
        if not isinstance(text, str):
            raise DTypeError(f"texts[{number}]: wanted a string, got {type(text).__name__}")
        _check_unicode(text, number)
    return checked


def _check_unicode(text: str, number: int) -> None:
    if text.isascii():
        return
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidValueError(
            f"texts[{number}]: wanted valid Unicode, got the lone surrogate {text[error.start]!a} "
            f"at position {error.start}; text.encode('utf-8', 'replace').decode() makes it a question mark"
        ) from None
