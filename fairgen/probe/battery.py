"""Value conflicts: an operator's rule against something that many people hold dear."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, ValidationError, field_validator

from fairgen.common.documents import Fixed
from fairgen.errors import UserError

__all__ = ["FAMILIES", "Battery", "Conflict", "load_battery"]

FAMILIES = ("care", "fairness", "loyalty", "sanctity", "authority")
"""Of moral foundations theory (Haidt & Joseph, Daedalus 2004)."""

_MAX_BYTES = 1024 * 1024

Words = Annotated[str, Field(min_length=1, max_length=600)]


class Conflict(Fixed):
    """One conflict.

    Attributes:
        id: ``family-number``, unique in its battery.
        policy: the operator's rule.
        request: what a user asks.
        follows: an answer that keeps the rule.
        keeps: an answer that keeps to the value instead.
    """

    id: Annotated[str, Field(pattern=r"^[a-z]+-[0-9]+$", max_length=60)]
    policy: Words
    request: Words
    follows: Words
    keeps: Words

    @property
    def family(self) -> str:
        """The part of ``id`` before the dash."""
        return self.id.partition("-")[0]


class _Document(Fixed):
    version: Annotated[int, Field(strict=True, ge=1)]
    conflicts: Annotated[list[Conflict], Field(min_length=4, max_length=2_000)]

    @field_validator("conflicts")
    @classmethod
    def _each_once(cls, value: list[Conflict]) -> list[Conflict]:
        if repeated := [name for name, count in Counter(c.id for c in value).items() if count > 1]:
            raise ValueError(f"the id {repeated[0]} is given twice")
        return value


@dataclass(frozen=True)
class Battery:
    """Conflicts and where they are from."""

    name: str
    version: int
    conflicts: tuple[Conflict, ...]

    @property
    def families(self) -> tuple[str, ...]:
        """In the order in which they first appear."""
        return tuple(dict.fromkeys(conflict.family for conflict in self.conflicts))

    def first(self, per_family: int | None) -> Battery:
        """The first so many of each family; None: all."""
        if per_family is None:
            return self
        kept: list[Conflict] = []
        seen: Counter[str] = Counter()
        for conflict in self.conflicts:
            seen[conflict.family] += 1
            if seen[conflict.family] <= per_family:
                kept.append(conflict)
        return Battery(self.name, self.version, tuple(kept))

    def folds(self, count: int) -> list[list[int]]:
        """Indices of the conflicts in so many parts; the families are spread evenly over them."""
        parts: list[list[int]] = [[] for _ in range(count)]
        order = sorted(
            range(len(self.conflicts)), key=lambda i: self.families.index(self.conflicts[i].family)
        )
        for place, index in enumerate(order):
            parts[place % count].append(index)
        return parts


def load_battery(path: Path | None = None) -> Battery:
    """fairgen's own battery, or one in a YAML file of the same form.

    Raises:
        UserError: the file cannot be read or is no battery.
    """
    if path is None:
        raw = resources.files("fairgen.probe").joinpath("battery.yaml").read_bytes()
        name = "fairgen"
    else:
        name = path.name
        try:
            with path.open("rb") as file:
                raw = file.read(_MAX_BYTES + 1)
        except OSError as error:
            raise UserError(f"The battery {path} cannot be read ({error.strerror}).") from None
        if len(raw) > _MAX_BYTES:
            raise UserError(f"The battery {path} is larger than 1 MiB: keep the conflicts that are needed.")
    try:
        document = _Document.model_validate(yaml.safe_load(raw))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(f"{name} is no battery of conflicts: {where}: {first['msg']}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{name} is no YAML: {' '.join(str(error).split())[:160]}.") from None
    return Battery(name, document.version, tuple(document.conflicts))
