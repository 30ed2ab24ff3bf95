"""``fairgen model``: what is known of a model before anything is sampled."""

from __future__ import annotations

import json

import typer

from fairgen.cli import common

app = typer.Typer(help="Models: what a model is, before anything is sampled.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Models."""


@app.command("info")
def info(
    model: str = typer.Argument("embedded", help="'embedded', a hub id, or a folder in diffusers' format."),
    as_json: bool = common.JSON,
) -> None:
    """Check a model's folder and print where it lies, its pipeline, its defaults and the hashes of its
    weights.
    """
    from fairgen.modelfolder import find_model

    folder = find_model(model)
    document = {
        "model": folder.name,
        "source": folder.source,
        "path": str(folder.path),
        "pipeline": folder.pipeline_class,
        "variant": folder.variant,
        "defaults": folder.defaults(),
        "weights": folder.weight_hashes(),
    }
    if as_json:
        typer.echo(json.dumps(document, ensure_ascii=False))
        return
    for name, value in document.items():
        if isinstance(value, dict):
            typer.echo(f"{name}:")
            for key, part in value.items():
                typer.echo(f"  {key}: {part}")
        elif value is not None:
            typer.echo(f"{name}: {value}")
