"""``fairgen compare RUN RUN``: two runs side by side, prompt by prompt and arm by arm."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from fairgen.cli import common
from fairgen.common.files import write_text
from fairgen.common.text import counted, one_line

if TYPE_CHECKING:
    from fairgen.scoring.compare import Comparison


def compare(
    first: Path = typer.Argument(help="A run folder."),
    second: Path = typer.Argument(help="The one to hold against it."),
    out: Path | None = common.JSON_FILE,
    as_json: bool = common.JSON,
) -> None:
    """Compare two runs or audits: distances of each shared prompt and arm, and whether chance could explain
    the difference.

    The test looks at first attempts alone: what was kept after feedback and retries is no independent draw.
    """
    from fairgen.scoring.compare import compare_runs

    with common.stderr().status("Comparing …"):
        found = compare_runs(first, second)
    if out is not None:
        write_text(out, found.model_dump_json(indent=2) + "\n")
    if as_json:
        typer.echo(found.model_dump_json())
    else:
        _show(found)


def _show(found: Comparison) -> None:
    from fairgen.scoring.compare import CHANCE, FEWEST

    table = common.table(["prompt", "arm"], ["TV 1st", "TV 2nd", "difference", "first pass", "p (Holm)"])
    table.columns[1].no_wrap = True
    for one in found.sets:
        table.add_row(
            one_line(one.prompt),
            one.arm,
            common.number(one.tv[0], 3),
            common.number(one.tv[1], 3),
            common.signed(one.difference),
            common.signed(one.first_pass_difference),
            common.number(one.p_holm, 3),
        )
    common.stdout().print(table)
    for arm in found.arms:
        untested = "not tested" if arm.prompts >= FEWEST else "too few prompts for a test"
        chance = untested if arm.p_value is None else f"p = {arm.p_value:.3g} over prompts"
        common.say(
            f"{arm.arm}: mean TV {common.number(arm.tv[0], 3)} and {common.number(arm.tv[1], 3)} over "
            f"{counted(arm.prompts, 'prompt')}; first pass {common.number(arm.first_pass_tv[0], 3)} and "
            f"{common.number(arm.first_pass_tv[1], 3)}, {chance}"
        )
    unlikely = sum(one.p_holm is not None and one.p_holm < CHANCE for one in found.sets)
    common.say(
        f"In {unlikely} of {counted(len(found.sets), 'row')} chance is no likely explanation of the "
        f"first-pass difference (p < {CHANCE:g} after Holm's correction)."
    )
    for words, names in (
        ("Only in the first", found.only[0]),
        ("Only in the second", found.only[1]),
        ("Not compared, another target", found.other_target),
    ):
        if names:
            text = f"{words}: {', '.join(names[:6])}{' …' if len(names) > 6 else ''}"
            common.say(one_line(text))
    for problem in found.problems:
        common.say(problem)
