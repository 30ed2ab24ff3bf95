"""Calibration: how dark each strength makes a model's pictures, and from which step on it may act.

`calibrate` measures both on a few prompts; the result is kept by model, scheduler, guidance scale, steps,
size and technique, since all of these move the curve. `find_calibration` looks among the user's, then beside
the model's weights.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from fairgen.common.documents import Part, write_document
from fairgen.common.places import data_folder
from fairgen.errors import UserError
from fairgen.runs import ModelInfo
from fairgen.steering.conditioning import ANCHORS
from fairgen.steering.reach import Reach, reach
from fairgen.steering.response import LIMIT, DoseResponse

WORDS_MARGIN = 0.1
"""Words go into the prompt as well where that makes a class so much likelier."""
_MONOTONE = -0.9


class Dose(Part):
    """Pictures of one strength: how many were read and how many not, mean ITA and its spread in degrees."""

    strength: float
    read: int = Field(ge=0)
    not_read: int = Field(ge=0)
    ita: float | None
    spread: float | None


class Start(Part):
    """One start: share of the way from light to dark that is still gone, and what else changes by then
    (median CIEDE2000 outside the face, against the unsteered twin).
    """

    start: float
    reach: float
    elsewhere: float | None


class Trial(Part):
    """One path of tones that was tried: mean ITA in degrees at its light and its dark end, strengths -0.9 and
    0.9; None where too little was read.
    """

    name: str
    anchors: tuple[tuple[float, str], ...]
    light: float | None
    dark: float | None

    @property
    def way(self) -> float:
        """From its light to its dark end, degrees."""
        return 0.0 if self.light is None or self.dark is None else self.light - self.dark


class Calibration(Part):
    """A model's dose-response for one technique, and how it was measured.

    Attributes:
        anchors: the path of tones, where another one than the usual reached further; None: the usual one.
        trials: the paths that were tried, the usual one first; none where that one reaches the whole scale.
        worded: the dose-response with the words of the path's end in the prompt too, used where it reaches
            further; None where it does not, or was not needed.
    """

    schema_version: Literal[1] = 1
    model: str
    pipeline: str
    weights: str = Field(description="'sha256:<hex>' over the hashes of the model's weights")
    scheduler: str
    technique: str
    steps: int
    guidance_scale: float | None
    height: int | None
    width: int | None
    start: float = Field(ge=0, lt=1)
    stop: float = Field(gt=0, le=1)
    curve: DoseResponse
    doses: tuple[Dose, ...]
    starts: tuple[Start, ...]
    spearman: float = Field(description="rank correlation of strength and mean ITA; -1 is a monotone effect")
    prompts: tuple[str, ...]
    seeds: int = Field(description="pictures of each prompt at each strength")
    fairgen: str
    made_at: datetime
    anchors: tuple[tuple[float, str], ...] | None = None
    trials: tuple[Trial, ...] = ()
    worded: DoseResponse | None = None

    @property
    def path(self) -> tuple[tuple[float, str], ...]:
        """The path of tones that the strengths refer to."""
        return self.anchors or ANCHORS

    @property
    def end_words(self) -> tuple[str, str]:
        """The tone words of its light and its dark end."""
        return self.path[0][1], self.path[-1][1]

    @property
    def monotone(self) -> bool:
        """Whether more strength is darker, but for chance (rank correlation of -0.9 or less)."""
        return self.spearman <= _MONOTONE

    def reach(self, scale: str, limit: float = LIMIT) -> tuple[Reach, ...]:
        """How well every class is reached, with the prompt's words where these reach further."""
        alone = reach(self.curve, scale, limit)
        if self.worded is None:
            return alone
        both = reach(self.worded, scale, limit)
        return tuple(b if b.chance > a.chance + WORDS_MARGIN else a for a, b in zip(alone, both, strict=True))

    def content_hash(self) -> str:
        """'sha256:<hex>' of everything but the date."""
        later = {name for name in ("anchors", "trials", "worded") if not getattr(self, name)}
        text = self.model_dump_json(exclude={"made_at"} | later)
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def calibration_file(info: ModelInfo, technique: str) -> str:
    """The file's name: what the curve depends on, and a digest of all of it."""
    key: list[object] = [
        info.fingerprint,
        info.pipeline,
        info.scheduler,
        info.steps,
        info.guidance_scale,
        info.height,
        info.width,
        technique,
    ]
    if info.arguments:
        key.append(info.arguments)
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]
    return f"{technique}-{info.steps}-steps-{digest}.json"


def user_folder() -> Path:
    """Where a user's calibrations lie: ``$FAIRGEN_HOME/calibrations``, else the platform's data folder."""
    return data_folder("calibrations")


def save_calibration(calibration: Calibration, info: ModelInfo, folder: Path | None = None) -> Path:
    """Keep it in ``folder`` (default: the user's). Raises `UserError` where the disk refuses."""
    path = (folder or user_folder()) / calibration_file(info, calibration.technique)
    write_document(calibration, path)
    return path


def calibration_in(folder: Path, info: ModelInfo, technique: str) -> Calibration | None:
    """The calibration for exactly these settings that lies in a folder; None where there is none.

    Raises:
        UserError: the file is there but broken.
    """
    path = folder / calibration_file(info, technique)
    if not path.is_file():
        return None
    try:
        return Calibration.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError, OSError) as error:
        raise UserError(f"The calibration {path} cannot be read: delete it, and it is made again.") from error


def find_calibration(info: ModelInfo, technique: str, beside: Path | None = None) -> Calibration | None:
    """The calibration for exactly these settings: the user's own first, then the one in ``beside``.

    Raises:
        UserError: the file is there but broken.
    """
    own = calibration_in(user_folder(), info, technique)
    return own if own is not None or beside is None else calibration_in(beside, info, technique)
