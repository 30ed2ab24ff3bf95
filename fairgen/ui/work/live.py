"""A running session as the page and the API show it: events in; counts, progress and pictures out."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from PIL import Image

from fairgen.loop.events import Calibrating, Event, Filled, Finished, PictureDone, Replayed, Started
from fairgen.report import words
from fairgen.report.load import picture_view, tone_classes
from fairgen.report.view import Arm, Picture, ToneClass
from fairgen.runs import FillRecord, PictureRecord, ReadingDocument, SessionRecord, SessionRun, Summary
from fairgen.scoring.measure import lab_to_hex
from fairgen.scoring.numbers import bars, counts_of, figures, vectors_of
from fairgen.targets import FairnessSpec
from fairgen.ui.work.folders import RunFolder

State = Literal["waiting", "loading", "calibrating", "sampling", "stopped", "done", "failed"]


@dataclass(frozen=True)
class Evidence:
    """What the reading of the largest face rests on.

    Attributes:
        box: (x, y, width, height) of what is shown of the face, in the picture's pixels.
        seen: the skin's colour as the picture shows it, ``#rrggbb``.
        estimated: the same without effects of light and gloss, which the class is named by.
        ita_seen: individual typology angle of ``seen``, degrees.
        sigma: standard error of the estimate's angle, degrees.
        patches: (name, ``#rrggbb``) of the patches of skin that were used.
        skipped: (name, reason) of those that were not.
    """

    box: tuple[int, int, int, int] | None
    seen: str | None = None
    estimated: str | None = None
    ita_seen: float | None = None
    sigma: float | None = None
    patches: tuple[tuple[str, str], ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Card:
    """A picture with what a page shows beneath it."""

    view: Picture
    index: int
    """Unique in the set."""
    size: tuple[int, int]
    """Width and height in pixels."""
    chances: dict[str, float]
    """Class -> probability by the reader; empty where it abstained."""
    outlines: tuple[str, ...]
    """Corners of the skin patches that were read, as SVG points in the picture's pixels."""
    place: int | None = None
    """Place in the set, from 1, and which try it was; None where fairgen did not make the picture."""
    attempt: int = 1
    strength: float | None = None
    """Of the steering, where the technique has one: below 0 lighter, above 0 darker."""
    sheet: str | None = None
    """Address of a picture of all faces with their readings."""
    evidence: Evidence | None = None
    decided: str = ""
    """How it was decided what becomes of the picture, in a sentence."""


@dataclass
class LiveSet:
    """The state of one session; `apply` takes its events in order."""

    run: RunFolder
    scale: str
    target: Mapping[str, float]
    """Class -> declared share, for this prompt."""
    count: int
    state: State = "waiting"
    prompt: str = ""
    spec: FairnessSpec | None = None
    """What it was asked for, where that is known before its record is."""
    record: SessionRecord | None = None
    pictures: list[PictureRecord] = field(default_factory=list)
    fills: dict[int, FillRecord] = field(default_factory=dict)
    summary: Summary | None = None
    calibrating: Calibrating | None = None
    error: str = ""
    place: int = 0
    """In the queue, from 1, while it waits; 0 once it is in hand."""
    _sizes: dict[int, tuple[int, int]] = field(default_factory=dict)
    _first_at: float | None = None
    _last_at: float = 0.0
    _before: int = 0
    """Places that were filled before this process went on with the set."""

    @classmethod
    def restored(cls, run: RunFolder, session: SessionRun) -> LiveSet:
        """A set as its run file holds it: done, or stopped. It can be gone on with (`apply`)."""
        record = session.record
        live = cls(run, record.scale, record.target, record.count, record=record)
        live.state = "stopped" if session.summary is None else "done"
        live.summary = session.summary
        live.pictures = list(session.pictures)
        live.fills = {fill.index: fill for fill in session.fills}
        return live

    def apply(self, event: Event) -> None:
        """Take one event of `fairgen.loop.session.run_session`."""
        if isinstance(event, Calibrating):
            self.state, self.calibrating = "calibrating", event
        elif isinstance(event, Started):
            self.state, self.record = "sampling", event.session
            self._first_at = self._last_at = time.monotonic()
            self._before = self.places
        elif isinstance(event, PictureDone):
            self._take(event.record)
            self._sizes[event.record.index] = event.image.size
            self._last_at = time.monotonic()
        elif isinstance(event, Replayed):
            self._take(event.record)
            self._before = self.places
            self._first_at = self._last_at = time.monotonic()
        elif isinstance(event, Filled):
            self.fills[event.record.index] = event.record
        elif isinstance(event, Finished):
            self.summary, self.state = event.summary, "done"

    def _take(self, record: PictureRecord) -> None:
        """Add a picture, or put it in the place of the one that had its index before a stop."""
        for at, known in enumerate(self.pictures):
            if known.index == record.index:
                self.pictures[at] = record
                return
        self.pictures.append(record)

    @property
    def running(self) -> bool:
        """Whether more may come."""
        return self.state in ("waiting", "loading", "calibrating", "sampling")

    @property
    def classes(self) -> tuple[ToneClass, ...]:
        """The classes of the scale, light to dark."""
        return tone_classes(self.scale, self.target)

    def inside(self) -> list[PictureRecord]:
        """The pictures of the set as it stands, in the order in which they came."""
        plain = self.record is not None and not self.record.steered
        return [p for p in self.pictures if plain or p.decision == "kept" or p.index in self.fills]

    def aside(self) -> list[PictureRecord]:
        """Every other picture: discarded, or not read."""
        inside = {p.index for p in self.inside()}
        return [p for p in self.pictures if p.index not in inside]

    def counts(self) -> dict[str, int]:
        """Class -> pictures of the set as it stands."""
        return counts_of(self.target, (p.measured for p in self.inside()))

    def first_pass(self) -> dict[str, int]:
        """Class -> first attempts of the places so far."""
        return counts_of(self.target, (p.measured for p in self.pictures if p.attempt == 0))

    @property
    def places(self) -> int:
        """Places of the set that are filled; those of pictures without a reading count as well."""
        if self.state == "done":
            return self.count
        steered = self.record is not None and self.record.steered
        # A session gives up a place where no tone could be read in any of its tries.
        tried = Counter(p.slot for p in self.pictures if p.abstained is not None)
        given_up = sum(self.record is not None and n >= self.record.max_tries for n in tried.values())
        return min(self.count, len(self.inside()) + (given_up if steered else 0))

    def seconds_left(self) -> float | None:
        """A guess from the pictures so far: those that are still missing, at the price paid until now."""
        fresh = self.places - self._before
        if self._first_at is None or fresh < 2 or not self.running or self.places >= self.count:
            return None
        each = (self._last_at - self._first_at) / fresh
        return max(0.0, (self.count - self.places) * each)

    def arm(self) -> Arm:
        """The set as the report's sentences take it (without its pictures)."""
        counts = self.counts()
        steered = self.record is not None and self.record.steered
        vectors, name = vectors_of(self.inside(), self.scale), self.record.session if self.record else ""
        found = figures(counts, self.target, vectors, independent=not steered, name=name)
        key: Literal["steered", "unsteered"] = "steered" if steered else "unsteered"
        return Arm(key, key.capitalize(), bars(counts), found if found.kept else None, ())

    def card(self, record: PictureRecord) -> Card:
        """One picture, where it lies now."""
        labels = {c.key: c.label for c in self.classes}
        fill = self.fills.get(record.index)
        file = (fill.file if fill else record.file) or ""
        note = ""
        if fill:
            note = f"fills a place meant for {labels[fill.missing]}"
        elif record.decision == "discarded":
            note = words.aside_note(self.target.get(record.measured or "", 0.0))
        view = picture_view(
            image=self.run.url(file),
            file=file,
            fate="kept" if fill or record.decision == "kept" else record.decision,
            scale=self.scale,
            measured=record.measured,
            abstained=record.abstained,
            readings=record.readings,
            seed=record.seed,
            asked_for=record.wanted,
            prompt=record.prompt,
            note=note,
        )
        chances, outlines = reading_parts(record.readings, self.scale)
        return Card(
            view,
            record.index,
            self._size(record.index, file),
            chances,
            outlines,
            record.slot + 1,
            record.attempt + 1,
            record.steering.get("strength"),
            evidence=evidence_of(record.readings, self._size(record.index, file)),
            decided=self._decided(record, labels),
        )

    def _decided(self, record: PictureRecord, labels: Mapping[str, str]) -> str:
        if record.index in self.fills:
            missing = labels[self.fills[record.index].missing]
            return f"All tries at this picture were used up, and its tone is the nearest to {missing}."
        if self.record is not None and not self.record.steered:
            return "Nothing was asked about skin tone, so it counts as it is."
        if record.decision == "kept":
            return f"Kept: the set still needed {labels.get(record.measured or '', 'this tone')}."
        if record.decision == "discarded":
            return f"Not kept: {words.aside_note(self.target.get(record.measured or '', 0.0))}."
        return "Not counted: no skin tone could be read, so another one was made."

    def _size(self, index: int, file: str) -> tuple[int, int]:
        """Width and height of a picture in pixels; of one that is gone, those of a square."""
        if index not in self._sizes:
            try:
                with Image.open(self.run.folder / file) as picture:
                    self._sizes[index] = picture.size
            except OSError:
                self._sizes[index] = (1, 1)
        return self._sizes[index]

    def to_json(self) -> dict[str, Any]:
        """What the API sends while a set is made."""
        left = self.seconds_left()
        return {
            "state": self.state,
            "place": self.place,
            "done": self.places,
            "count": self.count,
            "generated": len(self.pictures),
            "seconds_left": None if left is None else round(left, 1),
            "first_pass": self.first_pass(),
            "measured": self.counts(),
        }


def reading_parts(
    readings: Sequence[ReadingDocument], scale: str
) -> tuple[dict[str, float], tuple[str, ...]]:
    """The largest face's class probabilities, and the outlines of the patches that were used."""
    first = readings[0] if readings else {}
    chances = (first.get("probabilities") or {}).get(scale) or {}
    used = first.get("patches") or {}
    outlines = (first.get("outlines") or {}).items()
    points = tuple(" ".join(f"{x},{y}" for x, y in corners) for name, corners in outlines if name in used)
    return chances, points


def evidence_of(readings: Sequence[ReadingDocument], size: tuple[int, int]) -> Evidence | None:
    """What the largest face's reading rests on; None where no face was found. ``size``: of the picture."""
    first: ReadingDocument = readings[0] if readings else {}
    box, seen, lab = first.get("box"), first.get("seen"), first.get("lab")
    if not box:
        return None
    x0, y0, x1, y1 = box
    margin = (y1 - y0) // 6
    left, top = max(0, x0 - margin), max(0, y0 - margin)
    shown = (left, top, min(size[0], x1 + margin) - left, min(size[1], y1 + margin) - top)
    patches = (first.get("patches") or {}).items()
    skipped = (first.get("skipped") or {}).items()
    return Evidence(
        shown,
        lab_to_hex(seen) if seen else None,
        lab_to_hex(lab) if lab else None,
        first.get("ita_seen"),
        first.get("ita_sigma"),
        tuple((name.replace("_", " "), lab_to_hex(colour)) for name, colour in patches),
        tuple((name.replace("_", " "), str(why).replace("_", " ")) for name, why in skipped),
    )


def time_text(seconds: float | None) -> str:
    """``about 20 s left``; empty where nothing can be said."""
    if seconds is None or not math.isfinite(seconds):
        return ""
    if seconds < 90:
        return f"about {max(5, 5 * math.ceil(seconds / 5))} s left"
    return f"about {math.ceil(seconds / 60)} min left"
