"""``fairgen model``: what is known of a model before anything is sampled."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from fairgen.cli import common
from fairgen.common.text import one_line
from fairgen.errors import UserError
from fairgen.models.folder import looks_like_file, require_utf8
from fairgen.models.kinds import REMOTE

if TYPE_CHECKING:
    from fairgen.models.description import CalibrationSummary, ModelDescription

app = typer.Typer(help="Models: what a model is, before anything is sampled.", no_args_is_help=True)


@app.command("info")
def info(
    model: str = typer.Argument(
        "embedded", help="'embedded', a hub id, a folder in diffusers' format, or a single file."
    ),
    base: str | None = typer.Option(
        None, "--base", help="For a single file: folder or hub id of its configuration and of what it lacks."
    ),
    as_json: bool = common.JSON,
) -> None:
    """Check a model's folder or file and print what it says about itself: parts, size, licence, settings,
    calibrations, fingerprint, and the bias that was put in, where that is known.
    """
    from fairgen.common.libraries import quiet_libraries

    if model.startswith(REMOTE):
        raise UserError(f"{model} is behind an API: nothing is known of it but its name.")
    require_utf8(model)
    path = Path(model).expanduser()
    if path.is_file() or looks_like_file(model):
        from fairgen.models.description import describe_file

        with quiet_libraries():
            found = describe_file(path, base)
    else:
        from fairgen.models.description import describe_model

        if base is not None:
            raise UserError("--base is for models that are a single file: leave it out.")
        found = describe_model(model)
    if as_json:
        typer.echo(found.model_dump_json())
    else:
        _show(found)


def _show(found: ModelDescription) -> None:
    from rich.table import Table
    from rich.text import Text

    console = common.stdout()
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(style="bold")
    facts.add_column(overflow="fold")
    for name, value in _facts(found):
        facts.add_row(name, Text(one_line(value)))
    parts = common.table(["part", "class"], ["parameters", "MB"])
    parts.add_column("stored as")
    for part in found.parts:
        row = (part.name, part.kind, f"{part.parameters:,}", f"{part.megabytes:.1f}", ", ".join(part.dtypes))
        parts.add_row(*map(one_line, row))
    console.print(facts)
    console.print(parts)


def _facts(found: ModelDescription) -> list[tuple[str, str]]:
    heading = f"{found.model} ({found.title})" if found.title else found.model
    side = f"{found.width} x {found.height} px" if found.width and found.height else "the pipeline's own"
    scheduler = found.scheduler or "the pipeline's own"
    prediction = f", predicts {found.prediction}" if found.prediction else ""
    steps = f", {found.steps} steps" if found.steps else ""
    guidance = "" if found.guidance_scale is None else f", guidance scale {found.guidance_scale:g}"
    facts = [
        ("model", heading),
        ("source", found.source),
        ("path", found.path),
        ("card", found.card or "none"),
        ("licence", found.licence or "not stated"),
        ("pipeline", f"{found.pipeline}{f', files of {found.variant}' if found.variant else ''}"),
        ("size", f"{found.megabytes:.1f} MB of weights, {found.parameters:,} parameters"),
        ("pictures", side),
        ("sampler", f"{scheduler}{prediction}{steps}{guidance}"),
        ("calibrations", "; ".join(map(_calibration, found.calibrations)) or "none (`fairgen calibrate`)"),
        ("fingerprint", found.fingerprint),
        ("files", _as_shipped(found)),
    ]
    if found.damaged_calibrations:
        facts.append(("damaged", f"delete these calibrations: {', '.join(found.damaged_calibrations)}"))
    if bias := found.known_bias:
        groups = ", ".join(f"{name or 'all'} {mean:+.0f}" for name, mean in bias.groups.items())
        facts.append(
            (
                "known bias",
                f"built in on purpose, for {bias.prompts} prompts; mean ITA by group: {groups}; lightest "
                f"{', '.join(bias.lightest)}; darkest {', '.join(bias.darkest)}",
            )
        )
    return facts


def _calibration(one: CalibrationSummary) -> str:
    guidance = "" if one.guidance_scale is None else f", guidance {one.guidance_scale:g}"
    size = f", {one.width} x {one.height} px" if one.width and one.height else ""
    usable = "" if one.usable else ", made with another model and so not used"
    return f"{one.technique} ({one.scheduler}, {one.steps} steps{guidance}{size}; {one.place}{usable})"


def _as_shipped(found: ModelDescription) -> str:
    if found.as_shipped is None:
        return "nothing says which ones shipped (no SHA256SUMS)"
    if found.as_shipped:
        return "as shipped: all match SHA256SUMS"
    return f"NOT as shipped: {', '.join(found.changed)}"
