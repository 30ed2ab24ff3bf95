"""The page of a monitor: a self-contained HTML file, without script and network; and its parts, for a tab."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Protocol

from jinja2 import ChoiceLoader, Environment, PackageLoader
from markupsafe import Markup

from fairgen._version import __version__
from fairgen.common.files import now, write_text
from fairgen.monitor.reader_error import ReaderError
from fairgen.monitor.store import Alarm, SeenPicture
from fairgen.monitor.words import alarm_sentence, number_text
from fairgen.report.render import escaping_environment, template_text
from fairgen.report.thumbnails import Size, thumbnail
from fairgen.report.words import reason_text
from fairgen.scoring.monitored import ContextFigures, ContextWatch, Levels
from fairgen.targets import FairnessSpec

_WIDTH, _HEIGHT = 640, 220
_LOWEST, _HIGHEST = 1e-3, 1e6
"""Evidence at the bottom and, at most, at the top of a chart."""
_RAISED = "⁰¹²³⁴⁵⁶"
_SIZE = Size(96, 74)
_LEVELS = ("quiet", "warning", "alarm")


class Shown(Protocol):
    """What a page shows: a `Monitor`, or an `Onlooker` of one that another process runs."""

    spec: FairnessSpec
    """The declared target."""
    error: ReaderError
    """Errors of the reader that count as on target."""
    reader_name: str
    """Who reads."""
    levels: Levels
    """How the chance of a false alarm is shared out."""
    every: int
    """One picture in so many is looked at."""
    raised: list[Alarm]
    """All alarms and warnings, in order."""

    def watches(self) -> list[ContextWatch]:
        """Every context, in order of appearance."""

    def pictures_about(self, alarm: Alarm) -> list[SeenPicture]:
        """Those that were read before and after it."""


@dataclass(frozen=True)
class Mark:
    """A line across a chart, or a point where one was crossed: place in the chart, and words."""

    x: float
    y: float
    test: str
    text: str


@dataclass(frozen=True)
class Chart:
    """The curve of each test, as points of an SVG polyline; lines of alarm; where they were crossed."""

    curves: dict[str, str]
    ticks: tuple[Mark, ...]
    lines: tuple[Mark, ...]
    crossings: tuple[Mark, ...]
    last: int
    width: int = _WIDTH
    height: int = _HEIGHT


@dataclass(frozen=True)
class Row:
    """One class of a context."""

    label: str
    swatch: str
    declared: float
    allowed: tuple[float, float]
    count: int
    share: float | None
    interval: tuple[float, float]
    unread: tuple[int, int]


@dataclass(frozen=True)
class Around:
    """Pictures about the moment of an alarm: (number, label, swatch, address of a thumbnail or None)."""

    sentence: str
    at: str
    number: int
    pictures: tuple[tuple[int, str, str, str | None], ...]


@dataclass(frozen=True)
class Section:
    """One context."""

    figures: ContextFigures
    state: str
    chart: Chart | None
    rows: tuple[Row, ...]
    widest: float
    """Share at the right end of the bars."""
    reasons: tuple[tuple[str, int], ...]
    moments: tuple[Around, ...]


def page_text(monitor: Shown) -> str:
    """The page as it stands, as HTML."""

    def embedded(picture: SeenPicture) -> str | None:
        return thumbnail(Path(picture.path), _SIZE) if picture.path else None

    template, values = _environment().get_template("monitor.html.j2"), _values(monitor, embedded)
    return template.render(css=page_style(), script_source="", version=__version__, **values)


def parts_text(
    monitor: Shown,
    address: Callable[[SeenPicture], str | None],
    *,
    name: str,
    most: int,
    last: str | None = None,
) -> str:
    """What the page shows, as a part of another one, whose style is `page_style`.

    Args:
        monitor: whose.
        address: where the thumbnail of a picture is; None: it has none.
        name: of this monitor, among others.
        most: contexts that are shown; those that alarmed or warned come before others.
        last: when the last tone was read, in words.
    """
    values = _values(monitor, address, most)
    return _environment().get_template("monitor_part.html.j2").render(name=name, last=last, **values)


def page_style() -> Markup:
    """The style sheet of the page and its parts; our own files, no user's text."""
    own = resources.files("fairgen.monitor").joinpath("templates/monitor.css").read_text(encoding="utf-8")
    return Markup(template_text("report.css") + own)


