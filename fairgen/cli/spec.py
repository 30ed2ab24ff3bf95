"""``fairgen spec``: look at fairness specs and check them."""

from __future__ import annotations

import json

import typer

from fairgen.cli import common

app = typer.Typer(help="Fairness specs: the declared targets as documents.", no_args_is_help=True)


@app.command("list")
def list_() -> None:
    """Name the specs that ship with fairgen."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from fairgen.spec import list_specs, load_spec

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("name", "scale", "about"):
        table.add_column(heading)
    for name in list_specs():
        spec = load_spec(name)
        table.add_row(Text(name), Text(spec.scale), Text(spec.about))
    common.stdout().print(table)


@app.command("show")
def show(
    name: str = typer.Argument(help="A spec's name, or its file.", show_default=False),
    as_json: bool = common.JSON,
) -> None:
    """Print a spec in full."""
    from fairgen.spec import dump_spec, load_spec

    spec = load_spec(name)
    if as_json:
        typer.echo(
            json.dumps(spec.model_dump(mode="json") | {"hash": spec.content_hash()}, ensure_ascii=False)
        )
    else:
        typer.echo(dump_spec(spec), nl=False)


@app.command("check")
def check(names: list[str] = typer.Argument(help="Specs' names or files.", show_default=False)) -> None:
    """Say whether specs are sound; the first that is not ends with exit code 2, and its line and reason."""
    from fairgen.spec import load_spec

    for name in names:
        spec = load_spec(name)
        signed = f"approved by {spec.approved_by}" if spec.approved_by else "not approved by anybody"
        typer.echo(
            common.one_line(
                f"{name}: sound; {spec.name} version {spec.version}, {spec.scale}, {signed}, "
                f"{spec.content_hash()}"
            )
        )
