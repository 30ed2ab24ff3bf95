"""What a visitor asks for: one set, or an audit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from fairgen.models.options import ModelOptions
from fairgen.targets import FairnessSpec
from fairgen.ui.work.folders import RunFolder
from fairgen.ui.work.limits import AS_IT_IS
from fairgen.ui.work.live import LiveSet

if TYPE_CHECKING:
    from fairgen.audit.plan import AuditPlan
    from fairgen.audit.runner import LookBack


@dataclass(frozen=True)
class AuditOrder:
    """One audit to make."""

    plan: AuditPlan
    model: str
    options: ModelOptions = AS_IT_IS
    """How the model is opened and samples."""
    left: LookBack | None = None
    """What was made of it before, to go on with."""


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

    def to_json(self) -> dict[str, Any]:
        """As the run's folder keeps it; see `from_json`."""
        plain = {part.name: getattr(self, part.name) for part in fields(self)}
        return plain | {"spec": self.spec.model_dump(mode="json"), "options": self.options.given()}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Job:
        """A job that was kept, perhaps by another version. Raises `ValueError`, `TypeError`, `KeyError`
        or `AttributeError`.
        """
        known = {part.name: kept[part.name] for part in fields(cls) if part.name in kept}
        options = ModelOptions.model_validate(kept.get("options", {}))
        return cls(**known | {"spec": FairnessSpec.model_validate(kept["spec"]), "options": options})

    def begin(self, run: RunFolder) -> LiveSet:
        """The set before anything happened."""
        target = self.spec.target_for(self.prompt)
        return LiveSet(run, self.spec.scale, target, self.count, prompt=self.prompt, spec=self.spec)
