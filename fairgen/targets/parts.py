"""What stands behind a target: citations, confidence, and how a language model was asked."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from fairgen.targets.fields import (
    HASH_PATTERN,
    Day,
    Line,
    Moment,
    Part,
    Raw,
    RequiredLine,
    RequiredText,
    Text,
    Unit,
    Url,
    problem,
)

__all__ = ["Citation", "Confidence", "Elicitation"]


class Citation(Part):
    """A source that the target leans on, and whether its quote was found where it is said to be."""

    title: RequiredLine
    publisher: Line | None = None
    year: Annotated[int, Field(strict=True, ge=1000, le=9999)] | None = None
    url: Url | None = None
    quote: Text | None = Field(None, description="the passage, word for word")
    claim: RequiredText = Field(description="what the quote is meant to support in this spec")
    checked: Literal["unchecked", "found", "not_found", "unreachable"] = "unchecked"
    checked_at: Moment | None = Field(None, description="when the page was fetched and the quote looked for")

    @field_validator("checked_at")
    @classmethod
    def _goes_with_checked(cls, value: datetime | None, info: ValidationInfo) -> datetime | None:
        if "checked" in info.data and (value is None) != (info.data["checked"] == "unchecked"):
            raise problem("is given exactly when 'checked' is not 'unchecked'")
        return value


class Confidence(Part):
    """How sure the source is of the target, 0 to 1; null (None) where that makes no sense."""

    overall: Unit | None = None
    classes: dict[str, Unit | None] = Field(default_factory=dict, description="class -> confidence")


class Elicitation(Part):
    """How a language model was asked for the target; present exactly when ``source`` is ``llm``."""

    model: RequiredLine
    asked_on: Day
    prompt_hash: Annotated[str, Field(pattern=HASH_PATTERN)]
    replies: list[Raw] = Field(min_length=1, max_length=20, description="the raw replies, as text")
    agreement: Unit | None = Field(
        None, description="1 - mean Jensen-Shannon distance (base 2) between the replies' targets"
    )
    fallback: RequiredText | None = Field(
        None, description="why the target is uniform instead of what the model proposed; null if it is not"
    )
    notes: Text | None = Field(
        None, description="what was rejected, mended within stated bounds, left out or cut on the way"
    )
