"""FairnessSpec: the declared target as a document that a person can read, argue about, edit and sign."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from fairgen.targets.approval import Approval, approval_state, approval_text
from fairgen.targets.context import Context, find_context, normal_prompt
from fairgen.targets.fields import (
    HASH_PATTERN,
    NAME_PATTERN,
    Day,
    Part,
    RequiredLine,
    RequiredText,
    Text,
    Unit,
    problem,
)
from fairgen.targets.origins import Source
from fairgen.targets.parts import Citation, Confidence, Elicitation
from fairgen.targets.support import support
from skin_tone.scales import SCALES

__all__ = ["SHARE_SUM_TOLERANCE", "Citation", "Confidence", "Context", "Elicitation", "FairnessSpec"]

SHARE_SUM_TOLERANCE = 1e-6
"""How far the shares of a target may sum from 1."""


class FairnessSpec(Part):
    """A declared target, with the judgements behind it. Immutable; shares are never renormalised.

    A spec may contain several targets, each for certain prompts (``contexts``). Then ``target`` applies to
    all other prompts. docs/specs.md explains each field.
    """

    name: Annotated[str, Field(max_length=64, pattern=NAME_PATTERN)]
    version: Annotated[int, Field(strict=True, ge=1)] = Field(
        description="goes up by one whenever the document changes"
    )
    scale: Literal["ita6", "monk10", "lmd3"]
    target: dict[str, Unit] = Field(description="class -> share; all classes of the scale; sums to 1")
    source: Source
    confidence: Confidence = Confidence()
    citations: list[Citation] = Field(default=[], max_length=50)
    about: RequiredText = Field(description="what the target describes: a workforce, a country, an ideal ...")
    why: RequiredText = Field(description="why this target")
    mapping: Text = Field("", description="how cited groups were turned into skin tones, if they were")
    allocation: Literal["exact", "expected"] = Field(
        "exact", description="exact: each set has these shares, in whole pictures; expected: on average only"
    )
    declared_by: RequiredLine
    declared_on: Day
    elicitation: Elicitation | None = Field(None, description="how a model was asked for the target")
    contexts: list[Context] = Field(
        default=[], max_length=500, description="targets for some prompts; all others have 'target'"
    )
    approved_by: RequiredLine | None = Field(None, description="empty until a person signs")
    approved_on: Day | None = None
    approved_hash: Annotated[str, Field(pattern=HASH_PATTERN)] | None = Field(
        None, description="content_hash() of what was signed"
    )

    APPROVAL_FIELDS: ClassVar[frozenset[str]] = frozenset({"approved_by", "approved_on", "approved_hash"})

    @field_validator("target")
    @classmethod
    def _is_a_distribution(cls, value: dict[str, float], info: ValidationInfo) -> dict[str, float]:
        if "scale" not in info.data:
            return value  # the unknown scale is reported already
        if wrong := _no_distribution(value, info.data["scale"]):
            raise wrong
        return _in_order(value, info.data["scale"])

    @field_validator("source")
    @classmethod
    def _says_uniform_only_if_so(cls, value: str, info: ValidationInfo) -> str:
        if value == "uniform" and "target" in info.data and not _is_uniform(info.data["target"]):
            raise problem("is 'uniform', but the shares differ: make them equal, or write 'user'")
        return value

    @field_validator("confidence")
    @classmethod
    def _names_classes(cls, value: Confidence, info: ValidationInfo) -> Confidence:
        if "scale" in info.data and (unknown := unknown_class(value.classes, info.data["scale"], "classes")):
            raise unknown
        return value

    @field_validator("elicitation")
    @classmethod
    def _fits_its_target(cls, value: Elicitation | None, info: ValidationInfo) -> Elicitation | None:
        target, citations, scale = (info.data.get(name) for name in ("target", "citations", "scale"))
        if value and (wrong := next(_of_elicitation(value, target, citations, scale), None)):
            raise wrong
        return value

    @field_validator("contexts")
    @classmethod
    def _are_sound(cls, value: list[Context], info: ValidationInfo) -> list[Context]:
        scale, source = info.data.get("scale"), info.data.get("source")
        if scale is None or source is None:
            return value
        # Every problem of every context is told at once, each at its own place in the document.
        found = [
            *_repeated(value),
            *(p for i, c in enumerate(value) for p in _of_context(c, i, scale, source)),
        ]
        if found:
            raise ValidationError.from_exception_data(
                "contexts", [InitErrorDetails(type=error, input=None) for error in found]
            )
        return [c.model_copy(update={"target": _in_order(c.target, scale)}) for c in value]

    @model_validator(mode="after")
    def _says_how_a_model_was_asked(self) -> Self:
        asked = self.elicitation is not None or any(c.elicitation for c in self.contexts)
        if asked != (self.source == "llm"):
            raise problem("is given exactly when 'source' is 'llm' (here, or in a context)", "elicitation")
        return self

    @model_validator(mode="after")
    def _names_who_approved(self) -> Self:
        if self.approved_by is None and (self.approved_on or self.approved_hash):
            raise problem("is empty, but the approval has a date or a hash: name who approved", "approved_by")
        return self

    def content_hash(self) -> str:
        """``sha256:`` and 64 hex digits over the content as canonical JSON, approval fields left out.

        Canonical: UTF-8, keys sorted, no spaces, defaults written out (no empty ``contexts``, ``notes`` ...).
        So comments, the order of keys and the way a number is written in the file do not matter, and a
        signature does not change what it signs. Citations go in as unchecked, and without what follows from
        that (``elicitation.support``): whether a page still holds a quote is measured again and again, and
        declares nothing.
        """
        content = self.model_dump(mode="json", exclude=set(self.APPROVAL_FIELDS))
        if not content["contexts"]:
            del content["contexts"]  # as it was before there were contexts: old signatures hold
        for part in (content, *content.get("contexts", ())):
            if asked := part["elicitation"]:
                for name in _LATER_FIELDS:
                    if asked[name] is None:
                        del asked[name]  # likewise
                asked.pop("support", None)
            for citation in part["citations"]:
                citation.update(checked="unchecked", checked_at=None)
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()

    @property
    def approval(self) -> Approval:
        """approved, unapproved, or void: changed after it was signed, or signed without a hash."""
        return approval_state(self.approved_by, self.approved_hash, self.content_hash())

    @property
    def approval_text(self) -> str:
        """The approval in words, such as "approved by A. Person on 2026-11-24"."""
        return approval_text(self.approved_by, self.approved_on, self.approved_hash, self.content_hash())

    def approved(self, by: str, on: date) -> FairnessSpec:
        """A copy signed by a person, bound to the present content by its hash.

        Raises:
            pydantic.ValidationError: ``by`` is empty.
        """
        fields = self.model_dump()
        fields.update(approved_by=by, approved_on=on, approved_hash=self.content_hash())
        return FairnessSpec.model_validate(fields)

    def context_index(self, prompt: str) -> int | None:
        """Index in ``contexts`` of the one that a prompt belongs to; None: it has the top-level target."""
        return find_context(self.contexts, prompt)

    def context_for(self, prompt: str) -> Context | None:
        """The context that names the prompt exactly (case and white space aside), else the first one with a
        pattern that fits it; None where there is neither.
        """
        index = self.context_index(prompt)
        return None if index is None else self.contexts[index]

    def target_for(self, prompt: str) -> dict[str, float]:
        """The declared target of a prompt: its context's, else the top-level one. Class -> share (0-1)."""
        context = self.context_for(prompt)
        return dict(self.target if context is None else context.target)


