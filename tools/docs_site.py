"""An MkDocs hook: the site also holds the few files outside docs/ that its pages link to.

Pages link to these by their place in the repository, so that the links work there too. On the site each is a
page or a file of its own, and links from and to it are turned into those of the site.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
GUESTS = {
    "assets/embedded/README.md": "guests/embedded-model-card.md",
    "skin_tone/README.md": "guests/skin_tone.md",
    "tools/reader/rated.py": "guests/rated.py",
}
"""Place in the repository -> place on the site."""
_LINK = re.compile(r"(\]\()([^)#\s:]+)(#[^)\s]*)?(\))")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the guests."""
    from mkdocs.structure.files import File

    for home, place in GUESTS.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / home)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links to and from guests into those of the site."""
    return site_links(markdown, page.file.src_uri)


def site_links(markdown: str, place: str) -> str:
    """The text of a page with its relative links as they are on the site.

    Args:
        markdown: the page.
        place: where it is on the site, such as ``audit.md``.
    """
    home = next((home for home, there in GUESTS.items() if there == place), f"docs/{place}")

    def turned(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(home), match[2]))
        there = GUESTS.get(target) or target.removeprefix("docs/")
        if there == target:  # neither: MkDocs says that the link leads nowhere
            return match[0]
        return (
            f"{match[1]}{posixpath.relpath(there, posixpath.dirname(place) or '.')}{match[3] or ''}{match[4]}"
        )

    return _LINK.sub(turned, markdown)
