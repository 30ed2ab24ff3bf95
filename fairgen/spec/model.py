"""FairnessSpec: the declared target as a document that a person can read, argue about, edit and sign."""

from __future__ import annotations

import hashlib
import json
import math
import re
import unicodedata
from datetime import UTC, date, datetime
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from skin_tone.scales import SCALES

__all__ = ["SHARE_SUM_TOLERANCE", "Citation", "Confidence", "Elicitation", "FairnessSpec", "spec_schema"]

SHARE_SUM_TOLERANCE = 1e-6
"""How far the shares of a target may sum from 1."""

_FRACTION = re.compile(r"\s*(\d{1,9})\s*/\s*(\d{1,9})\s*")


def _problem(reason: str, *at: str) -> PydanticCustomError:
    """A refusal; ``at`` leads from the validated value down to the part that is at fault."""
    # The reason goes in as context, since pydantic would read braces in it as a template.
    return PydanticCustomError("spec", "{reason}", {"reason": reason, "at": list(at)})


def _clean(value: str) -> str:
    # YAML has no way to write some of these, and a terminal or a page would obey others.
    if any(unicodedata.category(char) in ("Cc", "Cs") and char not in "\n\t" for char in value):
        raise _problem("holds control characters: take them out")
    return value.strip()


def _clean_required(value: str) -> str:
    value = _clean(value)
    if not value:
        raise _problem("must not be empty")
    return value


def _no_surrogates(value: str) -> str:
    if any(unicodedata.category(char) == "Cs" for char in value):
        raise _problem("is not valid Unicode")
    return value


def _unit(value: Any) -> float:
    """A number from 0 to 1; text such as "1/6" is read as a fraction, since 0.1667 six times is not 1."""
    if isinstance(value, str) and (match := _FRACTION.fullmatch(value)):
        numerator, denominator = int(match[1]), int(match[2])
        if numerator <= denominator and denominator > 0:
            return numerator / denominator
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _problem(f"must be a number from 0 to 1, or a fraction such as 1/6, not {_shown(value)}")
    if not 0 <= value <= 1:  # also refuses NaN, for which every comparison is false
        raise _problem(f"must be from 0 to 1, not {_shown(value)}")
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
        raise _problem("is not a web address") from None
    if parts.scheme not in ("http", "https") or not parts.netloc or any(char.isspace() for char in value):
        raise _problem("must be a web address that starts with http:// or https://")
    return value


def _with_zone(value: datetime) -> datetime:
    return value if value.tzinfo else value.replace(tzinfo=UTC)


Line = Annotated[str, Field(max_length=300), AfterValidator(_clean)]
RequiredLine = Annotated[str, Field(max_length=300), AfterValidator(_clean_required)]
Text = Annotated[str, Field(max_length=4_000), AfterValidator(_clean)]
RequiredText = Annotated[str, Field(max_length=4_000), AfterValidator(_clean_required)]
Raw = Annotated[str, Field(max_length=16_000), AfterValidator(_no_surrogates)]
Url = Annotated[str, Field(max_length=2_000), AfterValidator(_clean), AfterValidator(_web_address)]
Moment = Annotated[datetime, AfterValidator(_with_zone)]
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


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Citation(_Part):
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
            raise _problem("is given exactly when 'checked' is not 'unchecked'")
        return value


class Confidence(_Part):
    """How sure the source is of the target, 0 to 1; null (None) where that makes no sense."""

    overall: Unit | None = None
    classes: dict[str, Unit | None] = Field(default_factory=dict, description="class -> confidence")


class Elicitation(_Part):
    """How a language model was asked for the target; present exactly when ``source`` is ``llm``."""

    model: RequiredLine
    asked_on: date
    prompt_hash: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
    replies: list[Raw] = Field(min_length=1, max_length=20, description="the raw replies, as text")
    agreement: Unit | None = Field(
        None, description="1 - mean Jensen-Shannon distance (base 2) between the replies' targets"
    )
    fallback: RequiredText | None = Field(
        None, description="why the target is uniform instead of what the model proposed; null if it is not"
    )