def _values(
    monitor: Shown, address: Callable[[SeenPicture], str | None], most: int | None = None
) -> dict[str, object]:
    """For the templates."""
    watches = monitor.watches()
    levels = [_level(monitor, watch) for watch in watches]
    loudest = sorted(range(len(watches)), key=lambda place: -_LEVELS.index(levels[place]))
    shown = sorted(loudest[:most])
    return {
        "monitor": monitor,
        "sections": [_section(monitor, watches[place], levels[place], address) for place in shown],
        "contexts": len(watches),
        "alarmed": levels.count("alarm"),
        "read": sum(watch.read for watch in watches),
        "offered": sum(watch.offered for watch in watches),
        "now": f"{now():%Y-%m-%d %H:%M} UTC",
    }


def write_page(monitor: Shown, path: Path) -> Path:
    """Write the page, whole or not at all. Raises `UserError` where the disk refuses."""
    return write_text(path, page_text(monitor))


@cache
def _environment() -> Environment:
    environment = escaping_environment("fairgen.monitor")
    reports = PackageLoader("fairgen.report", "templates")
    environment.loader = ChoiceLoader([PackageLoader("fairgen.monitor", "templates"), reports])
    environment.filters["evidence"] = number_text
    return environment


def _level(monitor: Shown, watch: ContextWatch) -> str:
    levels = {alarm.level for alarm in monitor.raised if alarm.context == watch.context}
    return "alarm" if "alarm" in levels else "warning" if levels else "quiet"


def _section(
    monitor: Shown, watch: ContextWatch, level: str, address: Callable[[SeenPicture], str | None]
) -> Section:
    found = watch.figures()
    alarms = [a for a in monitor.raised if a.context == watch.context]
    rows = _rows(monitor, found)
    return Section(
        found,
        level,
        _chart(watch, found, alarms) if found.read else None,
        tuple(rows),
        min(1.0, 1.1 * max(max(r.declared, r.allowed[1], r.interval[1]) for r in rows)),
        tuple((reason_text(code), n) for code, n in found.abstained.items()),
        tuple(_moment(monitor, alarm, address) for alarm in alarms),
    )


def _rows(monitor: Shown, found: ContextFigures) -> list[Row]:
    from skin_tone.scales import SCALES

    scale = SCALES[monitor.spec.scale]
    return [
        Row(
            label=scale.labels[name],
            swatch=scale.swatches[name],
            declared=share,
            allowed=found.allowed[name],
            count=found.counts[name],
            share=found.counts[name] / found.read if found.read else None,
            interval=found.intervals[name],
            unread=found.abstained_by_tone[name],
        )
        for name, share in found.target.items()
    ]


def _moment(monitor: Shown, alarm: Alarm, address: Callable[[SeenPicture], str | None]) -> Around:
    from skin_tone.scales import SCALES

    scale = SCALES[monitor.spec.scale]
    pictures = tuple(
        (one.number or 0, scale.labels[one.tone or ""], scale.swatches[one.tone or ""], address(one))
        for one in monitor.pictures_about(alarm)
    )
    at = f"{datetime.fromisoformat(alarm.at):%Y-%m-%d %H:%M:%S} UTC"
    return Around(alarm_sentence(alarm), at, alarm.picture, pictures)


def _chart(watch: ContextWatch, found: ContextFigures, alarms: list[Alarm]) -> Chart:
    tests, last = found.tests, found.read
    points = [*watch.history.points]
    if not points or points[-1][0] != last:
        points.append((last, tests["target"].evidence, tests["change"].evidence))
    points.insert(0, (0, 1.0, 1.0))
    lines = {name: test.line or test.alone for name, test in tests.items()}
    peak = max([*(max(a, b) for _, a, b in points), *lines.values()])
    top = min(_HIGHEST, peak * 3)

    def y(value: float) -> float:
        part = math.log(min(max(value, _LOWEST), top) / _LOWEST) / math.log(top / _LOWEST)
        return round(_HEIGHT * (1 - part), 1)

    def x(number: int) -> float:
        return round(_WIDTH * number / last, 1)

    curves = {
        name: " ".join(f"{x(n)},{y(values[place])}" for n, *values in points)
        for place, name in enumerate(("target", "change"))
    }
    powers = range(-3, math.floor(math.log10(top)) + 1)
    return Chart(
        curves,
        tuple(Mark(0, y(10.0**p), "", f"{10.0**p:g}" if p < 5 else f"10{_RAISED[p]}") for p in powers),
        tuple(Mark(0, y(line), name, number_text(line)) for name, line in lines.items()),
        tuple(
            Mark(x(a.picture), y(a.evidence), a.test, f"{a.picture}") for a in alarms if a.level == "alarm"
        ),
        last,
    )
