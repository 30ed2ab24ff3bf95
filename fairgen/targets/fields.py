"""The kinds of values that a spec is made of, checked as they are read: text, shares, addresses, moments."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, date, datetime
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

__all__ = [
    "HASH_PATTERN",
    "NAME_PATTERN",
    "Day",
    "Line",
    "Moment",
    "Part",
    "Raw",
    "RequiredLine",
    "RequiredText",
    "Text",
    "Unit",
    "Url",
    "clean_required",
    "one_line",
    "problem",
]

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]*$"
HASH_PATTERN = r"^sha256:[0-9a-f]{64}$"
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_FRACTION = re.compile(r"\s*(\d{1,9})\s*/\s*(\d{1,9})\s*")


def problem(reason: str, *at: str | int) -> PydanticCustomError:
    """A refusal; ``at`` leads from the validated value down to the part that is at fault."""
    # The reason goes in as context, since pydantic would read braces in it as a template.
    return PydanticCustomError("spec", "{reason}", {"reason": reason, "at": list(at)})


def _clean(value: str) -> str:
    # YAML has no way to write some of these, and a terminal or a page would obey others.
    if any(unicodedata.category(char) in ("Cc", "Cs") and char not in "\n\t" for char in value):
        raise problem("holds control characters: take them out")
    return value.strip()


def clean_required(value: str) -> str:
    """Text without control characters, trimmed; refused where nothing is left."""
    value = _clean(value)
    if not value:
        raise problem("must not be empty")
    return value


def one_line(value: str) -> str:
    """Text without line breaks, so that no name can look like two entries where it is shown."""
    if "\n" in value:
        raise problem("must be one line: take the line breaks out")
    return value


def _no_surrogates(value: str) -> str:
    if any(unicodedata.category(char) == "Cs" for char in value):
        raise problem("is not valid Unicode")
    return value


def _unit(value: Any) -> float:
    """A number from 0 to 1; text such as "1/6" is read as a fraction, since 0.1667 six times is not 1."""
    if isinstance(value, str) and (match := _FRACTION.fullmatch(value)):
        numerator, denominator = int(match[1]), int(match[2])
        if numerator <= denominator and denominator > 0:
            return numerator / denominator
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise problem(f"must be a number from 0 to 1, or a fraction such as 1/6, not {_shown(value)}")
    if not 0 <= value <= 1:  # also refuses NaN, for which every comparison is false
        raise problem(f"must be from 0 to 1, not {_shown(value)}")
    return float(value) + 0.0  # -0.0 becomes 0.0: one value, one hash


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # an integer with more digits than Python prints (set in code; a file's are bounded)
        text = "a number that long"
    return text if len(text) <= 40 else text[:37] + "..."


def _web_address(value: str) -> str:
    # Addresses become links in reports: only schemes that do nothing but fetch.
    try:
        parts = urlsplit(value)
    except ValueError:
        raise problem("is not a web address") from None
    if parts.scheme not in ("http", "https") or not parts.netloc or any(char.isspace() for char in value):
        raise problem("must be a web address that starts with http:// or https://")
    return value


def _day(value: Any) -> Any:
    # pydantic would read a number as seconds since 1970, and a moment at midnight as a day.
    is_day = isinstance(value, date) and not isinstance(value, datetime)
    if not is_day and not (isinstance(value, str) and _DATE.fullmatch(value)):
        raise problem(f"must be a date such as 2026-11-23, not {_shown(value)}")
    return value


def _moment(value: Any) -> Any:
    if not isinstance(value, str | date) or (isinstance(value, str) and not _DATE.match(value)):
        raise problem(f"must be a moment such as 2026-11-23T09:30:00Z, not {_shown(value)}")
    return value


def _with_zone(value: datetime) -> datetime:
    return value if value.tzinfo else value.replace(tzinfo=UTC)


Line = Annotated[str, Field(max_length=300), AfterValidator(_clean), AfterValidator(one_line)]
RequiredLine = Annotated[str, Field(max_length=300), AfterValidator(clean_required), AfterValidator(one_line)]
Text = Annotated[str, Field(max_length=4_000), AfterValidator(_clean)]
RequiredText = Annotated[str, Field(max_length=4_000), AfterValidator(clean_required)]
Raw = Annotated[str, Field(max_length=16_000), AfterValidator(_no_surrogates)]
Url = Annotated[str, Field(max_length=2_000), AfterValidator(_clean), AfterValidator(_web_address)]
Day = Annotated[date, BeforeValidator(_day)]
Moment = Annotated[datetime, BeforeValidator(_moment), AfterValidator(_with_zone)]
Unit = Annotated[
    float,
    BeforeValidator(_unit),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": 1},
                {"type": "string", "pattern": r"^\s*\d{1,9}\s*/\s*\d{1,9}\s*$"},
            ],
            "description": "a number from 0 to 1, or a fraction such as 1/6",
        }
    ),
]


class Part(BaseModel):
    """A part of a spec: unknown keys are refused, and it cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)
