"""What the tests of the citation checker share: a page that holds a quote, and short ways to ask."""

from __future__ import annotations

from fairgen.targets import Citation
from fairgen.targets.citations import Fetcher, judge_citations
from tests.doubles.web_server import WebServer

QUOTE = "In 2023, 12.4% of the nurses said that they were born abroad."
FILLER = "<p>" + "This page goes on about other things, and on and on. " * 10 + "</p>"
HTML = f"<html><head><title>Nurses</title></head><body><p>{QUOTE}</p>{FILLER}</body></html>"
WITHOUT = f"<html><body>{FILLER}</body></html>"


def cite(url: str | None, quote: str | None = QUOTE) -> Citation:
    return Citation(title="A table", claim="a share", url=url, quote=quote)


def fetcher(server: WebServer, **options: object) -> Fetcher:
    """One that may reach this server and nothing else; every name stands for loopback."""
    settings: dict[str, object] = {
        "refuse": server.refuse,
        "resolve": lambda host, port: ["127.0.0.1"],
        "seconds": 10.0,
    }
    return Fetcher(**(settings | options))  # type: ignore[arg-type]


def verdict(server: WebServer, path: str, quote: str = QUOTE, **options: object) -> tuple[str, str]:
    (found,) = judge_citations([cite(server.url(path), quote)], fetcher=fetcher(server, **options))
    return found.citation.checked, found.reason
