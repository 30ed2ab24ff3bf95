"""The steering techniques by name: what each is called, what it does, and where it lives.

A technique is one file and its entry in `_SHIPPED`. The command line's help, the web app, reports and the
test of the documents read names and sentences from here. The file itself, with all that it needs, is imported
when the technique is first used. Others register theirs with `register`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from fairgen.errors import UserError
from fairgen.steering.base import Technique
from fairgen.steering.support import refusal

if TYPE_CHECKING:
    from fairgen.steering.calibration import Calibration

__all__ = [
    "AUTO",
    "NONE",
    "Entry",
    "arms",
    "check_technique",
    "chosen",
    "continuous",
    "entry",
    "help_text",
    "label",
    "names",
    "register",
    "technique",
]

AUTO, NONE = "auto", "none"


@dataclass(frozen=True)
class Entry:
    """One technique, as far as it is known without importing it.

    Attributes:
        name: what options and files call it.
        label: what reports and lists call it, as a part of a sentence.
        choice: what the web app offers.
        sentence: what it does.
        home: ``module:class`` of the `Technique`; None for "auto" and "none".
        continuous: whether it has a strength, and so needs the model's dose-response
            (`fairgen.steering.calibration`).
    """

    name: str
    label: str
    choice: str
    sentence: str
    home: str | None = None
    continuous: bool = False


_SHIPPED = (
    Entry(
        AUTO,
        "the model's best",
        "Best for this model",
        "the embedding direction where the pipeline allows it, else words in the prompt",
    ),
    Entry(
        NONE,
        "unsteered",
        "Unsteered: what the model does by itself",
        "leaves the model to itself",
    ),
    Entry(
        "prompt",
        "prompt words",
        "Words added to the prompt",
        "adds a tone word to the prompt",
        "fairgen.steering.prompt_variants:PromptVariants",
    ),
    Entry(
        "embedding",
        "embedding direction",
        "Inside the model (embedding direction)",
        "moves the text embedding of each picture along a path of tones",
        "fairgen.steering.embedding_direction:EmbeddingDirection",
        continuous=True,
    ),
    Entry(
        "semantic",
        "semantic guidance",
        "Inside the model (semantic guidance, slower)",
        "adds to the denoiser's output what the toned prompt would change",
        "fairgen.steering.semantic_guidance:SemanticGuidance",
        continuous=True,
    ),
)
_ENTRIES = {one.name: one for one in _SHIPPED}


def register(one: Entry) -> None:
    """Add a technique.

    Raises:
        ValueError: the name is taken by another one.
    """
    if _ENTRIES.setdefault(one.name, one) != one:
        raise ValueError(f"there is a technique {one.name!r} already")


def names() -> tuple[str, ...]:
    """Every name that a user may give, "auto" first."""
    return tuple(_ENTRIES)


def arms() -> tuple[str, ...]:
    """What can be compared: all but "auto", which is another technique on another model."""
    return tuple(name for name in _ENTRIES if name != AUTO)


def continuous() -> tuple[str, ...]:
    """The techniques with a strength, which need the model's dose-response."""
    return tuple(one.name for one in _ENTRIES.values() if one.continuous)


def entry(name: str) -> Entry:
    """What is known of a technique.

    Raises:
        UserError: there is no such technique.
    """
    if name not in _ENTRIES:
        raise UserError(f"There is no steering {name!r}: use one of {', '.join(_ENTRIES)}.")
    return _ENTRIES[name]


def check_technique(name: str) -> str:
    """The name, if there is such a technique; else `UserError`."""
    return entry(name).name


def label(name: str) -> str:
    """What reports call a technique; one that is not known here is called by its own name."""
    return _ENTRIES[name].label if name in _ENTRIES else name


def help_text(of: Sequence[str]) -> str:
    """``auto, none or prompt.``, for the help of an option."""
    return f"{', '.join(of[:-1])} or {of[-1]}." if len(of) > 1 else f"{''.join(of)}."


def chosen(name: str, pipe: Any) -> str:
    """What "auto" stands for with this pipeline; other names as they are."""
    if check_technique(name) != AUTO:
        return name
    return "embedding" if refusal(pipe) is None else "prompt"


def technique(
    name: str, scale: str, calibration: Calibration | None = None, limit: float | None = None
) -> Technique | None:
    """A fresh technique by name.

    Args:
        name: "auto" is what the calibration is for, words without one.
        scale: the scale of its classes.
        calibration: the model's dose-response; techniques with a strength need it.
        limit: largest strength; default: the technique's own, 1.3.

    Returns:
        The technique; None for "none".

    Raises:
        UserError: there is no such name, or it needs a calibration and got none.
    """
    if name == AUTO:
        name = "prompt" if calibration is None else calibration.technique
    one = entry(name)
    if one.home is None:
        return None
    if one.continuous and calibration is None:
        raise UserError(f"Steering {name!r} needs the model's dose-response: run `fairgen calibrate` first.")
    arguments: list[Any] = [scale, calibration] if one.continuous else [scale]
    if one.continuous and limit is not None:
        arguments.append(limit)
    made: Technique = resolve_name(one.home)(*arguments)
    return made
