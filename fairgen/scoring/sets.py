"""From a session's records to its summary: pure, so that a run is summed up again without its pictures."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from fairgen import stats
from fairgen.runs import FillRecord, PictureRecord, SessionRecord, Summary
from fairgen.targets.approval import approval_state, approval_text

SAFETY_CHECKER = "safety_checker"
"""Reason code of a picture that the model's own safety checker blanked."""


def summarise(
    record: SessionRecord,
    pictures: Sequence[PictureRecord],
    fills: Sequence[FillRecord],
    *,
    seconds: float,
    out: str | None,
    notes: Sequence[str] = (),
) -> Summary:
    """Counts, distances (`fairgen.stats`) and notes of a finished session.

    ``seconds``: its time. ``notes``: further sentences, after the header's own.
    """
    spec = record.spec
    filled = {fill.index for fill in fills}
    first = [p for p in pictures if p.attempt == 0]
    first_pass = _counts(record.classes, first)
    unread = [p for p in pictures if p.abstained is not None]
    inside = [p for p in pictures if p.decision == "kept" or p.index in filled]
    asked = [p for p in pictures if p.wanted is not None and p.measured is not None]
    faces = _faces(record, inside)
    measured = _counts(record.classes, inside)
    kept = sum(measured.values())
    target = record.target
    divergence = stats.kl(measured, target) if kept else None
    return Summary(
        session=record.session,
        prompt=record.prompt,
        model=record.model.name,
        device=record.model.device,
        spec=str(spec["name"]),
        spec_hash=record.spec_hash,
        approval=approval_state(spec.get("approved_by"), spec.get("approved_hash"), record.spec_hash),
        scale=record.scale,
        classes=record.classes,
        target=target,
        steering=record.steering,
        steered=record.steered,
        notes=[
            *record.notes,
            *notes,
            *_notes(record, pictures, fills, record.count - kept),
            *_crowd(inside, faces),
            approval_note(spec, record.spec_hash),
        ],
        seed=record.seed,
        count=record.count,
        requested=record.requested,
        first_pass=first_pass,
        first_pass_abstained=sum(p.abstained is not None for p in first),
        measured=measured,
        kept=kept,
        generated=len(pictures),
        discarded=len(pictures) - len(unread) - kept,
        abstained=len(unread),
        abstentions=dict(Counter(str(p.abstained) for p in unread)),
        filled=sum(fill.measured is not None for fill in fills),
        missing=record.count - kept,
        words=dict(Counter(p.word for p in pictures if p.word is not None)),
        asked=len(asked),
        hits=sum(p.measured == p.wanted for p in asked),
        faces=faces,
        faces_tv=stats.total_variation(faces, target) if faces else None,
        tv=stats.total_variation(measured, target) if kept else None,
        alignment_error=stats.alignment_error(measured, target) if kept else None,
        fd=stats.fd(measured, target) if kept else None,
        kl=divergence if divergence is not None and math.isfinite(divergence) else None,
        noise_floor_tv=stats.noise_floor(target, record.count),
        first_pass_tv=stats.total_variation(first_pass, target) if any(first_pass.values()) else None,
        seconds=seconds,
        out=out,
    )


def default_target_note(name: str, contexts: int, prompt: str | None) -> str:
    """What to say where a spec has targets for some prompts, and its default one was used instead."""
    why = "no prompt was given" if prompt is None else "none of them names this prompt"
    return f"The spec {name} has {contexts} contexts; {why}, so its default target was used."


def approval_note(spec: Mapping[str, Any], spec_hash: str) -> str:
    """Who stands behind a spec document whose content has this hash."""
    signed = (spec.get("approved_by"), spec.get("approved_hash"), spec_hash)
    if approval_state(*signed) == "unapproved":
        declared = f"was declared by {spec['declared_by']}" if spec.get("declared_by") else "names nobody"
        return f"The spec {spec['name']} {declared}; nobody has signed its approval."
    words = approval_text(signed[0], spec.get("approved_on"), signed[1], spec_hash)
    return f"The spec {spec['name']}: {words}."


def _notes(
    record: SessionRecord, pictures: Sequence[PictureRecord], fills: Sequence[FillRecord], missing: int
) -> list[str]:
    notes = []
    swapped = Counter(f"{fill.measured} instead of {fill.missing}" for fill in fills if fill.measured)
    if swapped:
        what = ", ".join(f"{number} {pair}" for pair, number in swapped.items())
        notes.append(
            f"After {record.max_tries} tries each, {swapped.total()} of {record.count} places were filled "
            "with "
            f"the nearest class: {what}."
        )
    if missing:
        notes.append(
            f"In {missing} of the {record.count} pictures of the set no skin tone could be read; "
            "they count for no class."
        )
    blanked = sum(p.abstained == SAFETY_CHECKER for p in pictures)
    if blanked:
        notes.append(f"The model's own safety checker blanked {blanked} of {len(pictures)} pictures.")
    return notes


def _faces(record: SessionRecord, pictures: Sequence[PictureRecord]) -> dict[str, int]:
    """Classes of every face of the set that was read; empty where no picture shows more than one face."""
    if all(len(p.readings) < 2 for p in pictures):
        return {}
    read = [r["classes"].get(record.scale) for p in pictures for r in p.readings]
    counted = Counter(tone for tone in read if tone is not None)
    return {name: counted[name] for name in record.classes}


def _crowd(pictures: Sequence[PictureRecord], faces: dict[str, int]) -> list[str]:
    if not faces:
        return []
    several = sum(len(p.readings) > 1 for p in pictures)
    return [
        f"{several} of {len(pictures)} pictures show more than one face. A picture takes its place by its "
        f"largest face; all {sum(faces.values())} faces that were read are counted under `faces`."
    ]


def _counts(classes: Sequence[str], pictures: Sequence[PictureRecord]) -> dict[str, int]:
    counted = Counter(p.measured for p in pictures)
    return {name: counted[name] for name in classes}
