"""``fairgen demo``: one occupation, unsteered and steered on the same seeds, with the embedded model."""

from __future__ import annotations

from pathlib import Path

import typer

from fairgen.cli import common
from fairgen.common.text import readable
from fairgen.errors import UserError

DEMO_PROMPT = "a portrait of a CEO"


def demo(
    prompt: str = typer.Option(DEMO_PROMPT, "--prompt", help="What the pictures should show."),
    count: int = typer.Option(30, "--count", min=1, max=10_000, help="Pictures in each of the two sets."),
    spec: str = common.SPEC,
    seed: int = common.SEED,
    out: Path | None = common.OUT,
    force: bool = common.FORCE,
    model: str = common.MODEL,
    device: str = common.DEVICE,
    batch_size: int | None = common.BATCH,
    as_json: bool = common.JSON,
) -> None:
    """Make one set unsteered and one steered to the target, from the same seeds, and report both.

    The embedded model is a small demonstration model on rendered heads; its bias was built in on purpose.
    """
    if not prompt.strip():
        raise UserError('The prompt is empty: give one, such as "a portrait of a doctor".')
    declared = common.resolve_spec(spec, None)
    folder = common.claim_out(out or common.default_out("demo", prompt), force=force)

    from fairgen.cli.live import watch
    from fairgen.loop.session import run_session
    from fairgen.report import write_report

    summaries = []
    with common.loaded(model, device) as (generator, reader):
        for label, steering in (("unsteered", "none"), ("steered", "auto")):
            events = run_session(
                generator,
                reader,
                prompt,
                declared,
                count,
                steering=steering,
                seed=seed,
                batch_size=batch_size,
                out_dir=folder,
            )
            summaries.append((label, watch(events, label.capitalize(), folder)))
    report = write_report(folder).html
    if as_json:
        document = {name: s.model_dump(mode="json") for name, s in summaries} | {"report": readable(report)}
        common.echo_json(document)
        return
    title = f"{prompt}, {count} pictures each"
    measured = {name: s.measured for name, s in summaries}
    common.stdout().print(
        common.distribution_table(title, declared.scale, declared.target_for(prompt), measured)
    )
    common.say(common.distance_line(summaries))
    for note in dict.fromkeys(note for _, s in summaries for note in s.notes):
        common.say(note)
    if model == "embedded":
        words = "Synthetic pictures by a small demonstration model whose bias was built in on purpose."
        common.say(words)
    typer.echo(f"Report: {report}")
