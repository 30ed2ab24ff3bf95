"""An audit's progress on standard error: a line for each arm, and a bar with rate and time left."""

from __future__ import annotations

import shlex
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from fairgen.cli import common

if TYPE_CHECKING:
    from rich.table import Table

    from fairgen.audit.runner import AuditEvent
    from fairgen.runs import AuditRecord, PictureRecord, SessionRecord, Summary
    from fairgen.scoring.arms import AuditSummary

_EVERY = 15.0
"""Seconds between two lines where standard error is no terminal."""
_REDRAW = 0.2


@dataclass
class _Arm:
    total: int
    done: int = 0
    discarded: int = 0
    not_read: int = 0
    tvs: list[float] = field(default_factory=list)


@dataclass
class _Open:
    record: SessionRecord
    arm: str
    done: int = 0
    counts: Counter[str] = field(default_factory=Counter)


class _Board:
    """What is known so far, by arm; holds sets that are open, and a number for each that is finished."""

    def __init__(self, audit: AuditRecord, finished: Iterable[Summary]) -> None:
        places = sum(prompt.count for prompt in audit.prompts)
        self.arms = {arm: _Arm(places) for arm in audit.arms}
        self.arm_of = {audit.session(p, arm): arm for p in audit.prompts for arm in audit.arms}
        self.open: dict[str, _Open] = {}
        self.made = 0
        """Pictures sampled by this process."""
        self.sampled_places = 0
        for summary in finished:
            self.close(summary)

    def start(self, record: SessionRecord) -> None:
        self.open[record.session] = _Open(record, self.arm_of[record.session])

    def picture(self, record: PictureRecord, done: int, *, fresh: bool) -> None:
        one = self.open[record.session]
        arm = self.arms[one.arm]
        arm.done += done - one.done
        if fresh:
            self.made += 1
            self.sampled_places += done - one.done
        one.done = done
        arm.discarded += record.decision == "discarded"
        arm.not_read += record.decision == "abstained"
        if record.decision == "kept" and record.measured is not None:
            one.counts[record.measured] += 1

    def close(self, summary: Summary) -> None:
        one = self.open.pop(summary.session, None)
        arm = self.arms[self.arm_of[summary.session]]
        if one is None:
            arm.discarded += summary.discarded
            arm.not_read += summary.abstained
        arm.done += summary.count - (one.done if one else 0)
        if summary.tv is not None:
            arm.tvs.append(summary.tv)

    @property
    def done(self) -> int:
        return sum(arm.done for arm in self.arms.values())

    def tv(self, name: str) -> float | None:
        """Mean TV of an arm's finished sets; before the first, of those that are half full."""
        from fairgen.stats import total_variation

        known = self.arms[name].tvs or [
            total_variation(one.counts, one.record.target)
            for one in self.open.values()
            if one.arm == name and 2 * one.counts.total() >= one.record.count
        ]
        return sum(known) / len(known) if known else None


def _tvs(board: _Board) -> str:
    """The TV of each arm of which it is known; "" where it is of none."""
    known = [(name, board.tv(name)) for name in board.arms]
    told = ", ".join(f"{name} {tv:.2f}" for name, tv in known if tv is not None)
    return f"TV {told}" if told else ""


def rate(pictures: int, seconds: float) -> str:
    """How fast pictures are made; "" before the first."""
    if pictures == 0:
        return ""
    each = seconds / pictures
    return f"{each:.0f} s a picture" if each >= 2 else f"{1 / max(each, 1e-9):.1f} pictures/s"


def _table(board: _Board) -> Table:
    table = common.table(["arm"], ["done", "sets", "TV so far", "discarded", "not read"])
    for name, arm in board.arms.items():
        table.add_row(
            name,
            f"{arm.done}/{arm.total}",
            str(len(arm.tvs)),
            common.number(board.tv(name), 3),
            str(arm.discarded),
            str(arm.not_read),
        )
    return table


def _line(board: _Board, places: int, seconds: float) -> str:
    parts = [f"Audit: {board.done} of {places}", rate(board.made, seconds)]
    if board.sampled_places:
        left = (places - board.done) * seconds / board.sampled_places
        parts.append(f"about {timedelta(seconds=round(left))} left")
    return "; ".join(filter(None, (", ".join(filter(None, parts)), _tvs(board))))


def watch_audit(events: Iterable[AuditEvent], out: Path, places: int) -> AuditSummary:
    """Run an audit to its end and return its summary.

    On a terminal, a live table and a bar; else a line now and then. Ctrl-C becomes `common.Interrupted`,
    which says how to go on.
    """
    from rich.console import Group
    from rich.live import Live
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from fairgen.audit.runner import AuditFinished, AuditStarted
    from fairgen.loop.events import Calibrating, Finished, PictureDone, Replayed, Started

    console = common.stderr()
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        TextColumn("{task.fields[tv]}"),
        console=console,
    )
    task = bar.add_task("Audit", total=places, rate="", tv="")
    board: _Board | None = None
    began = told = drawn = time.monotonic()

    try:
        with Live(console=console, auto_refresh=False, transient=True, screen=False) as live:
            for event in events:
                if isinstance(event, Calibrating):
                    common.say_calibrating(event, common.stderr())
                    bar.update(task, description="Calibrating", total=event.total, completed=event.done)
                elif isinstance(event, AuditStarted):
                    for problem in event.problems:
                        common.say(problem, console)
                    board = _Board(event.record, event.finished)
                    # Afresh: what an earlier run made must not count as speed.
                    bar.reset(task, description="Audit", total=places, completed=board.done)
                    began = time.monotonic()
                elif isinstance(event, AuditFinished):
                    return event.summary
                elif board is not None:
                    if isinstance(event, Started):
                        board.start(event.session)
                    elif isinstance(event, PictureDone | Replayed):
                        board.picture(event.record, event.done, fresh=isinstance(event, PictureDone))
                    elif isinstance(event, Finished):
                        board.close(event.summary)
                    speed = rate(board.made, time.monotonic() - began)
                    bar.update(task, completed=board.done, rate=speed, tv=_tvs(board))
                    if not console.is_terminal and time.monotonic() - told >= _EVERY:
                        told = time.monotonic()
                        print(_line(board, places, told - began), file=sys.stderr, flush=True)
                if console.is_terminal and time.monotonic() - drawn >= _REDRAW:
                    drawn = time.monotonic()
                    live.update(Group(*([_table(board)] if board else []), bar), refresh=True)
    except KeyboardInterrupt:
        if board is None:
            raise common.Interrupted("Interrupted before the first picture: nothing was kept.") from None
        raise common.Interrupted(
            f"Interrupted: every picture and reading so far is kept in {out}; "
            f"`fairgen audit --resume {shlex.quote(str(out))}` goes on."
        ) from None
    raise RuntimeError("the audit ended without a summary")
