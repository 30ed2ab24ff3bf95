"""The live chart: declared, first pass and current distribution, with what chance alone would leave."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from fairgen import stats
from fairgen.report.load import axis_end, tone_classes
from fairgen.scoring.numbers import chance_band, distances
from fairgen.ui.parts.markup import render
from fairgen.ui.work.live import LiveSet


def live_chart(live: LiveSet, plain: LiveSet | None = None) -> str:
    """The chart of a running or finished set; with what the model does by itself, once that is known."""
    steered = live.record is not None and live.record.steered
    return distribution_chart(
        live.scale,
        live.target,
        live.count,
        counts=live.counts(),
        first=live.first_pass() if steered else None,
        now_label="so far" if live.running else "this set",
        running=live.running,
        plain=plain.counts() if plain is not None and plain.pictures else None,
        id=f"c{live.run.id}",
    )


def distribution_chart(
    scale: str,
    target: Mapping[str, float],
    count: int,
    *,
    counts: Mapping[str, int] | None = None,
    first: Mapping[str, int] | None = None,
    now_label: str = "this set",
    running: bool = False,
    plain: Mapping[str, int] | None = None,
    id: str = "chart",
) -> str:
    """HTML of the chart; without ``counts``, of the declared target alone.

    ``plain`` counts the unsteered twins, which are shown in the place of the first pass. The chance floor
    and band are of the pictures that are counted; before there are any, of ``count``.
    """
    known = dict(counts) if counts is not None else dict.fromkeys(target, 0)
    found = distances(known, target)
    total = found.kept
    first_total, plain_total = (sum((other or {}).values()) for other in (first, plain))
    n = total or count
    floor = found.noise_floor_tv if found.noise_floor_tv is not None else stats.noise_floor(target, n)
    shaded = _band(tuple(target.items()), n)
    shares = [*target.values(), *(high for _, high in shaded.values())]
    for numbers, every in ((known, total), (first, first_total), (plain, plain_total)):
        shares += [number / every for number in (numbers or {}).values() if every]
    return render(
        "chart",
        title="Share of pictures in each skin-tone class",
        classes=tone_classes(scale, target),
        target=target,
        band=shaded,
        floor=floor,
        counts=known,
        total=total,
        made=counts is not None,
        first=first,
        first_total=first_total,
        plain=plain,
        plain_total=plain_total,
        plain_tv=distances(dict(plain), target).tv if plain is not None else None,
        tv=found.tv,
        axis=axis_end(shares),
        count=n,
        now_label=now_label,
        running=running,
        id=id,
    )


@lru_cache(maxsize=256)
def _band(target: tuple[tuple[str, float], ...], n: int) -> dict[str, tuple[float, float]]:
    return chance_band(dict(target), n)  # asked for again with every picture
