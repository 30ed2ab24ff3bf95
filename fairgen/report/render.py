"""`Report` values -> one self-contained HTML page: no script, no network, every picture embedded."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib import resources
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fairgen.common.files import disk_errors, replacing
from fairgen.common.text import counted
from fairgen.report import words
from fairgen.report.paging import page_name
from fairgen.report.view import Report


def write_page(reports: list[Report], path: Path, pages: int = 0) -> None:
    """Write the page for one or several reports (one a prompt), piece by piece, whole or not at all.

    Args:
        pages: of pictures in the folder beside it; 0: every picture is in the page.

    Raises:
        UserError: the disk refuses.
    """
    # The style sheet is our own file, not user text: it may go in as it is.
    style = Markup(template_text("report.css"))
    template = page_environment().get_template("report.html.j2")
    write_pieces(path, template.generate(reports=reports, css=style, script_source="", pages=pages))


def write_pieces(path: Path, pieces: Iterable[str]) -> None:
    """Write a page as it is made, whole or not at all. Text as in `fairgen.common.files.write_text`.

    Raises:
        UserError: the disk refuses.
    """
    with (
        disk_errors(path),
        replacing(path) as made,
        made.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        file.writelines(pieces)


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
    environment.filters["counted"] = counted
    environment.filters["sure"] = words.sure
    return environment


@cache
def page_environment() -> Environment:
    """The template engine of all reports."""
    environment = escaping_environment("fairgen.report")
    environment.filters["page_name"] = page_name
    environment.filters["reasons"] = words.reasons
    return environment


def template_text(name: str, package: str = "fairgen.report") -> str:
    """A file of the templates' folder of ``package``, as it is."""
    return resources.files(package).joinpath(f"templates/{name}").read_text(encoding="utf-8")
