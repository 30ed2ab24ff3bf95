"""Where an audit comes from: what was asked, by whom, on what, and how to do it again."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass

from fairgen.common.text import counted
from fairgen.models.options import ModelOptions
from fairgen.report import words
from fairgen.report.audit_words import listed
from fairgen.report.declaration import approval_in, declaration, model_rows, signed_by
from fairgen.runs import AuditRecord
from fairgen.scoring.collect import Collected
from fairgen.scoring.figures import ReportFigures
from fairgen.steering.registry import label
from fairgen.targets.support import declared_support


def kicker(figures: ReportFigures) -> str:
    """The line above the headline."""
    arms = len(figures.arms)
    return (
        f"fairgen audit report · {counted(len(figures.prompts), 'prompt')} in {counted(arms, 'arm')} · "
        f"{listed([m.name for m in figures.models])} · {figures.created_at:%d %B %Y}"
    )


def _embedded(figures: ReportFigures) -> bool:
    return any(model.source == "embedded" for model in figures.models)


def strip(figures: ReportFigures) -> str:
    """The one line on the first screen that says what kind of pictures these are."""
    return words.EMBEDDED_STRIP if _embedded(figures) else words.SYNTHETIC_STRIP


def notes(figures: ReportFigures) -> list[str]:
    """What a reader must keep in mind."""
    always = [words.SYNTHETIC_NOTE, words.TARGET_NOTE]
    return [words.EMBEDDED_NOTE, *always] if _embedded(figures) else always


def facts(figures: ReportFigures) -> list[tuple[str, str]]:
    """What was asked, for the first screen."""
    specs = figures.specs
    used = {(p.spec_hash, p.context) for p in figures.prompts}
    names = [str(spec.get("name", "by hand")) for spec in specs.values()]
    declarers = dict.fromkeys(str(spec.get("declared_by") or "nobody") for spec in specs.values())
    approvals = [approval_in(spec, key) for key, spec in specs.items()]
    made = sum(s.generated for s in figures.sets)
    first = next(iter(specs.values()))
    target = listed(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    if len(used) > 1:
        target += f": {len(used)} targets, given with each prompt"
    elif about := str(first.get("about") or ""):
        target += f": {_short(about)}"
    models = [
        f"{m.name}, behind an API" if m.source == "api" else f"{m.name}, {m.steps} steps, {m.device}"
        for m in figures.models
    ]
    support = [declared_support(spec, None) for spec in specs.values()]
    unsupported = [text for text in support if "unsupported" in text]
    return [
        ("Declared target", target),
        ("Declared by", f"{listed([*declarers])}; {'; '.join(dict.fromkeys([*approvals, *unsupported]))}"),
        ("Model", listed(models)),
        (
            "Pictures",
            f"{made:,} made for {counted(sum(s.count for s in figures.sets), 'place')} in "
            f"{counted(len(figures.sets), 'set')}",
        ),
    ]


def _short(text: str, limit: int = 140) -> str:
    """The first clause, or as many words of it as fit."""
    first = re.split(r"[.:;] ", text, maxsplit=1)[0].rstrip(".")
    return first if len(first) <= limit else first[:limit].rsplit(" ", 1)[0] + " …"


def provenance(done: Collected) -> list[tuple[str, str]]:
    """Rows of name and value; those that are not known are left out."""
    figures, audit = done.figures, done.figures.audit
    rows = [("Run", f"begun {figures.created_at:%Y-%m-%d %H:%M} UTC, by fairgen {figures.run_fairgen}")]
    for model in figures.models:
        versions = ", ".join(f"{name} {version}" for name, version in sorted(model.versions.items()))
        rows += [*model_rows(model), ("Versions", versions)]
    rows += [("Steering", "; ".join(_steering(done, arm.arm) for arm in figures.arms))]
    if audit is not None:
        rows += _audit(audit)
    rows += [
        ("Seeds", _seeds(done)),
        ("Signed by", signed_by(figures.signers)),
        ("This page", f"written by fairgen {figures.fairgen} from run.jsonl; every figure is in report.json"),
    ]
    return [(name, value) for name, value in rows if value]


def _audit(audit: AuditRecord) -> list[tuple[str, str]]:
    host = audit.host
    parts = (host.platform, host.machine, host.processor, f"{host.cores} cores", host.device)
    counts = sorted({prompt.count for prompt in audit.prompts})
    command = ["fairgen", "audit", "--prompts", audit.prompts_file]
    names = {str(spec.get("name")) for spec in audit.specs.values()}
    command += ["--spec", next(iter(names))] if len(names) == 1 else []
    command += ["--count", str(counts[0])] if len(counts) == 1 else []
    command += ["--steering", ",".join(audit.arms), "--model", audit.model.name, "--seed", str(audit.seed)]
    command += ["--max-tries", str(audit.max_tries), "--tolerance", f"{audit.tolerance:g}"]
    command += ModelOptions.model_validate(audit.model.options).flags()
    return [
        ("Prompts", f"{audit.prompts_file}, {counted(len(audit.prompts), 'prompt')}"),
        ("Prompts hash", audit.prompts_hash),
        (
            "Loop",
            f"rounds of {audit.round_size}, at most {audit.max_tries} tries a place, batches of "
            f"{audit.batch_size}, {counted(audit.side_by_side, 'prompt')} side by side",
        ),
        ("Calibrations", "; ".join(f"{arm} {digest}" for arm, digest in audit.calibrations.items())),
        ("Host", ", ".join(filter(None, parts))),
        ("fairgen", audit.fairgen + (f", commit {audit.fairgen_commit}" if audit.fairgen_commit else "")),
        ("Commit of the folder", audit.git_commit or ""),
        ("Command", shlex.join(command)),
    ]


def _steering(done: Collected, arm: str) -> str:
    sets = [prompt[arm].figures for prompt in done.sets if arm in prompt]
    off = sum(not s.steered for s in sets) if arm != "none" else 0
    text = f"{label(arm)} (--steering {arm}): {counted(sum(s.generated for s in sets), 'picture')}"
    name = "names a tone itself" if off == 1 else "name a tone themselves"
    return text + (f", off for {counted(off, 'prompt')} that {name}" if off else "")


def _seeds(done: Collected) -> str:
    audit = done.figures.audit
    seeds = sorted(
        {shot.seed for prompt in done.sets for s in prompt.values() for shot in (*s.inside, *s.outside)}
    )
    base = f"{audit.seed} for the audit; " if audit else ""
    if not seeds:
        return base
    return f"{base}{counted(len(seeds), 'seed')} from {seeds[0]} to {seeds[-1]}, each in pictures.csv"


@dataclass(frozen=True)
class SpecPart:
    """One declared target, whole."""

    name: str
    rows: list[tuple[str, str]]
    text: str


def spec_parts(figures: ReportFigures) -> list[SpecPart]:
    """Every spec of the run: who declared and approved it, and the document."""
    return [
        SpecPart(
            str(spec.get("name", "by hand")),
            [row for row in declaration(spec, key, None) if row[1] and row[0] != "Target for"],
            json.dumps(spec, ensure_ascii=False, indent=2, default=str),
        )
        for key, spec in figures.specs.items()
    ]
