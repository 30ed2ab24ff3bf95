"""From a session's records to its summary: pure, so that a run is summed up again without its pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from fairgen.common.text import counted
from fairgen.runs import FillRecord, PictureRecord, SessionRecord, SessionRun, SpecDocument, Summary
from fairgen.scoring.numbers import counts_of, distances, set_figures
from fairgen.targets.approval import approval_state, approval_text
from fairgen.targets.support import support_note

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
    session = SessionRun(record, list(pictures), list(fills))
    figures = set_figures(session, seconds=seconds)
    inside = [p for p in session.final_set() if p.measured is not None]
    faces = _faces(record, inside)
    return Summary(
        **dict(figures),
        session=record.session,
        prompt=record.prompt,
        model=record.model.name,
        device=record.model.device,
        spec=str(spec["name"]),
        spec_hash=record.spec_hash,
        approval=approval_state(spec.get("approved_by"), spec.get("approved_hash"), record.spec_hash),
        scale=record.scale,
        classes=record.classes,
        target=record.target,
        steering=record.steering,
        steered=record.steered,
        notes=[
            *record.notes,
            *notes,
            *_notes(record, pictures, fills, figures.missing),
            *_crowd(inside, faces),
            approval_note(spec, record.spec_hash),
            *([note] if (note := support_note(spec, record.context)) else []),
        ],
        seed=record.seed,
        requested=record.requested,
        words=dict(Counter(p.word for p in pictures if p.word is not None)),
        faces=faces,
        faces_tv=distances(faces, record.target).tv if faces else None,
        out=out,
    )


def default_target_note(name: str, contexts: int, prompt: str | None) -> str:
    """What to say where a spec has targets for some prompts, and its default one was used instead."""
    why = "no prompt was given" if prompt is None else "none of them names this prompt"
    if prompt is not None and contexts == 1:
        why = "it does not name this prompt"
    return f"The spec {name} has {counted(contexts, 'context')}; {why}, so its default target was used."


def fewer_than_classes(target: Mapping[str, float], count: int) -> str | None:
    """What to say where a set has fewer pictures than its target has classes; None where it has enough."""
    classes = sum(share > 0 for share in target.values())
    if count >= classes:
        return None
    few = f"{count} pictures are" if count > 1 else "One picture is"
    return (
        f"{few} fewer than the {classes} classes of the target, so this set cannot show them all. The "
        f"seed draws which ones it aims for; {classes} pictures or more can show each of them."
    )


def approval_note(spec: SpecDocument, spec_hash: str) -> str:
    """Who stands behind a spec document whose content has this hash."""
    signed = (spec.get("approved_by"), spec.get("approved_hash"), spec_hash)
    if approval_state(*signed) == "unapproved":
        declared = f"was declared by {spec['declared_by']}" if spec.get("declared_by") else "names nobody"
        return f"The spec {spec['name']} {declared}; nobody has signed its approval."
    words = approval_text(signed[0], spec.get("approved_on"), signed[1], spec_hash)
    return f"The spec {spec['name']}: {words}."


def behind_an_api(seeded: bool) -> str:
    """What a set by a model behind an API cannot say."""
    seeds = (
        "Each picture's seed was sent to it; whether the service followed it is not known."
        if seeded
        else "It was sent no seeds, so no picture can be made again, and pictures of one seed are no twins."
    )
    return (
        f"The model is behind an API: its weights are not known, and may change under the same name. {seeds}"
    )


def _notes(
    record: SessionRecord, pictures: Sequence[PictureRecord], fills: Sequence[FillRecord], missing: int
) -> list[str]:
    notes = []
    swapped = Counter(f"{fill.measured} instead of {fill.missing}" for fill in fills if fill.measured)
    if swapped:
        what = ", ".join(f"{number} {pair}" for pair, number in swapped.items())
        notes.append(
            f"After {record.max_tries} tries each, {swapped.total()} of {record.count} places were filled "
            f"with the nearest class: {what}."
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
    return counts_of(record.classes, (r["classes"].get(record.scale) for p in pictures for r in p.readings))


def _crowd(pictures: Sequence[PictureRecord], faces: dict[str, int]) -> list[str]:
    if not faces:
        return []
    several = sum(len(p.readings) > 1 for p in pictures)
    return [
        f"{several} of {len(pictures)} pictures show more than one face. A picture takes its place by its "
        f"largest face; all {sum(faces.values())} faces that were read are counted under `faces`."
    ]
