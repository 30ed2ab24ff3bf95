"""``fairgen run``: looks after a run folder."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from fairgen.cli import common
from fairgen.common.text import counted, one_line, readable

if TYPE_CHECKING:
    from fairgen.runs import RunCheck

app = typer.Typer(help="Run folders: whether what they hold can be believed.", no_args_is_help=True)


@app.command("check")
def check(
    run: Path = common.RUN,
    repair: bool = typer.Option(
        False,
        "--repair",
        help="Move what is broken to RUN/broken-1 (2 ...), so that the rest can be used.",
    ),
    as_json: bool = common.JSON,
) -> None:
    """List everything that is wrong with a run: records that were changed, lost or contradict each other, and
    pictures that are gone or do not show what was recorded. Exit code 1 if something is wrong.

    With --repair nothing is deleted, and the exit code is 0 when at most pictures are gone: go on with
    `fairgen audit --resume`, which makes anew whatever was moved or is gone.
    """
    from fairgen.runs import check_run, repair_run

    with common.stderr().status("Checking the run …"):
        done = repair_run(run) if repair else None
        found = check_run(run)
    broken = any(fault.run_file or fault.file or not repair for fault in found.faults)
    if as_json:
        document = {
            "run": readable(found.folder),
            "faults": [asdict(fault) for fault in found.faults],
            "notes": found.notes,
            "sessions": found.sessions,
            "pictures": found.pictures,
            "aside": readable(done.aside) if done else None,
            "mended": [asdict(fault) for fault in done.before.faults] if done else [],
        }
        typer.echo(json.dumps(document))
    else:
        if done is not None:
            _list(done.before)
            typer.echo(
                f"Moved to {done.aside}: {counted(len(done.sessions), 'set')} and "
                f"{counted(len(done.pictures), 'single picture')}, with the run file as it was."
            )
            typer.echo(_how_to_go_on(found))
        _list(found)
        typer.echo(
            f"{counted(found.sessions, 'set')} and {counted(found.pictures, 'picture')} checked: "
            f"{'nothing is wrong' if not found.faults else counted(len(found.faults), 'fault')}"
            f"{'' if broken or not found.faults else ' left. Continue the run to mend that'}."
        )
        if found.faults and not repair:
            typer.echo(f"`fairgen run check {shlex.quote(str(run))} --repair` moves what is broken aside.")
    if broken:
        raise typer.Exit(1)


def _list(found: RunCheck) -> None:
    for fault in found.faults:
        typer.echo(one_line(fault.text))
    for note in found.notes:
        typer.echo(f"Note: {one_line(note)}")


def _how_to_go_on(found: RunCheck) -> str:
    if found.audit is None:
        return "What was moved can be made again with `fairgen generate`."
    return f"`fairgen audit --resume {shlex.quote(str(found.folder))}` makes it again."
