"""``fairgen spec``: look at fairness specs and check them."""

from __future__ import annotations

import typer

from fairgen.cli import common
from fairgen.cli.spec.approve import approve
from fairgen.cli.spec.check import check
from fairgen.cli.spec.new import new
from fairgen.cli.spec.show import show
from fairgen.cli.spec.source import source
from fairgen.cli.spec.table import table

app = typer.Typer(help="Fairness specs: the declared targets as documents.", no_args_is_help=True)
app.command("show")(show)
app.command("check")(check)
app.command("new")(new)
app.command("approve")(approve)
app.command("source")(source)
app.command("table")(table)


@app.command("list")
def list_() -> None:
    """Name the specs that ship with fairgen."""
    from rich.text import Text

    from fairgen.common.resources import specs_dir
    from fairgen.targets import list_specs, load_spec

    shipped = common.table(["name", "scale"], ["contexts"])
    for heading in ("approval", "about"):
        shipped.add_column(heading)
    for name in list_specs():
        spec = load_spec(name)
        contexts = str(len(spec.contexts)) if spec.contexts else "–"
        shipped.add_row(name, spec.scale, contexts, spec.approval, Text(spec.about))
    common.stdout().print(shipped)
    common.say(f"Templates to copy lie in {specs_dir() / 'templates'}.")
