"""Text from strangers: what a terminal would obey or an eye would miss is escaped, or taken out."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["MAX_CHARACTERS", "cut", "escaped", "readable", "without"]

MAX_CHARACTERS = 65_536
"""Longer replies are neither kept nor parsed."""

_SECRET_LENGTH = 12

_JOINERS = "\u200c\u200d"
"""Zero width, but part of how Persian, Hindi and others are written."""

_LETTER = re.compile(r"\\u[0-9a-fA-F]{4}|\\[bfr/\\]|.", re.DOTALL)
_SHORT = {r"\b": "", r"\f": "", r"\r": "", r"\/": "/", r"\\": "\\"}


def _is_hidden(char: str) -> bool:
    """Controls, bidirectional overrides, zero-width and private characters, surrogates, odd line breaks."""
    return char not in "\n\t" and unicodedata.category(char) in ("Cc", "Cf", "Co", "Cs", "Zl", "Zp")


def escaped(text: str) -> str:
    """Hidden characters as ``\\uXXXX``, which inside a JSON string is read back as the same character.

    Line endings become ``\\n``. So the text can be kept and shown, and still says what came.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(_as_json(char) if _is_hidden(char) else char for char in lines)


def _as_json(char: str) -> str:
    units = char.encode("utf-16-be", errors="surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def readable(text: str) -> tuple[str, int]:
    """The text without hidden characters and outer white space, and how many of them were taken out.

    The joiners of Persian, Hindi and other scripts stay.
    """
    kept = "".join(char for char in text if char in _JOINERS or not _is_hidden(char))
    return kept.strip(), len(text) - len(kept)


def cut(text: str, limit: int) -> str:
    """At most ``limit`` bytes of UTF-8; where the text is longer, its end says so and how long it was."""
    raw = text.encode()
    if len(raw) <= limit:
        return text
    mark = f" [cut: {len(raw)} bytes in all]"
    return raw[: max(0, limit - len(mark))].decode(errors="ignore") + mark


def without(secret: str, text: str) -> str:
    """The text with ``[key]`` in place of a secret (printable ASCII), also where JSON's escapes or hidden
    characters would let it through and reading would bring it back.

    Keys of fewer than 12 characters are placeholders such as "ollama", which may stand in a reply: they stay.
    """
    if len(secret) < _SECRET_LENGTH:
        return text
    text = text.replace(secret, "[key]")
    letters, starts, ends = [], [], []
    for found in _LETTER.finditer(text):
        written = found[0]
        letter = chr(int(written[2:], 16)) if len(written) == 6 else _SHORT.get(written, written)
        if letter and not _is_hidden(letter):
            letters.append(letter)
            starts.append(found.start())
            ends.append(found.end())
    read = "".join(letters)
    pieces, kept, at = [], 0, read.find(secret)
    while at >= 0:
        pieces += [text[kept : starts[at]], "[key]"]
        kept = ends[at + len(secret) - 1]
        at = read.find(secret, at + len(secret))
    return "".join([*pieces, text[kept:]])
