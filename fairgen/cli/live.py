"""Progress of a running session on standard error, with the distance from the target as it stands."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fairgen.cli import common

if TYPE_CHECKING:
    from fairgen.loop.events import Event
    from fairgen.runs import Summary


def watch(events: Iterable[Event], label: str, out: Path) -> Summary:
    """Run a session to its end under a progress bar and return its summary.

    The bar counts places of the set and shows the running TV. Where standard error is no terminal, a plain
    line is printed for every tenth of the set instead. Ctrl-C becomes `common.Interrupted`, which says what
    was kept.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from fairgen.loop.events import Calibrating, Finished, PictureDone, Started
    from fairgen.stats import total_variation

    console = common.stderr()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("{task.fields[tv]}"),
        TimeRemainingColumn(compact=True),
    )
    counts: dict[str, int] = {}
    target: Mapping[str, float] = {}
    made, told = 0, 0
    try:
        with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
            task = progress.add_task(label, total=None, tv="")
            for event in events:
                if isinstance(event, Calibrating):
                    common.say_calibrating(event, console)
                    progress.update(task, description="Calibrating", total=event.total, completed=event.done)
                elif isinstance(event, Started):
                    target = event.session.target
                    counts = dict.fromkeys(target, 0)
                    progress.update(task, description=label, total=event.session.count, completed=0)
                elif isinstance(event, PictureDone):
                    made += 1
                    record = event.record
                    if record.decision == "kept" and record.measured is not None:
                        counts[record.measured] += 1
                    tv = f"TV {total_variation(counts, target):.2f}" if any(counts.values()) else ""
                    progress.update(task, completed=event.done, tv=tv)
                    tenth = 10 * event.done // max(event.total, 1)
                    if not console.is_terminal and tenth > told:
                        told = tenth
                        state = ", ".join(filter(None, (f"{event.done} of {event.total}", tv)))
                        print(f"{label}: {state}", file=sys.stderr, flush=True)
                elif isinstance(event, Finished):
                    progress.update(task, completed=event.summary.count)
                    return event.summary
    except KeyboardInterrupt:
        if not target:
            raise common.Interrupted("Interrupted while calibrating: nothing was kept.") from None
        what, their = ("picture", "its reading") if made == 1 else (f"{made} pictures", "their readings")
        raise common.Interrupted(
            f"Interrupted: the {what} of this session and {their} are kept in {out}; "
            f"`fairgen report {shlex.quote(str(out))}` shows them."
        ) from None
    raise RuntimeError("the session ended without a summary")
