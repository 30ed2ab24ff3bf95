"""The question that a language model is asked for a target: its words, the schema of the reply, its hash."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from fairgen.errors import UserError
from skin_tone.scales import SCALES, Scale

__all__ = ["TEMPLATE_VERSION", "Question", "reply_schema"]

TEMPLATE_VERSION = 1
"""Goes up by one whenever the template or the schema changes, so that no old reply is taken for a new one."""

_MAX_PROMPT = 1_000


def reply_schema(scale: Scale) -> dict[str, Any]:
    """The JSON Schema of a reply, in the subset that servers with structured output have in common:
    every key required, no further keys, null for what is not known, no bounds on numbers (checked later).
    """
    number, text, maybe = {"type": "number"}, {"type": "string"}, {"type": ["string", "null"]}
    per_class = _object(dict.fromkeys(scale.classes, number))
    citation = _object(
        {
            "title": text,
            "publisher": maybe,
            "year": {"type": ["integer", "null"]},
            "url": maybe,
            "quote": maybe,
            "claim": text,
        }
    )
    # What is argued comes before what is concluded: models write from front to back.
    return _object(
        {
            "about": text,
            "citations": {"type": "array", "items": citation},
            "mapping": text,
            "why": text,
            "shares": per_class,
            "confidence": _object({"overall": number, "classes": per_class}),
        }
    )


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


@dataclass(frozen=True)
class Question:
    """What is asked: a target on ``scale`` (a key of ``SCALES``) for pictures of ``prompt``.

    Raises:
        UserError: the scale is unknown; the prompt is empty, has more than 1,000 characters, or holds
            characters that cannot be seen.
    """

    prompt: str
    scale: str = "ita6"

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            raise UserError(f"There is no scale {self.scale!r}: choose one of {', '.join(SCALES)}.")
        if not self.prompt.strip():
            raise UserError("The prompt is empty: say what the pictures will show.")
        if len(self.prompt) > _MAX_PROMPT:
            raise UserError(
                f"The prompt {self.prompt[:40]!r}... has more than {_MAX_PROMPT} characters: shorten it."
            )
        if not self.prompt.isprintable():
            raise UserError(
                f"The prompt {self.prompt[:80]!a} holds line breaks or characters that cannot be seen: take "
                "them out."
            )

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the reply."""
        return reply_schema(SCALES[self.scale])

    @cached_property
    def text(self) -> str:
        """The message that the model gets."""
        environment = Environment(
            loader=PackageLoader("fairgen.targets.sources", "templates"),
            autoescape=False,  # plain text for a model, no page
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False}
        scale = SCALES[self.scale]
        return environment.get_template("target.txt.j2").render(
            prompt=self.prompt, scale=scale, classes=_described(scale), schema=self.schema
        )

    @cached_property
    def hash(self) -> str:
        """``sha256:<hex>`` over the template's version, the message and the schema."""
        content = json.dumps([TEMPLATE_VERSION, self.text, self.schema], ensure_ascii=True)
        return f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"


def _described(scale: Scale) -> list[dict[str, str]]:
    rows = []
    for k, name in enumerate(scale.classes):
        above = None if k == len(scale.borders) else scale.borders[k]
        upto = None if k == 0 else scale.borders[k - 1]
        bounds = [f"above {above:.0f}"] if above is not None else []
        bounds += [f"up to {upto:.0f}"] if upto is not None else []
        label, swatch = scale.labels[name], scale.swatches[name]
        rows.append({"name": name, "label": label, "range": " and ".join(bounds), "swatch": swatch})
    return rows
