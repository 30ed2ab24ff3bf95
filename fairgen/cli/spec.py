"""``fairgen spec``: look at fairness specs and check them."""

from __future__ import annotations

import typer

from fairgen.cli import common
from fairgen.cli.spec_approve import approve
from fairgen.cli.spec_new import new
from fairgen.cli.spec_show import show

app = typer.Typer(help="Fairness specs: the declared targets as documents.", no_args_is_help=True)
app.command("show")(show)
app.command("new")(new)
app.command("approve")(approve)


@app.command("list")
def list_() -> None:
    """Name the specs that ship with fairgen."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from fairgen.resources import specs_dir
    from fairgen.spec import list_specs, load_spec

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("name", "scale", "contexts", "approval", "about"):
        table.add_column(heading, justify="right" if heading == "contexts" else "left")
    for name in list_specs():
        spec = load_spec(name)
        contexts = str(len(spec.contexts)) if spec.contexts else "–"
        table.add_row(name, spec.scale, contexts, spec.approval, Text(spec.about))
    console = common.stdout()
    console.print(table)
    console.print(f"Templates to copy lie in {specs_dir() / 'templates'}.", markup=False, soft_wrap=True)


@app.command("check")
def check(names: list[str] = typer.Argument(help="Specs' names or files.", show_default=False)) -> None:
    """Say whether specs are sound, and whether their approval holds.

    The first that is not sound ends with exit code 2, and its line and reason. A void approval (the document
    was changed after it was signed) is shown as VOID, and the exit code is 3.
    """
    from fairgen.spec import load_spec

    void = False
    for name in names:
        spec = load_spec(name)
        void = void or spec.approval == "void"
        contexts = f", {len(spec.contexts)} contexts" if spec.contexts else ""
        verdict = "VOID" if spec.approval == "void" else "sound"
        typer.echo(
            common.one_line(
                f"{name}: {verdict}; {spec.name} version {spec.version}, {spec.scale}{contexts}, "
                f"{spec.approval_text}, {spec.content_hash()}"
            )
        )
    if void:
        raise typer.Exit(3)
