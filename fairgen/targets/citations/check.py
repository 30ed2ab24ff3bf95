"""Looks the quotes of citations up in the pages that they cite, and says of each what came out and why.

found: the page was read, and holds the quote. not_found: it was read and does not, or the server says that
there is no such page (HTTP 404, 410). unreachable: nothing that could be read came, so neither is known.
unchecked: there is no address or no quote to look for, so nothing was fetched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urldefrag, urlsplit

from fairgen.common.files import now
from fairgen.targets import Citation
from fairgen.targets.citations.fetch import Fetcher, Page, Unreachable
from fairgen.targets.citations.quote import Quote, TooShort, fold, is_in, parse_quote
from fairgen.targets.citations.text import PageText, page_text

__all__ = ["Verdict", "check_citations", "judge_citations", "pages_to_fetch"]

_LEAST_TEXT = 200
_GATE = re.compile(r"\b(log-?in|sign-?in|auth|sso|consent|captcha|subscribe)\b", re.IGNORECASE)

State = Literal["unchecked", "found", "not_found", "unreachable"]


@dataclass(frozen=True)
class Verdict:
    """A citation as it stands after the check, and why."""

    citation: Citation
    """A copy with ``checked`` and ``checked_at`` set; what they held before does not count."""
    reason: str
    """A sentence without a full stop. It may quote the server's address and type, never the page."""


def check_citations(
    citations: Sequence[Citation],
    *,
    fetcher: Fetcher | None = None,
    on_done: Callable[[int], None] | None = None,
) -> list[Citation]:
    """Copies of the citations with ``checked`` and ``checked_at`` (UTC), in order; fetches their pages.

    Args:
        fetcher: how pages are fetched; by default public addresses only, with bounds on time and size.
        on_done: called after each page or citation that needs none, with the number of citations done so far.
    """
    return [verdict.citation for verdict in judge_citations(citations, fetcher=fetcher, on_done=on_done)]


def judge_citations(
    citations: Sequence[Citation],
    *,
    fetcher: Fetcher | None = None,
    on_done: Callable[[int], None] | None = None,
) -> list[Verdict]:
    """As :func:`check_citations`, with the reasons. A page that several citations share is fetched once."""
    fetcher = fetcher or Fetcher()
    verdicts: dict[int, Verdict] = {}
    waiting: dict[str, list[tuple[int, Quote]]] = {}
    for number, citation in enumerate(citations):
        match _question(citation):
            case str(nothing):
                verdicts[number] = Verdict(_marked(citation, "unchecked"), f"not checked: {nothing}")
            case address, quote:
                waiting.setdefault(address, []).append((number, quote))
    if on_done and verdicts:
        on_done(len(verdicts))
    for address, questions in waiting.items():
        results = _look_up(address, [quote for _, quote in questions], fetcher)
        for (number, _), (state, reason) in zip(questions, results, strict=True):
            verdicts[number] = Verdict(_marked(citations[number], state), reason)
        if on_done:
            on_done(len(verdicts))
    return [verdicts[number] for number in range(len(citations))]


def pages_to_fetch(citations: Sequence[Citation]) -> list[str]:
    """The addresses that a check would fetch (redirects aside), each once: to ask the user's leave with."""
    questions = map(_question, citations)
    return list(dict.fromkeys(question[0] for question in questions if not isinstance(question, str)))


def _question(citation: Citation) -> tuple[str, Quote] | str:
    """The page's address and the quote to look for in it; or why there is nothing to look for."""
    if citation.url is None:
        return "it gives no web address"
    if not citation.quote:
        return "it gives no quote to look for"
    try:
        return urldefrag(citation.url).url, parse_quote(citation.quote)
    except TooShort as short:
        return str(short)


def _marked(citation: Citation, state: State) -> Citation:
    when = None if state == "unchecked" else now()
    return citation.model_copy(update={"checked": state, "checked_at": when})


def _look_up(address: str, quotes: Sequence[Quote], fetcher: Fetcher) -> list[tuple[State, str]]:
    """What the page at ``address`` says to each quote."""
    try:
        page = fetcher.fetch(address)
        text = page_text(page)
    except Unreachable as error:
        state: State = "not_found" if error.gone else "unreachable"
        return [(state, str(error))] * len(quotes)
    readings = [fold(reading) for reading in text.readings]
    return [_answer(quote, readings, address, page, text) for quote in quotes]


def _answer(
    quote: Quote, readings: Sequence[str], address: str, page: Page, text: PageText
) -> tuple[State, str]:
    moved = "" if page.url == address else f", which redirected to {_shown(page.url)}"
    if any(is_in(quote, reading) for reading in readings):
        gaps = len(quote) - 1
        left_out = f", with {gaps} passage{'s' if gaps > 1 else ''} left out by the quote" if gaps else ""
        return "found", f"the page holds the quote{left_out}{moved}"
    if text.asks_for_password:
        return "unreachable", f"a page that asks for a password came instead of the text{moved}"
    if moved and _GATE.search(page.url.removeprefix(address)):
        return "unreachable", f"a page that asks for a login or consent came instead of the text{moved}"
    if max(len(reading) for reading in readings) < _LEAST_TEXT:
        return "unreachable", f"the page shows next to no text without its scripts{moved}"
    note = f"; {text.note}" if text.note else ""
    return "not_found", f"the page was read and does not hold the quote{moved}{note}"


def _shown(url: str) -> str:
    """The host and the path, without a query, which may carry a session."""
    parts = urlsplit(url)
    place = f"{parts.netloc}{parts.path}"
    return place if len(place) <= 80 else place[:77] + "..."
