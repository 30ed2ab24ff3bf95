"""Looks for a quote in a text, whatever white space, punctuation, case and Unicode form either uses.

What changes the meaning counts: words and their order, and in numbers the decimal mark and the sign, and
signs such as % and $. So a quote is missed rather than found where it is not.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left

__all__ = ["GAP", "Quote", "TooShort", "fold", "is_in", "parse_quote"]

Quote = tuple[str, ...]
"""A folded quote: the parts that its ellipses leave, in order."""

GAP = 300
"""Most characters of the page (folded) that an ellipsis in a quote may stand for."""

_LEAST_WORDS = 4
_LEAST_CHARACTERS = 20
_LEAST_WORDS_OF_A_PART = 3
_MOST_OCCURRENCES = 1_000

_ELLIPSIS = re.compile(r"[\[(]?(?:\.\s?\.\s?\.[\s.]*|…)[\])]?")
_REFERENCE = re.compile(r"\[(?:\d{1,3}|[a-z]|note \d{1,3}|citation needed)\](?!\w)")  # as in "workers[3]"
_RECASED = re.compile(r"\[(\w)\](?=\w)")  # as in "[T]he"
_DECIMAL_POINT, _DECIMAL_COMMA, _MINUS = "\ue000", "\ue001", "\ue002"  # private use: in no page's words
_APOSTROPHES = dict.fromkeys(map(ord, "'`´‘’‛′ʹʻʼʽˈ＇"))
_MEANINGFUL = frozenset("%‰+<>=±×÷≤≥≠≈")


class TooShort(ValueError):
    """A quote is too short and could be found by chance; the message says so."""


class _Folding(dict[int, str | None]):
    """For ``str.translate``: a word's character stays, an invisible one goes, all else becomes a space."""

    def __missing__(self, code: int) -> str | None:
        char = chr(code)
        category = unicodedata.category(char)
        folded: str | None = " "
        if category == "Cf" or 0xFE00 <= code <= 0xFE0F:  # soft hyphens, zero width; variation selectors
            folded = None
        elif char in _MEANINGFUL or category == "Sc" or _stands_alone(code):
            folded = f" {char} "
        elif category[0] in "LMN" or char in (_DECIMAL_POINT, _DECIMAL_COMMA, _MINUS):
            folded = char
        self[code] = folded
        return folded


def _stands_alone(code: int) -> bool:
    """Whether a character belongs to a script that puts no spaces between words."""
    return (
        0x3040 <= code <= 0x30FF  # kana
        or 0x3400 <= code <= 0x9FFF  # Han
        or 0xF900 <= code <= 0xFAFF
        or 0x20000 <= code <= 0x3FFFF
        or 0x0E00 <= code <= 0x0EFF  # Thai, Lao
        or 0x1000 <= code <= 0x109F  # Myanmar
        or 0x1780 <= code <= 0x17FF  # Khmer
    )


def fold(text: str) -> str:
    """The words of a text in lower case, a space before, between and after them."""
    for char in (_DECIMAL_POINT, _DECIMAL_COMMA, _MINUS):
        text = text.replace(char, " ")
    text = unicodedata.normalize("NFKC", text.translate(_APOSTROPHES)).casefold()
    text = unicodedata.normalize("NFKC", text)
    text = _RECASED.sub(r"\1", _REFERENCE.sub("", text))
    text = re.sub(r"(?<=\d)\.(?=\d)", _DECIMAL_POINT, text)
    text = re.sub(r"(?<=\d),(?=\d)", _DECIMAL_COMMA, text)
    text = re.sub(r"(?<![^\s(])[-\u2212](?=\d)", _MINUS, text)
    return f" {' '.join(text.translate(_Folding()).split())} "


def parse_quote(text: str) -> Quote:
    """A quote made ready for :func:`is_in`; an ellipsis in it stands for at most ``GAP`` characters.

    Raises:
        TooShort: it has fewer than 4 words or 20 characters, or a part beside an ellipsis fewer than 3 words.
    """
    parts = tuple(part for part in map(fold, _ELLIPSIS.split(text)) if part.strip())
    if not any(len(part.split()) >= _LEAST_WORDS and _width(part) >= _LEAST_CHARACTERS for part in parts):
        raise TooShort(
            f"the quote is too short and could be found by chance: give a passage of at least "
            f"{_LEAST_WORDS} words and {_LEAST_CHARACTERS} characters without an ellipsis"
        )
    if any(len(part.split()) < _LEAST_WORDS_OF_A_PART for part in parts):
        raise TooShort(
            "a part of the quote next to an ellipsis is too short and could be found by chance: give at "
            f"least {_LEAST_WORDS_OF_A_PART} words on each side"
        )
    return parts


def _width(part: str) -> int:
    """Characters without spaces; a Han character or kana says as much as two letters."""
    return sum(2 if unicodedata.east_asian_width(char) == "W" else 1 for char in part if char != " ")


def is_in(quote: Quote, folded: str) -> bool:
    """Whether a text, folded by :func:`fold`, holds all parts of a quote in order, ``GAP`` apart at most."""
    ends: list[int] | None = None
    for part in quote:
        reached = []
        for start in _occurrences(part, folded):
            # Two parts may share the one space between them.
            if ends is not None:
                place = bisect_left(ends, start - GAP)
                if place == len(ends) or ends[place] > start + 1:
                    continue
            reached.append(start + len(part))
        if not reached:
            return False
        ends = reached
    return True


def _occurrences(part: str, folded: str) -> list[int]:
    """Where a part begins, ascending; the first thousand, so that a hostile page costs no more than that."""
    starts: list[int] = []
    start = folded.find(part)
    while start >= 0 and len(starts) < _MOST_OCCURRENCES:
        starts.append(start)
        start = folded.find(part, start + 1)
    return starts