class FairnessSpec(_Part):
    """The declared target, with the judgements behind it. Immutable; shares are never renormalised."""

    name: Annotated[str, Field(max_length=64, pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    version: Annotated[int, Field(strict=True, ge=1)] = Field(
        description="goes up by one whenever the document changes"
    )
    scale: Literal["ita6", "monk10", "lmd3"]
    target: dict[str, Unit] = Field(description="class -> share; all classes of the scale; sums to 1")
    source: Literal["uniform", "llm", "table", "user"]
    confidence: Confidence = Confidence()
    citations: list[Citation] = Field(default=[], max_length=50)
    about: RequiredText = Field(description="what the target describes: a workforce, a country, an ideal ...")
    why: RequiredText = Field(description="why that")
    mapping: Text = Field("", description="how cited groups were turned into skin tones, if they were")
    allocation: Literal["exact", "expected"] = Field(
        "exact", description="exact: each set holds the shares in whole pictures; expected: on average only"
    )
    declared_by: RequiredLine
    declared_on: date
    elicitation: Elicitation | None = Field(None, validate_default=True)
    approved_by: RequiredLine | None = Field(None, description="empty until a person signs")
    approved_on: date | None = None
    approved_hash: str | None = Field(None, description="content_hash() of what was signed")

    APPROVAL_FIELDS: ClassVar[frozenset[str]] = frozenset({"approved_by", "approved_on", "approved_hash"})

    @field_validator("target")
    @classmethod
    def _is_a_distribution(cls, value: dict[str, float], info: ValidationInfo) -> dict[str, float]:
        if "scale" not in info.data:
            return value  # the unknown scale is reported already
        classes = SCALES[info.data["scale"]].classes
        _require_known(value, classes, info.data["scale"])
        if missing := [name for name in classes if name not in value]:
            raise _problem(f"has no share for {', '.join(missing)}: give each class one, 0 if need be")
        total = math.fsum(value.values())
        if abs(total - 1) > SHARE_SUM_TOLERANCE:
            raise _problem(f"sums to {total:.8g} and not to 1: change the shares (1/6 is understood)")
        return {name: value[name] for name in classes}

    @field_validator("source")
    @classmethod
    def _says_uniform_only_if_so(cls, value: str, info: ValidationInfo) -> str:
        if value == "uniform" and "target" in info.data and not _is_uniform(info.data["target"]):
            raise _problem("is 'uniform', but the shares differ: make them equal, or write 'user'")
        return value

    @field_validator("confidence")
    @classmethod
    def _names_classes(cls, value: Confidence, info: ValidationInfo) -> Confidence:
        if "scale" in info.data:
            scale = info.data["scale"]
            _require_known(value.classes, SCALES[scale].classes, scale, "classes")
        return value

    @field_validator("elicitation")
    @classmethod
    def _goes_with_llm(cls, value: Elicitation | None, info: ValidationInfo) -> Elicitation | None:
        if "source" in info.data and (value is not None) != (info.data["source"] == "llm"):
            raise _problem("is given exactly when 'source' is 'llm'")
        if value and value.fallback and "target" in info.data and not _is_uniform(info.data["target"]):
            raise _problem("says that the target fell back to uniform, but the shares differ", "fallback")
        return value

    @model_validator(mode="after")
    def _is_what_was_signed(self) -> Self:
        if self.approved_by is None and (self.approved_on or self.approved_hash):
            raise _problem(
                "is empty, but the approval has a date or a hash: name who approved", "approved_by"
            )
        if self.approved_hash is not None and self.approved_hash != self.content_hash():
            reason = "does not match: the document was changed after it was approved; have it approved again"
            raise _problem(reason, "approved_hash")
        return self

    def content_hash(self) -> str:
        """``sha256:`` and 64 hex digits over the content as canonical JSON, approval fields left out.

        Canonical: UTF-8, keys sorted, no spaces, defaults written out. So comments, the order of keys and
        the way a number is written in the file do not matter, and a signature does not change what it signs.
        """
        content = self.model_dump(mode="json", exclude=set(self.APPROVAL_FIELDS))
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()

    def approved(self, by: str, on: date) -> FairnessSpec:
        """A copy signed by a person, bound to the present content by its hash.

        Raises:
            pydantic.ValidationError: ``by`` is empty.
        """
        fields = self.model_dump()
        fields.update(approved_by=by, approved_on=on, approved_hash=self.content_hash())
        return FairnessSpec.model_validate(fields)


def _is_uniform(target: dict[str, float]) -> bool:
    return max(target.values()) - min(target.values()) <= SHARE_SUM_TOLERANCE


def _require_known(given: dict[str, Any], classes: tuple[str, ...], scale: str, *at: str) -> None:
    for name in given:
        if name not in classes:
            raise _problem(f"is no class of {scale}, whose classes are {', '.join(classes)}", *at, name)


def spec_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a spec document; ties the classes of ``target`` to the scale.

    What a schema cannot say (that shares sum to 1, that a hash matches) only ``load_spec`` checks.
    """
    schema = FairnessSpec.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "fairgen fairness spec"
    schema["allOf"] = [
        {
            "if": {"properties": {"scale": {"const": scale.name}}},
            "then": {
                "properties": {
                    "target": {
                        "required": list(scale.classes),
                        "propertyNames": {"enum": list(scale.classes)},
                    }
                }
            },
        }
        for scale in SCALES.values()
    ]
    return schema
