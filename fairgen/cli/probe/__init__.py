"""``fairgen probe``: does a language model answer the same when told that it is watched?"""

from __future__ import annotations

import typer

from fairgen.cli.probe.target import target
from fairgen.cli.probe.values import values

app = typer.Typer(
    help="Does the language model behind a target answer the same when told that it is watched?",
    no_args_is_help=True,
)
app.command("target")(target)
app.command("values")(values)
