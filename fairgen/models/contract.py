"""What every kind of model offers to the rest of fairgen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from PIL import Image

    from fairgen.runs import ModelInfo
    from fairgen.steering.base import Steering
    from fairgen.steering.calibration import Calibration
    from fairgen.steering.request import Request

__all__ = ["FLAGGED", "Model"]

FLAGGED = "fairgen_safety_checker"
"""Key in a picture's ``info`` when the model's own safety checker blanked it."""


class Model(Protocol):
    """Whatever makes pictures from prompts; `fairgen.models.diffusers.DiffusersModel` is one.

    Sessions and audits use nothing else of a model, so any class with these members will do.
    """

    @property
    def info(self) -> ModelInfo:
        """What it is and how it is set, for the run file."""

    @property
    def default_batch_size(self) -> int:
        """Pictures sampled at once unless the user says otherwise, 1-64."""

    @property
    def threads(self) -> int | None:
        """Threads that the pictures' last bits depend on; None where they depend on no number of them."""

    def generate(self, requests: Sequence[Request], steering: Steering | None = None) -> list[Image.Image]:
        """One RGB picture for each request, in that order.

        Args:
            requests: 1-64 pictures to make.
            steering: how the strengths of the requests act; None: they are 0.

        Raises:
            UserError: the model cannot make them, in a sentence that says how to fix it.
        """

    def check_prompts(self, prompts: Sequence[str]) -> None:
        """Raise `UserError` for a prompt that the model would not read to its end."""

    def chosen_technique(self, name: str) -> str:
        """What the name of a technique stands for with this model: "auto" is another one.

        Raises:
            UserError: there is no such technique.
        """

    def check_techniques(self, names: Sequence[str]) -> None:
        """Raise `UserError` where the model cannot be steered by one of these techniques."""

    def calibration(self, technique: str) -> Calibration | None:
        """The calibration for these settings that came with the model; None where there is none."""
