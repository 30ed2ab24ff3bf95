"""Texts that users give: prompts, lists of prompts, names for files and folders."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from pathlib import Path

from fairgen.errors import UserError

__all__ = [
    "MAX_PROMPT",
    "as_written",
    "check_prompt",
    "counted",
    "isolated",
    "one_line",
    "prompt_problem",
    "read_prompts",
    "readable",
    "slug",
    "visible",
    "without_comment",
]

MAX_PROMPT = 1_000
"""Characters of a prompt."""
_MOST_BYTES_OF_PROMPTS = 1 << 20


def prompt_problem(prompt: str) -> str | None:
    """What is wrong with a prompt, as the end of a sentence whose subject is the prompt; None: nothing.

    A prompt has one line and at most `MAX_PROMPT` characters.
    """
    if not prompt.strip():
        return "is empty: say what the pictures shall show, such as 'a photo of a doctor'"
    if len(prompt.strip()) > MAX_PROMPT:
        return f"has {len(prompt.strip())} characters: shorten it to {MAX_PROMPT} at most"
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in prompt.strip()):
        return "holds line breaks or control characters: write it on one line"
    return None


def check_prompt(prompt: str) -> str:
    """The prompt, stripped.

    Raises:
        UserError: it is empty, too long, or more than one line.
    """
    if problem := prompt_problem(prompt):
        raise UserError(f"The prompt {problem}.")
    return prompt.strip()


def slug(text: str, most: int = 40) -> str:
    """A text as a part of a file's name: ``a-z``, ``0-9`` and ``-``, at most so many; may be empty."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:most].strip("-")


def one_line(text: str) -> str:
    """Text for a terminal: one line, without control characters (a file's name may carry some)."""
    return "".join(c if c.isprintable() else " " for c in " ".join(text.split()))


def counted(number: int, noun: str) -> str:
    """``1 picture``, ``2 pictures``, ``10,000 pictures``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def as_written(value: object) -> str:
    """A value of a YAML or JSON document as it stands there, not as Python has it."""
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    if value is None or isinstance(value, bool | int | float):
        return json.dumps(value)
    return repr(str(value)[:40])


def readable(path: str | Path) -> str:
    """A path as text that can be encoded; bytes of a name that are no UTF-8 stand as ``\\xe9``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def visible(text: str) -> str:
    """Text for a terminal in which nothing is hidden: marks without a shape of their own (direction,
    zero-width, control) show as <U+202E>; line breaks stay, other white space is a plain space.
    """
    return "".join(
        c if c.isprintable() or c == "\n" else " " if c.isspace() else f"<U+{ord(c):04X}>" for c in text
    )


def isolated(words: str) -> str:
    """Text of users within a sentence of ours: its writing direction and overrides end with it."""
    return f"\N{FIRST STRONG ISOLATE}{words}\N{POP DIRECTIONAL ISOLATE}"


def without_comment(line: str) -> str:
    """A line of a list of prompts, stripped, without its comment (from a ``#`` that begins a word)."""
    return re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip()


def read_prompts(path: Path) -> list[str]:
    """The prompts of a file, one a line, without comments (`without_comment`) and empty lines.

    Raises `UserError` where the file cannot be read or holds none.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES_OF_PROMPTS + 1)  # whatever size the file claims
        if len(raw) > _MOST_BYTES_OF_PROMPTS:
            raise UserError(f"{path} is larger than 1 MiB: give a text file, one prompt a line.")
        lines = raw.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no UTF-8 text: save it as plain text, one prompt a line.") from error
    except OSError as error:
        raise UserError(f"The prompts {path} cannot be read ({error.strerror}).") from error
    prompts = [words for line in lines if (words := without_comment(line))]
    if not prompts:
        raise UserError(f"{path} holds no prompts: write one a line.")
    return prompts
