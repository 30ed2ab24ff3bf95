"""One set that a visitor asks for."""

from __future__ import annotations

from dataclasses import dataclass

from fairgen.models.options import ModelOptions
from fairgen.targets import FairnessSpec
from fairgen.ui.work.folders import RunFolder
from fairgen.ui.work.limits import AS_IT_IS
from fairgen.ui.work.live import LiveSet


@dataclass(frozen=True)
class Job:
    """One set to make."""

    prompt: str
    spec: FairnessSpec
    count: int
    steering: str
    seed: int
    tries: int
    model: str
    strength: float
    """The largest one that steering inside the model may take."""
    options: ModelOptions = AS_IT_IS
    """How the model is opened and samples."""

    def begin(self, run: RunFolder) -> LiveSet:
        """The set before anything happened."""
        target = self.spec.target_for(self.prompt)
        return LiveSet(run, self.spec.scale, target, self.count, prompt=self.prompt, spec=self.spec)
