"""What is known of a reader's errors: shipped with it, given by the user, or nothing assumed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from fairgen.errors import UserError
from fairgen.stats.distances import Vector
from fairgen.stats.sequential import ShareBox, reading_box


class _Given(BaseModel):
    model_config = ConfigDict(extra="ignore")
    classes: list[str]
    counts: list[list[int]]
    about: str = ""


@dataclass(frozen=True, eq=False)
class ReaderError:
    """Errors that are allowed for.

    Attributes:
        about: in words.
        counts: validated pictures, true class down, reading across; None: readings count as they are.
    """

    about: str
    counts: Vector | None = None

    @property
    def identity(self) -> str:
        """Unlike that of any other errors: words, and a hash of the counts."""
        if self.counts is None:
            return self.about
        return f"{self.about} ({hashlib.sha256(self.counts.tobytes()).hexdigest()[:16]})"

    def box(self, target: dict[str, float], level: float) -> ShareBox:
        """The shares of readings that pictures on target may have, with probability ``level``."""
        shares = np.array(list(target.values()), dtype=np.float64)
        if self.counts is None:
            return ShareBox.point(shares)
        return reading_box(shares / shares.sum(), [self.counts], level=level)


def allowed_error(given: str, reader: str | None, scale: str) -> ReaderError:
    """What ``--reader-error`` means.

    Args:
        given: ``none``, ``validated`` (the shipped validation of the reader), or a JSON file with ``classes``
            and ``counts``: validated pictures, a row for each true class with the count of each reading.
        reader: whose readings they are; None: not one of fairgen's.
        scale: the spec's, whose classes those of a file must be.

    Raises:
        UserError: there is no such validation.
    """
    if given == "none":
        return ReaderError("none: readings count as they are")
    if given == "validated":
        if reader is None:
            raise UserError(
                "--reader-error validated is of fairgen's own readers: for readings by another, give a file "
                "with its validation, or none."
            )
        from skin_tone.confusion import confusion

        found = confusion(reader, scale)
        return ReaderError(f"as validated on {found.about}", found.counts)
    try:
        document = _Given.model_validate(json.loads(Path(given).read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"--reader-error {given} cannot be read: name none, validated, or a JSON file."
        ) from error
    except (json.JSONDecodeError, ValidationError) as error:
        raise UserError(
            f'--reader-error {given} is no JSON object such as {{"classes": ["light", ...], "counts": '
            "[[41, 3, ...], ...]}."
        ) from error
    from skin_tone.scales import SCALES

    classes = list(SCALES[scale].classes)
    k = len(classes)
    if document.classes != classes:
        raise UserError(f"--reader-error {given}: its classes must be {', '.join(classes)}, in this order.")
    if len(document.counts) != k or any(len(r) != k or min(r) < 0 for r in document.counts):
        raise UserError(
            f"--reader-error {given}: counts needs {k} rows of {k} numbers that are not negative."
        )
    about = document.about or f"as in {Path(given).name}"
    return ReaderError(about, np.array(document.counts, dtype=np.float64))
