"""Whether what a pack states follows from what is in it: everything that was computed is computed again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from PIL import Image

from fairgen._version import __version__
from fairgen.errors import UserError
from fairgen.evidence.approvals import SpecStatement, spec_statements
from fairgen.evidence.archive import unsafe_name
from fairgen.evidence.comparing import first_difference, json_of, one_sided
from fairgen.evidence.computed import INDEX, compute
from fairgen.evidence.facts import RunFacts, facts_of, models_of
from fairgen.evidence.findings import NAMED, Findings
from fairgen.evidence.identity import ReaderIdentity, software_hash
from fairgen.evidence.inputs import ABROAD, IDENTITY, RENDERS, Inputs, PackRun, validation_files
from fairgen.evidence.manifest import CHAIN, Manifest
from fairgen.evidence.marks import check_marks
from fairgen.evidence.spec_history import spec_changes
from fairgen.runs import RUN_FILE, check_run

__all__ = ["check_contents"]
_DOCUMENTS = (IDENTITY, RENDERS, ABROAD, "environment.json", "models/cards.json", "records/repairs.json")
_OF_THE_WRITER = frozenset({"fairgen"})
"""Keys of figures that name the version of fairgen that computed them."""
_CORE = frozenset({"arms", "kind", "prompts", "schema_version", "specs"})
"""What figures of any version state."""
_ODD = (
    ArithmeticError, ValueError, LookupError, TypeError, AttributeError, RecursionError, TemplateError,
    Image.DecompressionBombError,
)  # fmt: skip
"""What documents and pictures that are made to disturb may end in."""


def check_contents(manifest: Manifest, folder: Path, findings: Findings) -> None:
    """Hold runs, pictures, approvals, figures and pages against each other.

    Args:
        folder: where every file of the manifest was unpacked to.
    """
    # Whoever wrote the pack chose what is in it: documents may hold anything that has the right form.
    try:
        _check(manifest, folder, findings)
    except _ODD as error:
        findings.fault(f"What the pack states cannot be computed anew from what is in it: {error}")
    except UserError as error:
        findings.fault(f"What the pack was made from cannot be read: {error}")


def _check(manifest: Manifest, folder: Path, findings: Findings) -> None:
    inputs = _inputs(manifest, folder)
    facts = _facts(manifest, inputs, findings)
    if facts is None:
        return
    for one in facts:
        check_marks(one, findings)
    inputs = _with_cards(inputs, facts, folder)
    _check_given(manifest, inputs, facts, findings)
    _check_specs(spec_statements(facts), facts, findings)
    _check_published(manifest, inputs, findings)
    _compare(manifest, compute(inputs, facts), folder, findings)


def _inputs(manifest: Manifest, folder: Path) -> Inputs:
    documents: dict[str, dict[str, Any]] = {}
    for path in _DOCUMENTS:
        found = json.loads((folder / path).read_bytes()) if (folder / path).is_file() else None
        if not isinstance(found, dict):
            raise UserError(f"{path} is missing, or is no JSON object.")
        documents[path] = found
    ReaderIdentity.model_validate(documents[IDENTITY])
    listed = {file.path for file in manifest.files}
    runs = []
    for run in manifest.runs:
        base = f"runs/{run.name}/"
        packed = frozenset(path.removeprefix(base) for path in listed if path.startswith(base))
        if f"{base}{RUN_FILE}" not in listed:
            raise UserError(f"{base}{RUN_FILE} is not in the manifest.")
        runs.append(PackRun(run.name, run.folder, folder / "runs" / run.name, packed - {RUN_FILE}))
    if len({run.name for run in runs}) < len(runs):
        raise UserError("the manifest names a run twice.")
    return Inputs(
        manifest.fairgen, manifest.created_at, manifest.pictures, tuple(runs), manifest.signer, {}, documents
    )


def _facts(manifest: Manifest, inputs: Inputs, findings: Findings) -> list[RunFacts] | None:
    """What each run says; None where one is damaged."""
    found: list[RunFacts] = []
    for run, stated in zip(inputs.runs, manifest.runs, strict=True):
        title = f"Run {run.title}"
        try:
            one = facts_of(run)
        except UserError as error:
            # The whole list tells more than the reader, which stops at the first fault.
            faults = [fault.text for fault in check_run(run.folder).faults if fault.run_file is not None]
            for text in faults[:NAMED] or [str(error)]:
                findings.fault(f"{title}: {text}")
            return None
        if outside := [file for file in one.pictures if unsafe_name(file)]:
            findings.fault(f"{title}: a record names a picture at {outside[0]!r}, which is no place in it.")
            return None
        checked = check_run(run.folder, left_out=one.left_out)
        for fault in checked.faults[:NAMED]:
            findings.fault(f"{title}: {fault.text}")
        if len(checked.faults) > NAMED:
            findings.fault(f"{title}: {len(checked.faults):,} faults in all.")
        stated_now = (stated.lines, stated.pictures, stated.packed)
        counts = (one.lines, len(one.pictures), len(run.packed))
        if stated_now != counts:
            findings.fault(
                f"{title}: the manifest states {stated.lines:,} lines, {stated.pictures:,} pictures and "
                f"{stated.packed:,} of them in the pack; there are {counts[0]:,}, {counts[1]:,} and "
                f"{counts[2]:,}."
            )
        if manifest.pictures == "all" and one.left_out:
            findings.fault(f"{title}: {one.left_out[0]} is gone, though the pack states all pictures.")
        if not checked.faults and stated_now == counts:
            findings.holds(
                f"{title}: {one.lines:,} lines follow from each other and agree; {len(run.packed):,} of "
                f"{len(one.pictures):,} pictures are in the pack and show what was recorded."
            )
        found.append(one)
    return found


def _with_cards(inputs: Inputs, facts: list[RunFacts], folder: Path) -> Inputs:
    cards = {
        fingerprint: path.read_bytes()
        for number, fingerprint in enumerate(models_of(facts), 1)
        if (path := folder / f"models/{number}-card.md").is_file()
    }
    return replace(inputs, cards=cards)


def _check_given(manifest: Manifest, inputs: Inputs, facts: list[RunFacts], findings: Findings) -> None:
    """Every file that was taken as it was must belong to something."""
    known = {*_DOCUMENTS, *(f"models/{number}-card.md" for number in range(1, len(inputs.cards) + 1))}
    known |= {CHAIN} if manifest.signer else set()
    for one in facts:
        known |= {f"runs/{one.run.name}/{file}" for file in [RUN_FILE, *one.pictures]}
    strange = [file.path for file in manifest.files if file.role == "given" and file.path not in known]
    for path in strange[:NAMED]:
        findings.fault(f"{path} belongs to nothing in the pack: no record names it.")


def _check_published(manifest: Manifest, inputs: Inputs, findings: Findings) -> None:
    """The reader's figures were measured before, and come with fairgen: nobody may give others."""
    if manifest.software != software_hash():
        findings.note(f"{RENDERS} and {ABROAD} are what the software that wrote the pack says of its reader.")
        return
    shipped = validation_files()
    changed = [path for path in (RENDERS, ABROAD) if inputs.documents[path] != shipped[path]]
    for path in changed:
        findings.fault(f"{path} is not what fairgen {__version__} publishes about its reader.")
    if not changed:
        findings.holds(f"The reader's own figures are those that fairgen {__version__} publishes.")


