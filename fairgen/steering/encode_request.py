"""What one call of a pipeline encodes, and for which of its pictures."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fairgen.errors import UserError
from fairgen.steering.conditioning import Blend
from fairgen.steering.prompt_variants import with_word

PROMPTS = ("prompt", "prompts", "prompt_2", "prompt_3", "prompt_4")
"""Arguments that hold text which describes the picture."""
COUNTS = ("num_images_per_prompt", "num_videos_per_prompt")
"""Arguments that say how many pictures each prompt has."""


class NeedsOwnPromptsError(Exception):
    """The encoder returns a row for each prompt only, but a prompt's pictures have different strengths."""


@dataclass(frozen=True)
class Pictures:
    """What one call of a pipeline makes.

    Attributes:
        texts: the prompts that it was called with.
        each: pictures of each prompt.
        strengths: of each picture, prompt by prompt.
        anchors: strength -> tone words, light to dark.
    """

    texts: tuple[str, ...]
    each: int
    strengths: tuple[float, ...]
    anchors: tuple[tuple[float, str], ...]

    def blends(self) -> list[Blend]:
        """For each picture."""
        places = [place for place, _ in self.anchors]
        return [Blend.of(strength, places) for strength in self.strengths]

    def with_others(self, texts: Sequence[str], *, last: bool) -> Pictures:
        """These, among further texts that are encoded with them and stay as they are: some pipelines put the
        negative prompts behind the prompts, some before (``last``).
        """
        known = len(self.texts)
        places = [
            k
            for k in range(len(texts) - known + 1)
            if all(mine in other for mine, other in zip(self.texts, texts[k : k + known], strict=True))
        ]
        if not places or len(texts) == known:
            return self
        place = places[-1 if last else 0]
        before, after = self.each * place, self.each * (len(texts) - known - place)
        strengths = (0.0,) * before + self.strengths + (0.0,) * after
        return Pictures(tuple(texts), self.each, strengths, self.anchors)


def arguments_of(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments of a call by name, with the defaults of those that it leaves out."""
    bound = inspect.signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    arguments = dict(bound.arguments)
    for name, parameter in bound.signature.parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            arguments.update(arguments.pop(name))
    return arguments


def own_lists(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with copies of the lists of prompts: some pipelines write into them (Z-Image)."""
    return {
        name: list(value) if isinstance(value, list) and "prompt" in name else value
        for name, value in arguments.items()
    }


def prompt_texts(arguments: Mapping[str, Any]) -> dict[str, list[str]]:
    """The prompts, a list for each argument that has some."""
    found = {}
    for name in PROMPTS:
        value = arguments.get(name)
        if isinstance(value, str):
            found[name] = [value]
        elif isinstance(value, list | tuple) and value and all(isinstance(text, str) for text in value):
            found[name] = list(value)
    return found


class EncodeRequest:
    """A call of ``encode_prompt`` with the prompts: which picture each of them is for.

    Args:
        name: the pipeline's class, for messages.
        arguments: of the call.
        pictures: what the pipeline makes.

    Raises:
        UserError: the prompts are not those of the pictures.
    """

    def __init__(self, name: str, arguments: dict[str, Any], pictures: Pictures) -> None:
        self.name = name
        self.arguments = {key: value for key, value in arguments.items() if key != "self"}
        self._texts = prompt_texts(arguments)
        self.count = max(len(texts) for texts in self._texts.values())
        argument, texts = next(iter(self._texts.items()))
        each = [text for text in pictures.texts for _ in range(pictures.each)]
        if tuple(texts) != pictures.texts and texts != each:
            pictures = pictures.with_others(texts, last=argument == "prompts")
        total = len(pictures.strengths)
        self.pictures = pictures
        self.blends = pictures.blends()
        if self.count not in (len(pictures.texts), total):
            raise UserError(
                f"{name} encodes {self.count} prompts for {total} pictures, which fairgen cannot tell "
                "apart: use --steering prompt."
            )
        self.prompt_of = [picture * self.count // total for picture in range(total)]
        """Each picture's prompt."""

    def for_one(self, place: int, anchor: int | None, ending: str = "") -> dict[str, Any]:
        """The arguments for one prompt alone, with the anchor's tone words; ``ending`` in place of their last
        letters.
        """
        made = {
            name: self._of_prompt(name, value, place, anchor, ending)
            for name, value in self.arguments.items()
        }
        return own_lists(made)

    def _text(self, name: str, place: int, anchor: int | None) -> str:
        """An argument's text for one prompt, with the anchor's tone words."""
        text = self._texts[name][place]
        return text if anchor is None else with_word(text, self.pictures.anchors[anchor][1])

    def _of_prompt(self, name: str, value: Any, place: int, anchor: int | None, ending: str) -> Any:
        """An argument as it is for one prompt alone."""
        if name in self._texts:
            text = self._text(name, place, anchor)
            text = text[: -len(ending)] + ending if ending else text
            return text if isinstance(value, str) else [text]
        if name in COUNTS or name == "batch_size":
            return 1
        if self.count == 1:
            return value
        if "prompt" in name and isinstance(value, list | tuple) and len(value) == self.count:
            return [value[place]]
        if "prompt" in name and hasattr(value, "shape") and len(value) == self.count:
            return value[place : place + 1]
        return value

    def for_all(self, needed: Sequence[tuple[int, int | None]]) -> dict[str, Any]:
        """The arguments for these (prompt, anchor or None) as one batch."""
        import torch

        made: dict[str, Any] = {}
        for name, value in self.arguments.items():
            if name in self._texts:
                made[name] = [self._text(name, place, anchor) for place, anchor in needed]
            elif name in COUNTS:
                made[name] = 1
            elif name == "batch_size":
                made[name] = len(needed)
            elif "prompt" in name and isinstance(value, list | tuple) and len(value) == self.count:
                made[name] = [value[place] for place, _ in needed]
            elif (
                "prompt" in name and isinstance(value, str) and isinstance(self.arguments.get("prompt"), str)
            ):
                made[name] = [value] * len(needed)
            elif "prompt" in name and isinstance(value, torch.Tensor) and len(value) == self.count:
                made[name] = torch.cat([value[place : place + 1] for place, _ in needed])
            else:
                made[name] = value
        return made

    def picture_of_rows(self, rows: int) -> list[int]:
        """The picture that each of so many rows is for."""
        total = len(self.blends)
        if rows == total:
            return list(range(total))
        if rows == self.count and total % rows == 0:
            each = total // rows
            strengths = self.pictures.strengths
            if any(len(set(strengths[row * each : (row + 1) * each])) > 1 for row in range(rows)):
                raise NeedsOwnPromptsError
            return [row * each for row in range(rows)]
        raise UserError(
            f"{self.name} encodes {rows} texts for {total} pictures, which fairgen cannot tell apart: use "
            "--steering prompt."
        )