_LATER_FIELDS = ("notes", "population", "chance_agreement", "ranges", "range_coverage", "probe")
"""Fields of an elicitation that were added after specs had been signed: empty ones are no content."""


def _is_uniform(target: dict[str, float]) -> bool:
    return max(target.values()) - min(target.values()) <= SHARE_SUM_TOLERANCE


def _in_order(target: dict[str, float], scale: str) -> dict[str, float]:
    return {name: target[name] for name in SCALES[scale].classes}


def unknown_class(given: Iterable[str], scale: str, *at: str | int) -> PydanticCustomError | None:
    """Why a name is refused that is no class of the scale; None where all are. ``at`` is where they stand."""
    classes = SCALES[scale].classes
    reason = f"is no class of {scale}, whose classes are {', '.join(classes)}"
    return next((problem(reason, *at, name) for name in given if name not in classes), None)


def _no_distribution(shares: dict[str, float], scale: str, *at: str | int) -> PydanticCustomError | None:
    """Why the shares are no distribution over the scale's classes; None where they are one."""
    if unknown := unknown_class(shares, scale, *at):
        return unknown
    if missing := [name for name in SCALES[scale].classes if name not in shares]:
        return problem(f"has no share for {', '.join(missing)}: give each class one, 0 if need be", *at)
    total = math.fsum(shares.values())
    if abs(total - 1) > SHARE_SUM_TOLERANCE:
        return problem(f"sums to {total:.8g} and not to 1: change the shares (1/6 is understood)", *at)
    return None


def _of_context(context: Context, index: int, scale: str, source: str) -> Iterator[PydanticCustomError]:
    """What the rules for the top-level target refuse in a context; places lead down from the list."""
    if unknown := unknown_class(context.confidence.classes, scale, index, "confidence", "classes"):
        yield unknown
    if wrong := _no_distribution(context.target, scale, index, "target"):
        yield wrong
    elif source == "uniform" and not _is_uniform(context.target):
        yield problem("is not uniform, but 'source' is: make the shares equal", index, "target")
    if context.elicitation:
        target = None if wrong else context.target
        at = (index, "elicitation")
        yield from _of_elicitation(context.elicitation, target, context.citations, scale, *at)
        if source != "llm":
            yield problem("is given only where 'source' is 'llm'", *at)


def _of_elicitation(
    asked: Elicitation,
    target: dict[str, float] | None,
    citations: list[Citation] | None,
    scale: str | None,
    *at: str | int,
) -> Iterator[PydanticCustomError]:
    """What the other fields of its target refuse in an elicitation; None: refused themselves."""
    if asked.fallback and target is not None and not _is_uniform(target):
        yield problem("says that the target fell back to uniform, but the shares differ", *at, "fallback")
    if scale is not None and (unknown := unknown_class(asked.ranges or {}, scale, *at, "ranges")):
        yield unknown
    if citations is not None and asked.support not in (None, support(citations)):
        found = "none of its citations is" if asked.support == "supported" else "a citation is"
        reason = f"is '{asked.support}', but {found} 'found': run `fairgen spec check --citations --write`"
        yield problem(reason, *at, "support")


def _repeated(contexts: list[Context]) -> Iterator[PydanticCustomError]:
    """Prompts and patterns that stand twice: only one of the targets could ever be used."""
    first: dict[str, str] = {}
    for index, context in enumerate(contexts):
        for number, prompt in enumerate(context.prompts):
            place = f"contexts.{index}.prompts.{number}"
            seen = first.setdefault(normal_prompt(prompt), place)
            if seen != place:
                yield problem(f"is the same prompt as {seen}: take one out", index, "prompts", number)
