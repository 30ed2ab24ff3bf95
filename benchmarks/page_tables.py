"""Puts a benchmark's table into docs/benchmarks.md, between the marks that carry its name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fairgen.bench.tables import TextTable

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    return TextTable("", tuple(titles), tuple(map(tuple, rows))).markdown()


def put(name: str, text: str, page: Path = PAGE) -> None:
    """Replace what stands between ``<!-- name -->`` and ``<!-- /name -->``.

    Raises:
        ValueError: the page lacks the marks.
    """
    content = page.read_text(encoding="utf-8")
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, found, rest = content.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{page} lacks the marks {begin.strip()} and {end}")
    page.write_text(f"{before}{begin}{text}\n{end}{after}", encoding="utf-8")
