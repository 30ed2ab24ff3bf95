"""What a report shows, before it is drawn: plain, frozen values with no knowledge of HTML or of the run
file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from fairgen.scoring.figures import Figures
from fairgen.scoring.measure import Fate
from fairgen.scoring.numbers import Bar


@dataclass(frozen=True)
class ToneClass:
    """One class of the scale: its key, its label for people, and its swatch (``#rrggbb``)."""

    key: str
    label: str
    swatch: str


@dataclass(frozen=True)
class Picture:
    """One picture as the report shows it.

    ``source`` is a data URI or an address, or makes one when the page is written. ``certainty`` is the
    reader's probability (0-1) for the class that it named and ``colour`` the mean skin colour that it saw
    (``#rrggbb``); both are None where it abstained.
    """

    source: str | Callable[[], str]
    file: str
    seed: int | None
    fate: Fate
    reason: str = ""
    read_as: str | None = None
    certainty: float | None = None
    colour: str | None = None
    ita: float | None = None
    asked_for: str | None = None
    prompt: str = ""
    faces: int = 1

    @property
    def image(self) -> str:
        """Its data URI or address."""
        return self.source if isinstance(self.source, str) else self.source()


@dataclass(frozen=True)
class Arm:
    """One way of generating (or one set of pictures that was read): unsteered, steered, or as found."""

    key: Literal["unsteered", "steered", "found"]
    label: str
    bars: dict[str, Bar]
    figures: Figures | None
    pictures: tuple[Picture, ...]
    first_pass: dict[str, int] = field(default_factory=dict)
    first_pass_tv: float | None = None

    @property
    def kept(self) -> tuple[Picture, ...]:
        """The pictures that are counted."""
        return tuple(p for p in self.pictures if p.fate == "kept")

    @property
    def abstained(self) -> tuple[Picture, ...]:
        """The pictures that the reader would not judge, each with its reason."""
        return tuple(p for p in self.pictures if p.fate == "abstained")

    @property
    def discarded(self) -> tuple[Picture, ...]:
        """The pictures that were read and not kept, each with its reason."""
        return tuple(p for p in self.pictures if p.fate == "discarded")


@dataclass(frozen=True)
class Twin:
    """Two pictures from the same seed: one unsteered, one steered."""

    seed: int
    unsteered: Picture
    steered: Picture


@dataclass(frozen=True)
class Sentence:
    """One figure and what it means: its name, a value for each arm, and one sentence without jargon."""

    name: str
    values: tuple[str, ...]
    meaning: str


@dataclass(frozen=True)
class Report:
    """Everything that one report shows."""

    prompt: str
    spec_name: str
    scale: str
    classes: tuple[ToneClass, ...]
    target: dict[str, float]
    chance_band: dict[str, tuple[float, float]]
    arms: tuple[Arm, ...]
    headline: str
    subline: str
    strip: str
    twins: tuple[Twin, ...]
    sentences: tuple[Sentence, ...]
    provenance: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    axis_max: float
    unreadable: tuple[tuple[str, str], ...] = ()

    @property
    def labels(self) -> dict[str, str]:
        """Class -> words for people."""
        return {c.key: c.label for c in self.classes}

    @property
    def swatches(self) -> dict[str, str]:
        """Class -> ``#rrggbb``."""
        return {c.key: c.swatch for c in self.classes}
