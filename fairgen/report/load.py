"""Run folder -> `Report` values, one for each prompt of the run."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from fairgen.common.text import counted
from fairgen.models.options import ModelOptions
from fairgen.report import words
from fairgen.report.declaration import declaration, model_rows, signed_by
from fairgen.report.view import Arm, Picture, Report, ToneClass, Twin
from fairgen.runs import PictureRecord, ReadingDocument, Run, SessionRun
from fairgen.scoring.measure import Fate, lab_to_hex, measure
from fairgen.scoring.numbers import MEETS_WITHIN, bars, chance_band


def tone_classes(scale: str, keys: Iterable[str]) -> tuple[ToneClass, ...]:
    """The classes of a scale, light to dark, with labels and swatches."""
    from skin_tone.scales import SCALES

    known = SCALES[scale]
    return tuple(ToneClass(key, known.labels[key], known.swatches[key]) for key in keys)


def picture_view(
    *,
    image: str | Callable[[], str],
    file: str,
    fate: Fate,
    scale: str,
    measured: str | None,
    abstained: str | None,
    readings: Sequence[ReadingDocument],
    seed: int | None = None,
    asked_for: str | None = None,
    prompt: str = "",
    note: str = "",
) -> Picture:
    """One picture from the JSON of its readings (largest face first); ``image``: see `Picture`."""
    first: ReadingDocument = readings[0] if readings else {}
    lab = first.get("lab")
    chances = (first.get("probabilities") or {}).get(scale) or {}
    read = measured is not None
    ita = first.get("ita")
    return Picture(
        source=image,
        file=file,
        seed=seed,
        fate=fate,
        reason=note or words.reason_text(abstained),
        read_as=measured,
        certainty=float(chances[measured]) if measured in chances else None,
        colour=lab_to_hex(lab) if read and lab is not None else None,
        ita=float(ita) if read and ita is not None else None,
        asked_for=asked_for,
        prompt=prompt,
        faces=sum(1 for r in readings if r.get("box") is not None),
    )


def reports_of(run: Run, image: Callable[[str | None], str]) -> list[Report]:
    """The reports of a run, in the order of its prompts; the sessions of one prompt and target are its
    arms. ``image``: a picture's file, as it is recorded -> its data URI.
    """
    groups: dict[tuple[str, str], list[SessionRun]] = {}
    for session in run.sessions.values():
        groups.setdefault((session.record.prompt, session.record.spec_hash), []).append(session)
    return [_report(run, group, image) for group in groups.values()]


def _report(run: Run, sessions: list[SessionRun], image: Callable[[str | None], str]) -> Report:
    sessions = sorted(sessions, key=lambda s: s.record.steered)
    head = sessions[0].record
    classes = tone_classes(head.scale, head.classes)
    several = sum(s.record.steered for s in sessions) > 1
    arms = tuple(_arm(s, image, several_steered=several) for s in sessions)
    embedded = any(s.record.model.source == "embedded" for s in sessions)
    notes = [words.SYNTHETIC_NOTE, words.TARGET_NOTE]
    if embedded:
        notes.insert(0, words.EMBEDDED_NOTE)
    for s in sessions:
        notes += s.summary.notes if s.summary else s.record.notes
    notes += run.problems
    band, axis_max = chance_and_axis(arms, head.target)
    return Report(
        prompt=head.prompt,
        spec_name=str(head.spec.get("name", "by hand")),
        scale=head.scale,
        classes=classes,
        target=head.target,
        chance_band=band,
        arms=arms,
        headline=words.headline(arms),
        subline=words.subline(arms, classes, head.target, head.prompt),
        strip=words.EMBEDDED_STRIP if embedded else words.SYNTHETIC_STRIP,
        twins=_twins(arms, seeded=all(s.record.model.seeded for s in sessions)),
        sentences=words.sentences(arms),
        provenance=_provenance(run, sessions),
        notes=tuple(dict.fromkeys(notes)),
        axis_max=axis_max,
    )


def chance_and_axis(
    arms: Sequence[Arm], target: Mapping[str, float]
) -> tuple[dict[str, tuple[float, float]], float]:
    """The band of chance for the smallest set that was read, and the end of the axis that all bars share."""
    counted = [arm.figures.kept for arm in arms if arm.figures]
    band = chance_band(target, min(counted)) if counted else {}
    shares = [bar.share for arm in arms for bar in arm.bars.values()]
    return band, axis_end([*shares, *target.values(), *(high for _, high in band.values())])


def axis_end(shares: Iterable[float]) -> float:
    """The end of the share axis: the next fifth above the largest share, at most 1."""
    largest = max(shares, default=0.0)
    return next(end for end in (0.2, 0.4, 0.6, 0.8, 1.0, float("inf")) if largest <= end * 0.98 or end >= 1.0)


def _arm(session: SessionRun, image: Callable[[str | None], str], *, several_steered: bool) -> Arm:
    record = session.record
    label = "Steered" if record.steered else "Unsteered"
    if record.steered and several_steered:
        label = f"Steered ({record.steering})"
    inside = session.final_set()
    filled = {fill.index: fill for fill in session.fills}
    names = {c.key: c.label for c in tone_classes(record.scale, record.classes)}
    views = []
    for picture in inside:
        fill = filled.get(picture.index)
        note = f"fills a place that lacked {names[fill.missing]}" if fill else ""
        fate: Fate = "kept" if picture.measured else "abstained"
        views.append(_picture(picture, image, record.scale, fate, note))
    for picture in session.left_out():
        note = "" if picture.measured is None else words.aside_note(record.target[picture.measured])
        fate = "discarded" if picture.measured else "abstained"
        views.append(_picture(picture, image, record.scale, fate, note))
    found = measure(session, record.steering, tolerance=MEETS_WITHIN).figures
    return Arm(
        key="steered" if record.steered else "unsteered",
        label=label,
        bars=bars(found.measured),
        figures=found if found.kept else None,
        pictures=tuple(views),
        first_pass=found.first_pass,
        first_pass_tv=found.first_pass_tv if session.finished else None,
    )


def _picture(
    record: PictureRecord, image: Callable[[str | None], str], scale: str, fate: Fate, note: str
) -> Picture:
    return picture_view(
        image=partial(image, record.file),
        file=record.file or "",
        fate=fate,
        scale=scale,
        measured=record.measured,
        abstained=record.abstained,
        readings=record.readings,
        seed=record.seed,
        asked_for=record.wanted,
        prompt=record.prompt,
        note=note,
    )


def _twins(arms: tuple[Arm, ...], *, seeded: bool) -> tuple[Twin, ...]:
    plain = next((a for a in arms if a.key == "unsteered"), None)
    steered = next((a for a in arms if a.key == "steered"), None)
    if plain is None or steered is None or not seeded:
        return ()
    by_seed = {p.seed: p for p in plain.pictures if p.seed is not None}
    return tuple(
        Twin(p.seed, by_seed[p.seed], p) for p in steered.kept if p.seed is not None and p.seed in by_seed
    )


def _provenance(run: Run, sessions: list[SessionRun]) -> tuple[tuple[str, str], ...]:
    head = sessions[0].record
    model = head.model
    seeds = sorted({p.seed for s in sessions for p in s.pictures})
    used = f" for the set; {counted(len(seeds), 'seed')}, {_spell(seeds)}" if seeds else ""
    signers = [s.record.signer for s in sessions if s.record.signer]
    rows = [
        *model_rows(model),
        ("Steering", "; ".join(_steering(s) for s in sessions)),
        *declaration(head.spec, head.spec_hash, head.context),
        ("Spec in full", json.dumps(head.spec, ensure_ascii=False, default=str)),
        ("Seeds", f"{head.seed}{used}"),
        ("Started", f"{head.started_at:%Y-%m-%d %H:%M} UTC"),
        ("Signed by", signed_by({s.fingerprint: s for s in signers}.values())),
        ("fairgen", run.record.fairgen),
        ("Versions", ", ".join(f"{name} {version}" for name, version in sorted(model.versions.items()))),
        ("Command", _command(sessions)),
    ]
    return tuple((name, value) for name, value in rows if value)


def _steering(session: SessionRun) -> str:
    record = session.record
    made = counted(len(session.pictures), "picture")
    extra = f", {json.dumps(record.technique, ensure_ascii=False, default=str)}" if record.technique else ""
    tries = f"at most {record.max_tries} {'try' if record.max_tries == 1 else 'tries'} a place"
    places = counted(record.count, "place")
    return f"{record.steering}: {made} made for {places}, {tries}{extra}"


def _spell(seeds: list[int]) -> str:
    return ", ".join(map(str, seeds if len(seeds) <= 6 else [*seeds[:3], "…", *seeds[-2:]]))


def _command(sessions: list[SessionRun]) -> str:
    from fairgen.targets import list_specs

    record = sessions[-1].record
    name = str(record.spec.get("name"))
    shares = ",".join(f"{key}={share!r}" for key, share in record.target.items())
    command = ["fairgen", "generate", record.prompt]
    command += ["--spec", name] if name in list_specs() else ["--target", shares]
    command += ["--count", str(record.count), "--model", record.model.name]
    command += ["--steering", record.steering, "--seed", str(record.seed)]
    command += ModelOptions.model_validate(record.model.options).flags()
    return shlex.join(command)
