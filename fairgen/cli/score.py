"""``fairgen score RUN --spec X``: hold an old run against another spec, without generating."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from fairgen.cli import common
from fairgen.common.files import write_text
from fairgen.common.text import counted, one_line

if TYPE_CHECKING:
    from fairgen.scoring.rescore import Score


def score(
    run: Path = common.RUN,
    spec: str = common.SPEC,
    target: str | None = common.TARGET,
    out: Path | None = common.JSON_FILE,
    tolerance: float = common.TOLERANCE,
    require: bool = typer.Option(
        False, "--require", help="Exit with code 3 unless every set is within --tolerance."
    ),
    as_json: bool = common.JSON,
) -> None:
    """Hold an old run against another declared target, also on another scale; generates and changes nothing.

    What was kept and what was tried again was decided for the target that the run was made for.
    """
    common.check_range("--tolerance", tolerance, 0, 1)
    declared = common.resolve_spec(spec, target)
    from fairgen.scoring.rescore import score_run

    found = score_run(run, declared)
    if out is not None:
        write_text(out, found.model_dump_json(indent=2) + "\n")
    if as_json:
        typer.echo(found.model_dump_json())
    else:
        _show(found)
    if require and any(one.tv is None or one.tv > tolerance for one in found.sets):
        raise typer.Exit(3)


def _show(found: Score) -> None:
    table = common.table(["prompt", "arm"], ["counted", "TV", "first pass", "chance", "was"])
    table.columns[1].no_wrap = True
    for one in found.sets:
        table.add_row(
            one_line(one.prompt),
            one.arm,
            f"{one.kept:,}",
            common.number(one.tv, 3),
            common.number(one.first_pass_tv, 3),
            common.number(one.noise_floor_tv, 3),
            common.number(one.tv_then, 3),
        )
    common.stdout().print(table)
    for arm in found.arms:
        common.say(
            f"{arm.arm}: mean TV {common.number(arm.tv, 3)} over {counted(arm.prompts, 'prompt')}, "
            f"alignment error {common.number(arm.alignment_error, 4)}"
        )
    against = f"TV from {found.spec} (scale {found.scale})"
    common.say(f"{against}; was: from the target that the set was made for.")
    for problem in found.problems:
        common.say(problem)
