"""``fairgen spec approve FILE --by NAME``: a person signs what a spec says now."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import typer

from fairgen.common.text import one_line
from fairgen.errors import UserError


def approve(
    file: Path = typer.Argument(help="The spec's file; it is changed in place."),
    by: str = typer.Option(..., "--by", help="Who approves: a person's name."),
    on: str | None = typer.Option(None, "--on", help="When, such as 2026-11-23; by default today."),
) -> None:
    """Sign a spec: who, when, and the hash of its content. Whatever is changed afterwards voids the approval.

    Only the three approval lines of the file change; comments and layout stay.
    """
    from fairgen.targets.signing import approve_file

    try:
        day = None if on is None else datetime.strptime(on, "%Y-%m-%d").date()
    except ValueError:
        raise UserError(f"--on {on!r} is no date: write it as 2026-11-23.") from None
    before, after = approve_file(file, by, day)
    signed = f"{file}: {after.name} version {after.version} {after.approval_text}, {after.approved_hash}"
    typer.echo(one_line(signed))
    if before.approval != "unapproved":
        typer.echo(one_line(f"This replaces what stood there: {before.approval_text}."))
