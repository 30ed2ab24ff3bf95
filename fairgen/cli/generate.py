"""``fairgen generate PROMPT``: a set of pictures, steered to a declared target and measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from fairgen.cli import common
from fairgen.cli.opening import opens_a_model
from fairgen.common.text import counted, readable
from fairgen.errors import UserError
from fairgen.steering import registry

if TYPE_CHECKING:
    from fairgen.models.options import ModelOptions


@opens_a_model
def generate(
    prompt: str = typer.Argument(help="What the pictures should show, such as 'a portrait of a doctor'."),
    spec: str = common.SPEC,
    target: str | None = common.TARGET,
    count: int = typer.Option(12, "--count", min=1, max=10_000, help="Pictures wanted."),
    model: str = common.MODEL,
    steering: str = typer.Option("auto", "--steering", help=registry.help_text(registry.names())),
    seed: int = common.SEED,
    out: Path | None = common.OUT,
    force: bool = common.FORCE,
    device: str = common.DEVICE,
    batch_size: int | None = common.BATCH,
    c2pa_cert: Path | None = common.C2PA_CERT,
    c2pa_key: Path | None = common.C2PA_KEY,
    max_tries: int = typer.Option(
        4, "--max-tries", min=1, max=100, help="Most pictures made for one place in the set."
    ),
    tolerance: float = common.TOLERANCE,
    require: bool = common.REQUIRE,
    as_json: bool = common.JSON,
    *,
    opening: ModelOptions,
) -> None:
    """Make a set of pictures whose skin tones come close to a declared target, and say how close."""
    if not prompt.strip():
        raise UserError('The prompt is empty: give one, such as "a portrait of a doctor".')
    common.check_range("--tolerance", tolerance, 0, 1)
    declared = common.resolve_spec(spec, target)
    # Whatever can be refused is refused before a model is loaded.
    from fairgen.provenance.signing import signer_from_environment
    from fairgen.steering import check_technique

    check_technique(steering)
    signer = signer_from_environment(c2pa_cert, c2pa_key)
    folder = common.claim_out(out or common.default_out("generate", prompt), force=force)

    from fairgen.cli.live import watch
    from fairgen.loop.session import run_session
    from fairgen.report import write_report

    with common.loaded(model, device, opening) as (generator, reader):
        common.say_requests(generator, count, count * (1 if steering == registry.NONE else max_tries))
        events = run_session(
            generator,
            reader,
            prompt,
            declared,
            count,
            steering=steering,
            seed=seed,
            batch_size=batch_size,
            max_tries=max_tries,
            out_dir=folder,
            signer=signer,
        )
        summary = watch(events, "Sampling", folder)
    report = write_report(folder).html
    if as_json:
        common.echo_json(summary.model_dump(mode="json") | {"report": readable(report)})
    else:
        columns = {"first pass": summary.first_pass, "measured": summary.measured}
        common.stdout().print(common.distribution_table("", summary.scale, summary.target, columns))
        common.say(common.distance_line([("measured", summary)]))
        common.say(
            f"{counted(summary.generated, 'picture')} made for {counted(summary.count, 'place')}: "
            f"{summary.kept} kept, {summary.discarded} discarded, {summary.abstained} not read"
        )
        for note in summary.notes:
            common.say(note)
        typer.echo(f"Report: {report}")
    if require and (summary.tv is None or summary.tv > tolerance):
        raise typer.Exit(3)
