"""The question that a language model is asked for a target: its words, the schema of the reply, its hash."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from fairgen.errors import UserError
from fairgen.targets.parts import POPULATIONS, Population
from skin_tone.scales import SCALES, Scale

__all__ = ["DEFAULT_POPULATION", "TEMPLATE_VERSION", "Question", "reply_schema", "skeleton"]

TEMPLATE_VERSION = 2
"""Goes up by one whenever the template or the schema changes, so that no old reply is taken for a new one."""

DEFAULT_POPULATION: Population = "residents"
"""Every prompt has residents: those of the place that it names, or else the world's."""

_MAX_PROMPT = 1_000


def reply_schema(scale: Scale) -> dict[str, Any]:
    """The JSON Schema of a reply, in the subset that servers with structured output have in common:
    every key required, no further keys, null for what is not known, no bounds on numbers (checked later).
    """
    number, text, maybe = {"type": "integer"}, {"type": "string"}, {"type": ["string", "null"]}
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
    per_class = _object({"count": number, "low": number, "high": number})
    # What is argued comes before what is concluded: models write from front to back.
    return _object(
        {
            "about": text,
            "citations": {"type": "array", "items": citation},
            "mapping": text,
            "why": text,
            "pictures": _object(dict.fromkeys(scale.classes, per_class)),
        }
    )


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def skeleton(scale: Scale) -> str:
    """A reply with every key, and ``<...>`` where a value goes: what a model sees of the reply's form.

    A server without structured output shows the model nothing else, and models echo a schema as the answer.
    A skeleton that is echoed is no JSON, because of the ``<n>``, so that it is never taken for a reply.
    """
    citation = (
        '{"title": "<title>", "publisher": "<publisher>", "year": <n>, "url": "<https://...>", '
        '"quote": "<passage>", "claim": "<claim>"}'
    )
    rows = ",\n".join(f'  "{name}": {{"count": <n>, "low": <n>, "high": <n>}}' for name in scale.classes)
    return (
        f'{{"about": "<sentence>",\n "citations": [{citation}],\n "mapping": "<sentence>",\n'
        f' "why": "<sentence>",\n "pictures": {{\n{rows}}}}}'
    )


@dataclass(frozen=True)
class Question:
    """What is asked: a target for pictures of a prompt.

    Attributes:
        prompt: what the pictures will be made of.
        scale: a key of ``SCALES``.
        population: whom the pictures together are to show.

    Raises:
        UserError: the scale or the population is unknown; the prompt is empty, has more than 1,000
            characters, or holds characters that cannot be seen.
    """

    prompt: str
    scale: str = "ita6"
    population: Population = DEFAULT_POPULATION

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            raise UserError(f"There is no scale {self.scale!r}: choose one of {', '.join(SCALES)}.")
        if self.population not in POPULATIONS:
            raise UserError(
                f"There is no population {self.population!r}: choose one of {', '.join(POPULATIONS)}."
            )
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
            prompt=self.prompt,
            scale=scale,
            classes=_described(scale),
            skeleton=skeleton(scale),
            population=POPULATIONS[self.population],
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
