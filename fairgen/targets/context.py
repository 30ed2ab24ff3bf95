"""One target among several in a spec: for the prompts that it names, or that fit its patterns."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, Field

from fairgen.targets.fields import Part, RequiredText, Text, Unit, clean_required, one_line
from fairgen.targets.parts import Citation, Confidence, Elicitation

__all__ = ["Context", "find_context", "normal_prompt"]


Prompt = Annotated[str, Field(max_length=1_000), AfterValidator(clean_required), AfterValidator(one_line)]


class Context(Part):
    """A target for some prompts.

    ``about``, ``why`` and ``mapping`` are the document's where they are not given: they are judgements, which
    may hold for all targets alike. ``confidence``, ``citations`` and ``elicitation`` are never taken over:
    they are evidence for one target. (Citations of the document as a whole stand at its top.)
    """

    prompts: list[Prompt] = Field(
        min_length=1,
        max_length=500,
        description="prompts, compared without regard to case and white space, or patterns with * for any "
        "text; an exact prompt wins over a pattern, and of several patterns the first",
    )
    target: dict[str, Unit] = Field(description="class -> share; all classes of the scale; sums to 1")
    confidence: Confidence = Confidence()
    citations: list[Citation] = Field(default=[], max_length=50)
    about: RequiredText | None = Field(None, description="what this target describes; null: as the document")
    why: RequiredText | None = Field(None, description="why that; null: as the document")
    mapping: Text | None = Field(
        None, description="how cited groups were turned into skin tones; null: as the document"
    )
    elicitation: Elicitation | None = Field(None, description="how a model was asked for this target")


def normal_prompt(prompt: str) -> str:
    """A prompt as it is compared: Unicode NFC, case folded, runs of white space as one space, trimmed."""
    return " ".join(unicodedata.normalize("NFC", prompt.casefold()).split())


def find_context(contexts: Sequence[Context], prompt: str) -> int | None:
    """Index of the context that a prompt belongs to: one that names it exactly, else the first one with a
    pattern that fits; None where there is neither.
    """
    wanted = normal_prompt(prompt)
    by_pattern: int | None = None
    for index, context in enumerate(contexts):
        for written in map(normal_prompt, context.prompts):
            if written == wanted:
                return index
            if by_pattern is None and "*" in written and _fits(written, wanted):
                by_pattern = index
    return by_pattern


def _fits(pattern: str, prompt: str) -> bool:
    """Whether ``*`` can stand for text (or none) such that the pattern is the prompt; never slow, since each
    piece between stars is looked for once, as far left as it goes.
    """
    first, *middle, last = pattern.split("*")
    if len(prompt) < len(first) + len(last) or not prompt.startswith(first) or not prompt.endswith(last):
        return False
    at, end = len(first), len(prompt) - len(last)
    for piece in middle:
        found = prompt.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True
