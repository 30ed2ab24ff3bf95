"""What an audit's page shows, before it is drawn: the plot of all prompts, and each prompt's own part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby

from fairgen.report import words
from fairgen.report.gallery import Gallery
from fairgen.report.load import axis_end, tone_classes
from fairgen.report.thumbnails import Choice
from fairgen.report.view import ToneClass
from fairgen.scoring.across import UNSTEERED
from fairgen.scoring.collect import Collected
from fairgen.scoring.figures import PromptFigures, Range, ReportedSet, ReportFigures
from fairgen.scoring.measure import MeasuredSet, Shot
from fairgen.scoring.numbers import Bar, bars, chance_band
from fairgen.steering.registry import label

_GROUP_GAP = 0.9
"""Between two groups of columns; a column is 1 wide."""
_MOST_COLUMNS = 400
"""Of the plot of all prompts; beyond, neighbouring prompts share one."""
_ITA_AXIS = (90.0, -90.0)


@dataclass(frozen=True)
class ArmStyle:
    """An arm on the page: its label, and the key of its marker and bars in the style sheet."""

    arm: str
    label: str
    key: str

    @property
    def title(self) -> str:
        """The label with a capital."""
        return self.label[:1].upper() + self.label[1:]


def arm_styles(figures: ReportFigures) -> list[ArmStyle]:
    """The unsteered arm is hollow and hatched, the others take the four steered styles in turn."""
    arms = [arm.arm for arm in figures.arms]
    keys = iter(("steered", "steered-2", "steered-3", "steered-4") * len(arms))
    return [ArmStyle(arm, label(arm), "unsteered" if arm == UNSTEERED else next(keys)) for arm in arms]


@dataclass(frozen=True)
class Column:
    """One prompt in one panel: segments (top, height, class) in per cent, light at the top."""

    x: float
    title: str
    segments: list[tuple[float, float, str]]


@dataclass(frozen=True)
class Panel:
    """One arm over all prompts. ``declared`` draws the borders between the declared shares."""

    style: ArmStyle | None
    columns: list[Column]
    declared: str


@dataclass(frozen=True)
class Span:
    """A group under the columns, in shares of the panel's width."""

    label: str
    start: float
    width: float


@dataclass(frozen=True)
class Landscape:
    """The plot of all prompts: ``shared`` is the target, where all prompts have the same; ``merged`` is the
    number of neighbouring prompts that share a column.
    """

    classes: tuple[ToneClass, ...]
    width: float
    panels: list[Panel]
    spans: list[Span]
    shared: dict[str, float] | None
    merged: int


