"""What records hold as others wrote it: a reader, a technique, the author of a spec. Names and types alone.

They are plain dictionaries, kept key for key and number for number: a spec's hash holds for the document as
it was declared. Keys that this version does not know stay; none has to be there, for older versions wrote
fewer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict  # before Python 3.12, pydantic takes no other

if TYPE_CHECKING:
    from fairgen.targets import FairnessSpec
    from skin_tone import ToneReading

Number = float | int
"""A number that stays as it was written: 1 is not 1.0 in a document with a hash."""
_AS_WRITTEN = ConfigDict(extra="allow")


@with_config(_AS_WRITTEN)
class ReadingDocument(TypedDict, total=False):
    """A `skin_tone.ToneReading`, which describes the keys and their units."""

    box: list[int] | None
    outlines: dict[str, list[list[int]]]
    lab: list[Number] | None
    chroma: Number | None
    hue: Number | None
    ita: Number | None
    ita_sigma: Number | None
    seen: list[Number] | None
    ita_seen: Number | None
    like_renders: Number | None
    nearness: Number | None
    patches: dict[str, list[Number]]
    skipped: dict[str, str]
    probabilities: dict[str, dict[str, Number]]
    classes: dict[str, str]
    abstained: str | None


@with_config(_AS_WRITTEN)
class SpecDocument(TypedDict, total=False):
    """A `fairgen.FairnessSpec`, which describes the keys; those that readers of runs ask for."""

    name: str
    version: int
    scale: str
    target: dict[str, Number]
    source: str
    about: str
    why: str
    declared_by: str
    declared_on: str
    approved_by: str | None
    approved_on: str | None
    approved_hash: str | None


@with_config(_AS_WRITTEN)
class CurveDocument(TypedDict, total=False):
    """Strength -> ITA: a `fairgen.steering.response.DoseResponse`."""

    strengths: list[Number]
    ita: list[Number]
    spread: list[Number]


@with_config(_AS_WRITTEN)
class TechniqueDocument(TypedDict, total=False):
    """What a technique was set to (`fairgen.steering.base.Technique.parameters`)."""

    start: Number
    """Fraction of the steps at which it begins to act."""
    stop: Number
    anchors: list[list[Number | str]]
    """The path of tones: strength and words."""
    calibration: str
    """'sha256:<hex>'."""
    curve: CurveDocument
    limit: Number
    """The strongest steering that was allowed, where that is less than usual."""
    template: str


@with_config(_AS_WRITTEN)
class SteeringDocument(TypedDict, total=False):
    """What a technique did to one picture beside words."""

    strength: Number
    chance: Number
    """Of the class that was asked for, 0-1, as known then."""
    offset: Number
    """Degrees of ITA by which the prompt's pictures had been off the model's curve until then."""


def reading_document(reading: ToneReading) -> ReadingDocument:
    """The reading as JSON values."""
    return cast(ReadingDocument, reading.model_dump(mode="json"))


def spec_document(spec: FairnessSpec) -> SpecDocument:
    """The whole spec as JSON values."""
    return cast(SpecDocument, spec.model_dump(mode="json"))
