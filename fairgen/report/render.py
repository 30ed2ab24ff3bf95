"""`Report` values -> one self-contained HTML page: no script, no network, every picture embedded."""

from __future__ import annotations

from functools import cache
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fairgen.report import words
from fairgen.report.view import Report


def render(reports: list[Report]) -> str:
    """The page for one or several reports (one a prompt), as HTML text."""
    # The style sheet is our own file, not user text: it may go in as it is.
    style = Markup(template_text("report.css"))
    return (
        page_environment().get_template("report.html.j2").render(reports=reports, css=style, script_source="")
    )


def escaping_environment(package: str) -> Environment:
    """A template engine over ``package``'s templates that escapes everything that came from a user, a file or
    a model.
    """
    environment = Environment(
        loader=PackageLoader(package, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["about"] = words.about
    environment.filters["sure"] = words.sure
    return environment


@cache
def page_environment() -> Environment:
    """The template engine of all reports."""
    environment = escaping_environment("fairgen.report")
    environment.filters["reasons"] = words.reasons
    return environment


def template_text(name: str) -> str:
    """A file of the templates' folder, as it is."""
    return resources.files("fairgen.report").joinpath(f"templates/{name}").read_text(encoding="utf-8")
