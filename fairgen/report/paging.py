"""Reports that are an overview and pages of pictures in a folder beside it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Literal

from fairgen.common.files import disk_errors
from fairgen.errors import UserError

__all__ = ["PAGES", "Layout", "page_name", "put_in_place"]

Layout = Literal["auto", "single", "folder"]
"""One page; an overview with pages in a folder; or the one or the other by the number of pictures."""

PAGES = "report-pages"
"""The folder beside ``report.html``."""

_NAME = re.compile(r"\d{4,}\.html")


def page_name(number: int) -> str:
    """The file of a page, from 1."""
    return f"{number:04d}.html"


def put_in_place(made: Path, folder: Path) -> None:
    """Move a report's files from the folder that they were made in to the one that they belong in.

    Pages of an earlier report go, also where the new one has none.

    Raises:
        UserError: something else lies in ``report-pages``, or the disk refuses.
    """
    old = folder / PAGES
    with disk_errors(folder):
        if old.exists() and not (old.is_dir() and all(map(_is_page, old.iterdir()))):
            raise UserError(
                f"{old} holds what is no page of a report: move it away, or choose another --out."
            )
        if old.exists():
            old.rename(made / "before")
        for part in sorted(made.iterdir()):
            if part.name == PAGES or part.suffix in (".html", ".json", ".csv", ".parquet"):
                part.rename(folder / part.name)
        shutil.rmtree(made / "before", ignore_errors=True)


def _is_page(path: Path) -> bool:
    return _NAME.fullmatch(path.name) is not None and path.is_file()
