"""What a monitor says, in sentences."""

from __future__ import annotations

from fairgen.monitor.store import Alarm
from fairgen.scoring.monitored import ContextFigures

_WHAT = {"target": "off target", "change": "changed"}


def alarm_sentence(alarm: Alarm) -> str:
    """``ALARM: “nurse” is off target: after 52 pictures the evidence is 31 (line 22).``"""
    first = "ALARM" if alarm.level == "alarm" else "Warning, for this context by itself"
    verb = "is off target" if alarm.test == "target" else "changed"
    pictures = "picture" if alarm.picture == 1 else "pictures"
    return (
        f"{first}: “{alarm.context}” {verb}: after {alarm.picture} {pictures} the evidence "
        f"is {number_text(alarm.evidence)} (line {number_text(alarm.line)})."
    )


def context_line(found: ContextFigures) -> str:
    """One context as it stands."""
    tests = ", ".join(
        f"{_WHAT[name]}: evidence {number_text(test.evidence)}"
        + (f" of {number_text(test.line)}" if test.line else " (cannot alarm)")
        for name, test in found.tests.items()
    )
    tv = "" if found.tv is None else f", TV {found.tv:.3f} (chance floor {found.noise_floor_tv:.3f})"
    if found.tv_allowed > 0.005:
        tv += f", of which the reader's errors may explain {found.tv_allowed:.2f}"
    unread = sum(found.abstained.values())
    return (
        f"{found.context}: {found.read} read of {found.offered} offered, {unread} without a tone, "
        f"{found.unreadable} not opened{tv}; {tests}"
    )


def backlog_sentence(waiting: int, rate: float, every: int, *, quicker: bool) -> str:
    """What to do where pictures come faster than they are read; ``quicker``: there is a reader that is."""
    ways = [f"look at fewer (--every {2 * every}, with a new --state)"]
    ways += ["use the quicker reader (--reader second, with a new --state)"] if quicker else []
    return f"Behind: {waiting} pictures wait, {rate:.1f} a second are read. To keep up, {', or '.join(ways)}."


def number_text(value: float) -> str:
    """An e-value in three digits; ``1,340`` above 1,000, no digits above a million."""
    if value < 999.5:
        return f"{value:.3g}"
    return f"{float(f'{value:.3g}'):,.0f}" if value < 999_500 else "over a million"
