"""`Report` values -> one self-contained HTML page: no script, no network, every picture embedded."""

from __future__ import annotations

from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fairgen.report import words
from fairgen.report.view import Report


def render(reports: list[Report]) -> str:
    """The page for one or several reports (one a prompt), as HTML text.

    Everything that came from a user, a file or a model is escaped by the template engine.
    """
    environment = Environment(
        loader=PackageLoader("fairgen.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["about"] = words.about
    environment.filters["sure"] = words.sure
    environment.filters["reasons"] = words.reasons
    style = resources.files("fairgen.report").joinpath("templates/report.css").read_text(encoding="utf-8")
    # The style sheet is our own file, not user text: it may go in as it is.
    return environment.get_template("report.html.j2").render(reports=reports, css=Markup(style))
