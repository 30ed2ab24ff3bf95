"""What the page says of a set before and while it is made, and of its twins."""

from __future__ import annotations

from collections.abc import Mapping

from fairgen.common.text import counted, isolated
from fairgen.quota import allocate
from fairgen.report import words
from fairgen.report.load import tone_classes
from fairgen.report.view import Arm
from fairgen.scoring.sets import fewer_than_classes
from fairgen.targets import FairnessSpec
from fairgen.ui.parts.markup import render
from fairgen.ui.parts.picker import title
from fairgen.ui.work.live import LiveSet


def empty_set(spec: FairnessSpec, prompt: str, count: int, seed: int = 0) -> str:
    """What stands where the pictures will be: how it goes, and the places as the target shares them out."""
    target = spec.target_for(prompt)
    quota = allocate(target, count, spec.allocation, seed=seed)
    classes = tone_classes(spec.scale, target)
    places = [found for found in classes for _ in range(quota[found.key])]
    return render("welcome", classes=classes, quota=quota, places=places)


def few_pictures(target: Mapping[str, float], count: int) -> str:
    """What a set means that has fewer pictures than its target has tones; empty where it has enough."""
    few = fewer_than_classes(target, count)
    return render("few", few=few) if few else ""


def error_box(sentence: str) -> str:
    """A sentence on what did not work."""
    return render("status", kind="error", text=sentence)


def set_status(live: LiveSet) -> str:
    """Where a set stands: what happens, progress, notes."""
    if live.state == "failed":
        return error_box(live.error)
    what, text, progress = _sentence(live)
    notes: list[str] = []
    if live.state == "done" and live.summary is not None:
        notes = list(live.summary.notes)
    elif live.record is not None:
        notes = live.record.notes
    if live.record is not None and live.record.model.source == "embedded":
        notes = [*notes, words.EMBEDDED_STRIP]
    # A screen reader is told of beginnings and ends, not of every picture.
    announce = not live.pictures or not live.running
    return render(
        "status",
        kind=live.state,
        order=_order(live),
        title=what,
        text=text,
        progress=progress,
        notes=notes,
        announce=announce,
    )


def _order(live: LiveSet) -> str:
    """What the set was made for: the controls beside it may say something else by now."""
    prompt, spec = live.prompt, live.spec
    if spec is None and live.record is not None:
        prompt, spec = live.record.prompt, FairnessSpec.model_validate(live.record.spec)
    if spec is None:
        return ""
    pictures = f"{live.count} {'picture' if live.count == 1 else 'pictures'}"
    return f"“{isolated(prompt)}” · {isolated(title(spec))} · {pictures}"


def _sentence(live: LiveSet) -> tuple[str, str, float | None]:
    """(what happens, more about it, progress 0-1 or None)."""
    made = f"{len(live.pictures)} {'picture' if len(live.pictures) == 1 else 'pictures'} made"
    if live.state == "waiting":
        place = f"Place {live.place} in the queue. " if live.place else ""
        return "Waiting for your turn …", f"{place}The pictures start as soon as the model is free.", 0.0
    if live.state == "loading":
        return (
            "Loading the model …",
            "The first time takes longest, most of all for a model that is downloaded.",
            0.0,
        )
    if live.state == "calibrating" and live.calibrating is not None:
        at = live.calibrating
        return (
            "Learning how this model responds …",
            f"It is new here, so it is calibrated once: {at.done} of {at.total} trial pictures.",
            at.done / at.total,
        )
    found = f"{live.places} of {counted(live.count, 'picture')} found"
    if live.state == "sampling":
        left = render("time_left", seconds=live.seconds_left())
        return found, f"{made}{left}", live.places / live.count
    if live.state == "stopped":
        return (
            f"Stopped: {found}.",
            f"{made}; these and their readings are kept." if live.pictures else "No picture was made yet.",
            live.places / live.count,
        )
    arm, total, aside = live.arm(), len(live.pictures), len(live.aside())
    price = (
        f"{counted(total, 'picture')} {'was' if total == 1 else 'were'} made to find {live.count}; {aside} "
        f"{'was' if aside == 1 else 'were'} discarded."
    )
    prompt = live.record.prompt if live.record else ""
    return fits(arm), f"{words.subline([arm], live.classes, dict(live.target), prompt)} {price}", None


def fits(arm: Arm) -> str:
    """How many pictures fit the target, in one short sentence."""
    if arm.figures is None:
        return "No skin tone could be read."
    total, off = arm.figures.kept, arm.figures.off
    fitting = round(total - off)
    about = "" if abs(off - round(off)) < 0.05 else "About "
    pictures = "picture fits" if total == 1 else "pictures fit"
    if fitting == total and not about:
        return f"All {total} {pictures} the target." if total > 1 else "The picture fits the target."
    return f"{about}{fitting or ('none' if about else 'None')} of {total} {pictures} the target."


def twin_status(plain: LiveSet) -> str:
    """Where the unsteered twins stand."""
    if plain.state == "failed":
        return error_box(plain.error)
    found = fits(plain.arm())
    return render("twin_status", plain=plain, headline=f"By itself: {found[:1].lower()}{found[1:]}")
