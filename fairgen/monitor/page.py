"""The page of a monitor: one self-contained HTML file, without script and network."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, PackageLoader
from markupsafe import Markup

from fairgen._version import __version__
from fairgen.common.files import now, write_text
from fairgen.monitor.monitor import Monitor
from fairgen.monitor.store import Alarm
from fairgen.monitor.words import alarm_sentence, number_text
from fairgen.report.render import escaping_environment, template_text
from fairgen.report.thumbnails import Size, thumbnail
from fairgen.report.words import reason_text
from fairgen.scoring.monitored import ContextFigures, ContextWatch

__all__ = ["page_text", "write_page"]

_WIDTH, _HEIGHT = 640, 220
_LOWEST, _HIGHEST = 1e-3, 1e6
"""Evidence at the bottom and, at most, at the top of a chart."""
_RAISED = "⁰¹²³⁴⁵⁶"
_AROUND = 4
_SIZE = Size(96, 74)


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
    """Pictures about the moment of an alarm: (number, label, swatch, thumbnail or None)."""

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


def page_text(monitor: Monitor) -> str:
    """The page as it stands, as HTML."""
    sections = [_section(monitor, watch) for watch in monitor.watches()]
    alarmed = [s for s in sections if s.state == "alarm"]
    return (
        _environment()
        .get_template("monitor.html.j2")
        .render(
            css=Markup(template_text("report.css") + _own("monitor.css")),  # our own files, no user's text
            script_source="",
            monitor=monitor,
            sections=sections,
            alarmed=alarmed,
            read=sum(s.figures.read for s in sections),
            offered=sum(s.figures.offered for s in sections),
            now=f"{now():%Y-%m-%d %H:%M} UTC",
            version=__version__,
        )
    )


def write_page(monitor: Monitor, path: Path) -> Path:
    """Write the page, whole or not at all. Raises `UserError` where the disk refuses."""
    return write_text(path, page_text(monitor))


@cache
def _environment() -> Environment:
    environment = escaping_environment("fairgen.monitor")
    reports = PackageLoader("fairgen.report", "templates")
    environment.loader = ChoiceLoader([PackageLoader("fairgen.monitor", "templates"), reports])
    environment.filters["evidence"] = number_text
    return environment


def _own(name: str) -> str:
    from importlib import resources

    return resources.files("fairgen.monitor").joinpath(f"templates/{name}").read_text(encoding="utf-8")


def _section(monitor: Monitor, watch: ContextWatch) -> Section:
    found = watch.figures()
    alarms = [a for a in monitor.raised if a.context == watch.context]
    levels, rows = {a.level for a in alarms}, _rows(monitor, found)
    return Section(
        found,
        "alarm" if "alarm" in levels else "warning" if levels else "quiet",
        _chart(watch, found, alarms) if found.read else None,
        tuple(rows),
        min(1.0, 1.1 * max(max(r.declared, r.allowed[1], r.interval[1]) for r in rows)),
        tuple((reason_text(code), n) for code, n in found.abstained.items()),
        tuple(_moment(monitor, alarm) for alarm in alarms),
    )


def _rows(monitor: Monitor, found: ContextFigures) -> list[Row]:
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


def _moment(monitor: Monitor, alarm: Alarm) -> Around:
    from skin_tone.scales import SCALES

    scale = SCALES[monitor.spec.scale]
    pictures = []
    for one in monitor.store.pictures_about(alarm.context, alarm.picture, _AROUND):
        path = Path(one.path) if one.path else None
        shown = thumbnail(path, path.parent, _SIZE) if path else None
        tone = one.tone or ""
        pictures.append((one.number or 0, scale.labels[tone], scale.swatches[tone], shown))
    return Around(alarm_sentence(alarm), alarm.at, alarm.picture, tuple(pictures))


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
