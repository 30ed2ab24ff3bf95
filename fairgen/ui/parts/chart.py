"""The live chart: declared, first pass and current distribution, with what chance alone would leave."""

from __future__ import annotations

from collections.abc import Mapping

from fairgen import stats
from fairgen.report.load import axis_end, tone_classes
from fairgen.ui.parts.markup import render
from fairgen.ui.work.live import LiveSet, chance


def live_chart(live: LiveSet) -> str:
    """The chart of a running or finished set."""
    steered = live.record is not None and live.record.steered
    return distribution_chart(
        live.scale,
        live.target,
        live.count,
        counts=live.counts(),
        first=live.first_pass() if steered else None,
        now_label="so far" if live.running else "this set",
        running=live.running,
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
    id: str = "chart",
) -> str:
    """HTML of the chart; without ``counts``, of the declared target alone.

    ``count`` is the number of pictures that the chance floor and band are computed for.
    """
    known = dict(counts) if counts is not None else dict.fromkeys(target, 0)
    total = sum(known.values())
    first_total = sum(first.values()) if first is not None else 0
    floor, band = chance(target, count)
    shares = [*target.values(), *(high for _, high in band.values())]
    shares += [n / total for n in known.values() if total]
    shares += [n / first_total for n in (first or {}).values() if first_total]
    return render(
        "chart",
        title="Share of pictures in each skin-tone class",
        classes=tone_classes(scale, target),
        target=target,
        band=band,
        floor=floor,
        counts=known,
        total=total,
        made=counts is not None,
        first=first,
        first_total=first_total,
        tv=stats.total_variation(known, target) if total else None,
        axis=axis_end(shares),
        count=count,
        now_label=now_label,
        running=running,
        id=id,
    )
