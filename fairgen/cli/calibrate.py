"""``fairgen calibrate``: a model's dose-response, so that strengths need no tuning by hand."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from fairgen.cli import common
from fairgen.cli.dose_sheet import SCALE, TILE, path_lines, save_sheet
from fairgen.cli.opening import opens_a_model
from fairgen.cli.telling import with_progress
from fairgen.common.text import read_prompts, readable
from fairgen.errors import UserError
from fairgen.steering import registry

if TYPE_CHECKING:
    from PIL import Image

    from fairgen.models.options import ModelOptions
    from fairgen.steering.calibration import Calibration


@opens_a_model
def calibrate(
    model: str = common.MODEL,
    steering: str = typer.Option("embedding", "--steering", help=registry.help_text(registry.continuous())),
    prompts: Path | None = typer.Option(
        None, "--prompts", help="Prompts to measure on, one a line; by default six that no audit uses."
    ),
    seeds: int = typer.Option(4, "--seeds", min=2, max=100, help="Pictures of each prompt at each strength."),
    sheet: Path | None = typer.Option(
        None,
        "--sheet",
        help="Save the pictures, a row for each strength, and what the model reaches, as this PNG.",
    ),
    out: Path | None = typer.Option(None, "--out", help="Folder to keep it in; by default the user's own."),
    seed: int = common.SEED,
    device: str = common.DEVICE,
    batch_size: int | None = common.BATCH,
    as_json: bool = common.JSON,
    *,
    opening: ModelOptions,
) -> None:
    """Measure how dark each strength makes a model's pictures, and keep the curve for later runs."""
    from fairgen.steering import named_tone

    if steering not in registry.continuous():
        raise UserError(
            f"Steering {steering!r} has no strength to calibrate: use {' or '.join(registry.continuous())}."
        )
    if sheet is not None and sheet.suffix.lower() != ".png":
        raise UserError(f"--sheet {sheet} must end in .png.")
    if sheet is not None and sheet.exists() and not sheet.is_file():
        raise UserError(f"--sheet {sheet} is a folder or a device: name a file.")
    chosen = read_prompts(prompts) if prompts is not None else None
    for prompt in chosen or ():
        if (named := named_tone(prompt)) is not None:
            raise UserError(
                f"The prompt {prompt!r} names a skin tone ({named!r}), which is what is to be measured: "
                "take it out."
            )
    with common.loaded(model, device, opening) as (generator, reader):
        from fairgen.loop.calibrate import PROMPTS, Plan
        from fairgen.loop.calibrate import calibrate as measure
        from fairgen.steering.calibration import save_calibration
        from fairgen.steering.conditioning import ANCHORS
        from fairgen.steering.prompt_variants import with_word

        plan = Plan(prompts=tuple(chosen) if chosen else PROMPTS, seeds=seeds)
        toned = [with_word(prompt, word) for prompt in plan.prompts for _, word in ANCHORS]
        generator.check_prompts([*plan.prompts, *toned])
        tiles: dict[float, list[Image.Image]] = {}

        def keep(strength: float, picture: Image.Image) -> None:
            if sheet is not None:
                tiles.setdefault(strength, []).append(picture.resize((TILE, TILE)))

        work = measure(generator, reader, steering, plan=plan, seed=seed, batch_size=batch_size, keep=keep)
        found = with_progress(work, "Calibrating", plan.pictures)
        path = save_calibration(found, generator.info, out)
    if sheet is not None:
        save_sheet(tiles, found, sheet)
    if as_json:
        reach = {one.tone: asdict(one) for one in found.reach(SCALE)}
        more = {"monotone": found.monotone, "reach": reach, "file": readable(path)}
        common.echo_json(found.model_dump(mode="json") | more)
        return
    _show(found)
    typer.echo(f"Kept: {path}")


def _show(found: Calibration) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    console = common.stdout()
    doses = Table("strength", "mean ITA", "spread", "read", "not read", box=SIMPLE_HEAD)
    for dose in found.doses:
        values = ["–" if v is None else f"{v:.1f}°" for v in (dose.ita, dose.spread)]
        doses.add_row(f"{dose.strength:+.1f}", *values, str(dose.read), str(dose.not_read))
    console.print(doses)
    starts = Table("start", "reach", "change elsewhere (CIEDE2000)", box=SIMPLE_HEAD)
    for row in found.starts:
        change = "–" if row.elsewhere is None else f"{row.elsewhere:.2f}"
        starts.add_row(f"{row.start:.2f}", f"{row.reach:.0%}", change)
    console.print(starts)
    common.say(
        f"Rank correlation of strength and ITA {found.spearman:.3f} (-1: monotone). Steering starts after "
        f"{found.start:.0%} of the steps."
    )
    if not found.monotone:
        words = "The effect is not monotone: expect many misses with this model, or use --steering prompt."
        common.say(words)
    reach = Table("class", "likeliest at", "chance", "reached", box=SIMPLE_HEAD)
    for one in found.reach(SCALE):
        reach.add_row(one.tone, f"{one.strength:+.2f}", f"{one.chance:.0%}", "yes" if one.reached else "no")
    console.print(reach)
    for line in path_lines(found):
        common.say(line)
