"""What every kind of model offers to the rest of fairgen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from PIL import Image

    from fairgen.runs import ModelInfo
    from fairgen.steering.base import Steering
    from fairgen.steering.request import Request

__all__ = ["FLAGGED", "Model"]

FLAGGED = "fairgen_safety_checker"
"""Key in a picture's ``info`` when the model's own safety checker blanked it."""


class Model(Protocol):
    """Whatever makes pictures from prompts; `fairgen.models.diffusers.DiffusersModel` is one."""

    @property
    def info(self) -> ModelInfo: ...
    @property
    def default_batch_size(self) -> int: ...
    def check_prompts(self, prompts: Sequence[str]) -> None: ...
    def generate(
        self, requests: Sequence[Request], steering: Steering | None = None
    ) -> list[Image.Image]: ...