def _check_specs(specs: list[SpecStatement], facts: list[RunFacts], findings: Findings) -> None:
    for spec in specs:
        name = f"Spec {spec.name}"
        if spec.same is False:
            findings.fault(
                f"{name}: the run file calls its content {spec.recorded_hash[:19]}…, and it is "
                f"{str(spec.content_hash)[:19]}…."
            )
        elif spec.same is None:
            findings.note(f"{name}: this version of fairgen cannot read it, so its hash is not checked.")
        if spec.outdated:
            findings.fault(f"{name}: the approval is of an earlier version of it: {spec.text}.")
        elif spec.approval == "void":
            findings.fault(f"{name}: {spec.text}.")
        elif spec.approval == "unapproved":
            findings.note(f"{name}: not approved by anybody.")
        elif spec.same is not False:
            findings.holds(f"{name}: {spec.text}; its content is what was signed.")
        if late := _approved_late(spec, facts):
            findings.note(late)
    if changes := spec_changes(facts):
        first, more = changes[0], len(changes) - 1
        rest = f"; {more:,} more {'change' if more == 1 else 'changes'} of specs" if more else ""
        findings.note(
            f"Set {first.session}, {first.what}: {first.detail}{rest}. Records of decisions list each."
        )
    for one in facts:
        if one.other_specs:
            findings.fault(
                f"Run {one.run.title}: set {one.other_specs[0]} holds another spec than its hash names."
            )


