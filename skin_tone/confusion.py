"""How often each reader names which class, for faces that raters put into a class (``confusion.json``)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt

__all__ = ["Confusion", "confusion"]


@dataclass(frozen=True, eq=False)
class Confusion:
    """A validation of a reader.

    Attributes:
        about: what was read, in words.
        counts: faces, shape (classes, classes): the raters' class down, the reader's across, light to dark.
    """

    about: str
    counts: npt.NDArray[np.float64]


@cache
def confusion(reader: str, scale: str) -> Confusion:
    """The shipped validation.

    Args:
        reader: ``calibrated`` or ``second``.
        scale: name in `skin_tone.SCALES`.

    Raises:
        KeyError: there is no such reader or scale.
    """
    data = json.loads((files("skin_tone") / "confusion.json").read_text(encoding="utf-8"))
    return Confusion(data["set"], np.array(data["counts"][reader][scale], dtype=np.float64))