def landscape(done: Collected, styles: Sequence[ArmStyle]) -> Landscape | None:
    """Columns by group, in each group from the lightest unsteered (else first) set to the darkest.

    None where the prompts are on different scales, whose classes cannot share a plot.
    """
    prompts = done.figures.prompts
    if len({p.scale for p in prompts}) != 1:
        return None
    names = [g.group for g in done.figures.groups] or [None]
    order = sorted(prompts, key=lambda p: (_place(names, p.group), -_lightness(p)))
    merged = -(-len(order) // _MOST_COLUMNS)
    places: list[tuple[Sequence[PromptFigures], float]] = []
    x = 0.0
    for number, (_, of_group) in enumerate(groupby(order, key=lambda p: p.group)):
        x += _GROUP_GAP if number else 0.0
        some = list(of_group)
        for at in range(0, len(some), merged):
            places.append((some[at : at + merged], x))
            x += 1.0
    targets = {tuple(p.target.values()) for p in prompts}
    return Landscape(
        classes=tone_classes(prompts[0].scale, prompts[0].target),
        width=x,
        panels=[_panel(style, places) for style in ([None] if len(targets) > 1 else []) + list(styles)],
        spans=_spans(places, x),
        shared=dict(prompts[0].target) if len(targets) == 1 else None,
        merged=merged,
    )


def _place(names: Sequence[str | None], group: str | None) -> int:
    return names.index(group) if group in names else len(names)


def _lightness(prompt: PromptFigures) -> float:
    first = prompt.sets.get(UNSTEERED) or next(iter(prompt.sets.values()))
    return -90.0 if first.mean_ita is None else first.mean_ita


def _panel(style: ArmStyle | None, places: Sequence[tuple[Sequence[PromptFigures], float]]) -> Panel:
    columns, lines = [], []
    for prompts, x in places:
        known = [p for p in prompts if style is None or _shares(p, style)]
        if not known:
            continue
        declared = _mean_shares([p.target for p in known])
        shares = declared if style is None else _mean_shares([_shares(p, style) for p in known])
        segments, top = [], 0.0
        for key, share in shares.items():
            if share > 0:
                segments.append((100 * top, 100 * share, key))
            top += share
        columns.append(Column(x, _title(known, style), segments))
        edges = accumulate(list(declared.values())[:-1])
        lines += [f"M{x:g} {100 * edge:.2f}h1" for edge in edges]
    return Panel(style, columns, "".join(lines))


def _shares(prompt: PromptFigures, style: ArmStyle) -> dict[str, float]:
    """Class -> share of what was read; empty where nothing was."""
    found = prompt.sets.get(style.arm)
    return {key: n / found.kept for key, n in found.measured.items()} if found and found.kept else {}


def _mean_shares(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {key: sum(row[key] for row in rows) / len(rows) for key in rows[0]}


def _title(prompts: Sequence[PromptFigures], style: ArmStyle | None) -> str:
    if len(prompts) > 1:
        return f"{len(prompts)} prompts, from {prompts[0].prompt} to {prompts[-1].prompt}"
    off = None if style is None else prompts[0].sets[style.arm].tv
    return f"{prompts[0].prompt}{'' if off is None else f', TV {off:.2f}'}"


def _spans(places: Sequence[tuple[Sequence[PromptFigures], float]], width: float) -> list[Span]:
    if all(prompts[0].group is None for prompts, _ in places):
        return []
    spans = []
    for group, of_group in groupby(places, key=lambda place: place[0][0].group):
        at = [x for _, x in of_group]
        spans.append(Span(group or "no group", at[0] / width, (at[-1] + 1 - at[0]) / width))
    return spans


@dataclass(frozen=True)
class SetBars:
    """One set as the bars of a prompt's chart: the final set, and the first pass with its intervals."""

    key: str
    label: str
    figures: ReportedSet
    bars: dict[str, Bar]
    first: dict[str, Bar]
    ranges: dict[str, Range]
    rug: str
    """Path of a tick for every counted picture over the ITA axis (0-100 from light to dark)."""


@dataclass(frozen=True)
class Shown:
    """One picture on the page: its arm, what was read, and where its pixels are (None: not shown)."""

    style: ArmStyle
    shot: Shot
    gallery: Gallery | None

    @property
    def image(self) -> str:
        """Its data URI, made when it is asked for; "" where the page holds no pictures."""
        return "" if self.gallery is None else self.gallery.uri(self.shot.file)

    @property
    def reason(self) -> str:
        """Why it was not read, in words."""
        return words.reason_text(self.shot.reason)


@dataclass(frozen=True)
class Card:
    """One place of the set, arm by arm."""

    seed: int | None
    pictures: list[Shown]


@dataclass(frozen=True)
class Aside:
    """What one arm discarded or could not read; ``pictures`` is empty where they are not shown."""

    style: ArmStyle
    discarded: int
    not_read: int
    reasons: str
    pictures: list[Shown]


@dataclass(frozen=True)
class PromptView:
    """One prompt's part of the page."""

    anchor: str
    figures: PromptFigures
    classes: tuple[ToneClass, ...]
    sets: list[SetBars]
    chance_band: dict[str, tuple[float, float]]
    axis_max: float
    ita_borders: list[tuple[float, str]]
    cards: list[Card]
    aside: list[Aside]
    notes: list[str]

    @property
    def labels(self) -> dict[str, str]:
        """Class -> words for people."""
        return {c.key: c.label for c in self.classes}


def prompt_views(done: Collected, choice: Choice, gallery: Gallery) -> Iterator[PromptView]:
    """Each prompt, made as it is asked for; its pictures are fetched as they are drawn."""
    styles, common = arm_styles(done.figures), common_notes(done.figures)
    held = None if choice.size is None else gallery
    for number, (prompt, sets) in enumerate(zip(done.figures.prompts, done.sets, strict=True), 1):
        yield _prompt_view(f"p{number}", prompt, sets, styles, choice, common, held)


def _prompt_view(
    anchor: str,
    prompt: PromptFigures,
    sets: Mapping[str, MeasuredSet],
    styles: Sequence[ArmStyle],
    choice: Choice,
    common: Sequence[str],
    gallery: Gallery | None,
) -> PromptView:
    from skin_tone.scales import SCALES

    scale = SCALES[prompt.scale]
    present = [style for style in styles if style.arm in sets]
    shown = [_set_bars(style, sets[style.arm]) for style in present]
    counted = [s.figures.kept for s in shown if s.figures.kept]
    top = [b.share for s in shown for b in s.bars.values()]
    top += [high for s in shown for _, high in s.ranges.values()]
    band = chance_band(prompt.target, min(counted)) if counted else {}
    top += [high for _, high in band.values()]
    cards: dict[int, list[tuple[ArmStyle, Shot]]] = {}
    for style in present:
        for shot in sets[style.arm].inside[: choice.places]:
            cards.setdefault(shot.slot, []).append((style, shot))
    return PromptView(
        anchor=anchor,
        figures=prompt,
        classes=tone_classes(prompt.scale, prompt.target),
        sets=shown,
        chance_band=band,
        axis_max=axis_end([*top, *prompt.target.values()]),
        ita_borders=[(_ita_place(border), f"{border:g}°") for border in scale.borders],
        cards=[
            Card(
                next((shot.seed for style, shot in pair if shot.attempt == 0), None),
                [Shown(style, shot, gallery) for style, shot in pair],
            )
            for _, pair in sorted(cards.items())
        ],
        aside=[_aside(style, sets[style.arm], gallery, choice) for style in present],
        notes=_notes(shown, common),
    )


def common_notes(figures: ReportFigures) -> list[str]:
    """Notes that every set has: they are said once for the page."""
    first = figures.sets[0].notes
    return [note for note in first if all(note in s.notes for s in figures.sets)]


def _notes(sets: Sequence[SetBars], common: Sequence[str]) -> list[str]:
    """The other notes, each with its arm."""
    return [
        f"{s.label[:1].upper()}{s.label[1:]}: {note}"
        for s in sets
        for note in s.figures.notes
        if note not in common
    ]


def _set_bars(style: ArmStyle, found: MeasuredSet) -> SetBars:
    ticks = "".join(f"M{_ita_place(s.ita):.1f} 0v10" for s in found.inside if s.ita is not None)
    figures = found.figures
    return SetBars(
        key=style.key,
        label=style.label,
        figures=figures,
        bars=bars(figures.measured),
        first=bars(figures.first_pass),
        ranges=figures.first_pass_ranges,
        rug=ticks,
    )


def _ita_place(angle: float) -> float:
    """Where an angle lies on the ITA axis, in per cent from its light end; beyond it, at its ends."""
    light, dark = _ITA_AXIS
    return min(max(100 * (light - angle) / (light - dark), 0.0), 100.0)


def _aside(style: ArmStyle, found: MeasuredSet, gallery: Gallery | None, choice: Choice) -> Aside:
    shots = (*found.outside, *found.inside)
    reasons = Counter(words.reason_text(shot.reason) for shot in shots if shot.reason)
    return Aside(
        style=style,
        discarded=found.figures.discarded,
        not_read=found.figures.abstained,
        reasons=", ".join(f"{reason} ({n})" for reason, n in reasons.most_common()),
        pictures=[Shown(style, s, gallery) for s in found.outside] if choice.aside else [],
    )
