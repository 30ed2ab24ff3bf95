"""What `fairgen.loop.session.run_session` yields, in order.

Calibrating ... (where the model has no calibration), Started, Replayed ... (where an interrupted session goes
on), PictureDone ..., Filled ..., Finished.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fairgen.runs import FillRecord, PictureRecord, SessionRecord, Summary

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class Calibrating:
    """The model's dose-response is measured first, since there is none for these settings."""

    model: str
    technique: str
    done: int
    """Pictures so far, from 0."""
    total: int


@dataclass(frozen=True)
class Started:
    """The session's header was written; sampling begins."""

    session: SessionRecord


@dataclass(frozen=True)
class PictureDone:
    """One picture was sampled, read, decided on and written."""

    record: PictureRecord
    image: Image.Image
    path: Path | None
    """The file; None where the session has no folder."""
    done: int
    """Places of the set that are filled so far (unsteered: pictures so far)."""
    total: int
    """Places of the set."""


@dataclass(frozen=True)
class Replayed:
    """A picture that an interrupted run had recorded already; it was not decided anew."""

    record: PictureRecord
    path: Path | None
    done: int
    """As in `PictureDone`."""
    total: int


@dataclass(frozen=True)
class Filled:
    """All tries at a place were used up; a discarded picture of the nearest class takes it."""

    record: FillRecord
    path: Path | None


@dataclass(frozen=True)
class Finished:
    """The last event."""

    summary: Summary


Event = Calibrating | Started | Replayed | PictureDone | Filled | Finished
