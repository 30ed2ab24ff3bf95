"""The citations of a reply: kept where they are some, without addresses that no program should follow."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from fairgen.targets.citations.address import is_ip, is_plain_host, is_public
from fairgen.targets.parts import Citation
from fairgen.targets.sources.plain_text import readable

__all__ = ["read_citations"]

_MAX_CITATIONS = 20
_MAX_QUOTE = 1_000
_FIELDS = ("title", "publisher", "year", "url", "quote", "claim")
_PLACEHOLDER = re.compile(r"<[^<>]*>")
_RESERVED_NAMES = ("example.com", "example.net", "example.org", "example.edu")
_RESERVED_ENDINGS = ("example", "test", "invalid")


def read_citations(given: object, notes: list[str]) -> tuple[Citation, ...]:
    """Those that are citations; what was left out is added to ``notes``, one sentence each."""
    items = given if isinstance(given, list) else [given] if given else []
    if len(items) > _MAX_CITATIONS:
        notes.append(f"only the first {_MAX_CITATIONS} of its {len(items)} citations were looked at.")
    kept = []
    for number, item in enumerate(items[:_MAX_CITATIONS], start=1):
        try:
            kept.append(_citation(item, number, notes))
        except _LeftOut as why:
            notes.append(f"its citation {number} was left out: {why}.")
    return tuple(kept)


class _LeftOut(Exception):
    """An entry is not kept as a citation; the message says why."""


def _citation(item: object, number: int, notes: list[str]) -> Citation:
    if not isinstance(item, dict):
        raise _LeftOut("it is no JSON object")
    fields: dict[str, Any] = {key: item[key] for key in _FIELDS if key in item}
    hidden = 0
    for key, value in fields.items():
        if isinstance(value, str):
            fields[key], removed = readable(value)
            hidden += removed
            if _PLACEHOLDER.fullmatch(fields[key]) or (key not in ("title", "claim") and not fields[key]):
                fields[key] = None
    if isinstance(fields.get("url"), str):
        if name := _reserved(fields["url"]):
            raise _LeftOut(f"{name} is a name reserved for examples, where nothing is published")
        if reason := _unsafe(fields["url"]):
            notes.append(f"the address of its citation {number} was left out: {reason}.")
            fields["url"] = None
    if any(isinstance(fields.get(k), str) and len(fields[k]) > _MAX_QUOTE for k in ("quote", "claim")):
        raise _LeftOut(f"it quotes more than {_MAX_QUOTE} characters")
    if fields.get("year") is not None and (year := _year(fields["year"])) != fields["year"]:
        said = "was text, which was read" if year else "is no year and was left out"
        notes.append(f"the year of its citation {number} {said}.")
        fields["year"] = year
    try:
        citation = Citation.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise _LeftOut(f"{'.'.join(map(str, first['loc']))}: {first['msg'][:120]}") from None
    if hidden:
        notes.append(f"{hidden} hidden characters were taken out of its citation {number}.")
    return citation


def _year(given: object) -> int | None:
    """A year, also where it is text that begins or ends with one ("2022", "c. 2020", "2021-2022")."""
    if isinstance(given, bool):
        return None
    if isinstance(given, float) and given.is_integer():
        given = int(given)
    if isinstance(given, str) and (found := re.search(r"(?<!\d)[12]\d{3}(?!\d)", given)):
        given = int(found[0])
    return given if isinstance(given, int) and 1000 <= given <= 9999 else None


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _reserved(url: str) -> str | None:
    """The name, where it is one of RFC 2606 and RFC 6761 at which nothing can be published."""
    host = _host(url)
    named = any(host == name or host.endswith(f".{name}") for name in _RESERVED_NAMES)
    return host if named or host.rpartition(".")[2] in _RESERVED_ENDINGS else None


def _unsafe(url: str) -> str | None:
    """Why an address is not kept; None where it may be."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return "it is not a web address"
    if parts.scheme not in ("http", "https") or not host or len(url) > 2_000 or any(map(str.isspace, url)):
        return "it is not a web address that starts with http:// or https://"
    if parts.username is not None or parts.password is not None:
        return "it carries a user name"
    if host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
        return "it leads into a private network"
    if is_ip(host):
        return None if is_public(host) else "it leads into a private network"
    # A name: what it resolves to is looked at when it is fetched.
    return None if is_plain_host(host) else "it hides an IP address"