def _approved_late(spec: SpecStatement, facts: list[RunFacts]) -> str | None:
    """A run that holds an approval from its first line cannot be older; a day more is left to time zones."""
    if spec.approval != "approved" or spec.content_hash is None or spec.approved_on is None:
        return None
    day = date.fromisoformat(spec.approved_on)
    begun = min(one.figures.created_at for one in facts if one.run.name in spec.runs).date()
    if day <= begun + timedelta(days=1):
        return None
    return f"Spec {spec.name}: the approval is dated {day}, and a run that used it was begun on {begun}."


def _compare(manifest: Manifest, computed: dict[str, bytes], folder: Path, findings: Findings) -> None:
    stated = {file.path for file in manifest.files if file.role == "computed"}
    for path in sorted(stated - computed.keys())[:NAMED]:
        findings.fault(f"{path} follows from nothing in the pack.")
    for path in sorted(computed.keys() - stated)[:NAMED]:
        findings.fault(f"{path} follows from the pack and is not in it.")
    same_software = manifest.software == software_hash()
    wrong = 0
    for path, content in computed.items():
        if path not in stated:
            continue
        if text := _difference(path, (folder / path).read_bytes(), content, same_software):
            wrong += 1
            if wrong <= 2 * NAMED:
                findings.fault(text)
    if wrong > 2 * NAMED:
        findings.fault(f"In all, {wrong:,} files state what does not follow from the pack.")
    if wrong:
        return
    partly = [] if same_software else list(_not_compared(computed, folder))
    if partly:
        findings.holds(
            "Figures that the pack and this software both state were computed anew, and are the same."
        )
        more = f", and {len(partly) - 1:,} more" if len(partly) > 1 else ""
        findings.note(f"Stated by the pack or by this software alone, and not compared: {partly[0]}{more}.")
    else:
        findings.holds("The figures were computed anew from the run files, and are the ones stated.")
    if same_software:
        findings.holds("Reports, tables, lists and the page on top were made anew, and are the same.")
    else:
        findings.note(
            f"Pages and tables were written by other software (fairgen {manifest.fairgen}, "
            f"{manifest.software[:19]}…) "
            f"than this (fairgen {__version__}): figures were computed anew, words were not made again."
        )


def _not_compared(computed: dict[str, bytes], folder: Path) -> Iterator[str]:
    for path, content in computed.items():
        if path.startswith("figures/"):
            for key in one_sided(json_of((folder / path).read_bytes()), json_of(content)):
                yield f"{key} of {path}"


def _difference(path: str, stated: bytes, content: bytes, same_software: bool) -> str | None:
    """What is wrong with a computed file, in a sentence; None: nothing, or words of another version."""
    if stated == content:
        return None
    if path.startswith("figures/"):
        figures = json_of(stated)
        compare = first_difference if same_software else _differs_elsewhere
        if (where := compare(figures, json_of(content))) is not None:
            return f"{path} does not state the figures of its run: {where}."
        return f"{path} is no JSON." if same_software and figures is None else None
    if not same_software:
        return None
    if path.endswith(".json"):
        where = first_difference(json_of(stated), json_of(content))
        if where is None:
            return f"{path} was changed: it is spelt otherwise than fairgen writes it."
        what = "states approvals that are not those of the specs" if path == "approvals.json" else "is not so"
        return f"{path} {what}: {where}."
    if path.startswith("report/"):
        return f"{path} was edited: it is not the report that its run gives."
    if path == INDEX:
        return f"{path} was edited: it is not the page that the pack gives."
    return f"{path} was edited: line {_line(stated, content)} is not what the run file gives."


def _differs_elsewhere(stated: Any, found: Any) -> str | None:
    """As `first_difference`, where another version may have stated more or less than this one."""
    if not isinstance(stated, dict) or not stated.keys() >= _CORE:
        return f"it lacks one of {', '.join(sorted(_CORE))}"
    return first_difference(stated, found, _OF_THE_WRITER, common=True)


def _line(stated: bytes, content: bytes) -> int:
    mine, theirs = stated.splitlines(), content.splitlines()
    pairs = enumerate(zip(mine, theirs, strict=False), 1)
    return next((number for number, (a, b) in pairs if a != b), min(len(mine), len(theirs)) + 1)
