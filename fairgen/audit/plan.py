"""What an audit is asked for, checked before a model is loaded: prompts, specs, arms, counts, seeds."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fairgen.audit.prompts import PromptList, read_prompt_list, repeats
from fairgen.common.checks import between
from fairgen.common.collector import uncollected
from fairgen.common.text import check_prompt, readable, slug
from fairgen.errors import UserError
from fairgen.loop.session import MAX_COUNT, MAX_TRIES
from fairgen.runs import AuditPrompt, AuditRecord
from fairgen.steering import registry
from fairgen.targets import FairnessSpec, load_spec
from fairgen.targets.context import normal_prompt

DEFAULT_ARMS = ("none", "prompt", "embedding")
_SLUG = 48


@dataclass(frozen=True)
class AuditPlan:
    """One audit, before a model is known."""

    prompts_file: str
    prompts_hash: str
    prompts: tuple[AuditPrompt, ...]
    specs: Mapping[str, FairnessSpec]
    """Spec hash -> spec."""
    arms: tuple[str, ...]
    seed: int
    tolerance: float
    max_tries: int

    @property
    def places(self) -> int:
        """Pictures of all sets together, discarded ones left out."""
        return len(self.arms) * sum(prompt.count for prompt in self.prompts)


def parse_arms(text: str) -> tuple[str, ...]:
    """``"none,prompt,embedding"`` -> the arms, in that order.

    Raises:
        UserError: an arm is unknown or given twice, or "auto", which is another technique on another model.
    """
    arms = [arm.strip() for arm in text.split(",")]
    for place, arm in enumerate(arms):
        if arm == registry.AUTO:
            raise UserError(
                f"An audit names its arms: write {' or '.join(registry.arms()[1:])} instead of auto."
            )
        if arm in arms[:place]:
            raise UserError(f"--steering names {arm!r} twice: name each arm once.")
        registry.check_technique(arm)
    return tuple(arms)


@uncollected()
def plan_audit(
    prompts: Path,
    spec: FairnessSpec,
    *,
    count: int = 30,
    arms: Sequence[str] = DEFAULT_ARMS,
    seed: int = 0,
    tolerance: float = 0.1,
    max_tries: int = MAX_TRIES,
) -> AuditPlan:
    """Read the list of prompts and everything that it names.

    Args:
        prompts: see `fairgen.audit.prompts`. spec, count: for prompts whose line does not say otherwise.
        seed: a prompt without its own gets one from this and its text, so that prompts are independent of
            each other, and a shorter list gives the same pictures.

    Raises:
        UserError: a file cannot be read, or a value is out of range; a file's line is given.
    """
    between("count", count, 1, MAX_COUNT)
    between("seed", seed, 0, 2**63 - 1)
    between("number of tries", max_tries, 1, 100)
    listed = read_prompt_list(prompts)
    specs = {spec.content_hash(): spec}
    made = []
    digits = max(2, len(str(len(listed.entries))))
    by_name: dict[str | None, str] = {None: spec.content_hash()}
    seen: dict[tuple[str, str], int] = {}
    for place, entry in enumerate(listed.entries):
        if entry.spec is not None and entry.spec not in by_name:
            own = _spec(listed, entry.spec, entry.line)
            by_name[entry.spec] = own.content_hash()
            specs[own.content_hash()] = own
        key = by_name[entry.spec]
        before = seen.setdefault((normal_prompt(entry.prompt), key), place)
        if before != place:  # one spec by two names, or named and taken from the command
            raise UserError(f"{listed.path}, line {entry.line} {repeats(listed.entries[before].line)}.")
        made.append(
            AuditPrompt(
                name=f"{place + 1:0{digits}}-{slug(entry.prompt, _SLUG)}".rstrip("-"),
                prompt=check_prompt(entry.prompt),
                group=entry.group,
                spec=key,
                count=entry.count or count,
                seed=entry.seed if entry.seed is not None else prompt_seed(seed, entry.prompt),
                turn=place,
                ties=seed,
            )
        )
    used = {prompt.spec for prompt in made}
    return AuditPlan(
        readable(listed.path.name),
        listed.content_hash,
        tuple(made),
        {key: found for key, found in specs.items() if key in used},
        tuple(arms),
        seed,
        tolerance,
        max_tries,
    )


def plan_of(record: AuditRecord) -> AuditPlan:
    """The plan of an audit that was begun."""
    return AuditPlan(
        record.prompts_file,
        record.prompts_hash,
        tuple(record.prompts),
        {key: FairnessSpec.model_validate(document) for key, document in record.specs.items()},
        tuple(record.arms),
        record.seed,
        record.tolerance,
        record.max_tries,
    )


def prompt_seed(seed: int, prompt: str) -> int:
    """A prompt's session seed (32 bits): the first bytes of SHA-256 of the audit's seed and the prompt."""
    return int.from_bytes(hashlib.sha256(f"{seed} {prompt}".encode()).digest()[:4], "big")


def _spec(listed: PromptList, name: str, line: int) -> FairnessSpec:
    beside = listed.path.parent / name
    try:
        return load_spec(beside if beside.is_file() else name)
    except UserError as error:
        raise UserError(f"{listed.path}, line {line}: {error}") from error
