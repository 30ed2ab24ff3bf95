"""A language model's reply as data: strictly parsed into a `Proposal`, or refused with the reason.

Nothing is guessed. What may be mended (text around the one JSON object, shares that miss 1 by rounding,
hidden characters, a citation that is none) is mended within stated bounds, and each time said in the notes.
"""

from __future__ import annotations

import ipaddress
import json
import math
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fairgen.targets.citations.address import is_plain_host, is_public
from fairgen.targets.model import SHARE_SUM_TOLERANCE, Citation
from fairgen.targets.sources.plain_text import readable
from skin_tone.scales import SCALES

__all__ = ["MAX_CHARACTERS", "ROUNDING", "Proposal", "RejectedReply", "parse_reply"]

MAX_CHARACTERS = 65_536
"""Longer replies are not parsed."""

ROUNDING = 0.01
"""How far the shares of a reply may sum from 1 through rounding; they are then divided by their sum."""

_MAX_DEPTH = 8
_MAX_CITATIONS = 20
_MAX_QUOTE = 1_000


class RejectedReply(Exception):
    """The reply cannot be used; ``reason`` says why, in one short line."""

    def __init__(self, reason: str) -> None:
        self.reason = " ".join(reason.split())[:240]
        super().__init__(self.reason)


@dataclass(frozen=True)
class Proposal:
    """A valid reply.

    Attributes:
        shares: class -> share, all classes of the scale, light to dark; sums to 1 within 1e-6.
        confidence: what the model states of the whole, 0 to 1.
        class_confidence: class -> what it states of the class; classes may be missing.
        citations: unchecked, without unsafe addresses.
        notes: what was mended, one sentence each.
    """

    shares: dict[str, float]
    confidence: float
    class_confidence: dict[str, float]
    citations: tuple[Citation, ...]
    about: str
    why: str
    mapping: str
    notes: tuple[str, ...]


_Unit = Annotated[float, Field(ge=0, le=1)]
_Words = Annotated[str, Field(max_length=4_000)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class _Confidence(_Strict):
    overall: _Unit
    classes: dict[str, _Unit | None] = {}


class _Reply(_Strict):
    about: _Words
    why: _Words
    mapping: _Words = ""
    shares: dict[str, _Unit]
    confidence: _Confidence
    citations: list[Any] = []


def parse_reply(text: str, scale: str) -> Proposal:
    """Read one reply about ``scale`` (a key of ``SCALES``).

    Raises:
        RejectedReply: it is no single JSON object, lacks something, names other classes, or its shares are no
            distribution: negative, above 1, not finite, or summing further than ``ROUNDING`` from 1.
    """
    data, notes = _only_object(text)
    try:
        reply = _Reply.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        _reject(f"{_safe(where)}: {first['msg'][:1].lower()}{first['msg'][1:]}")
    classes = SCALES[scale].classes
    _require_classes("shares", reply.shares, scale)
    _require_classes("confidence.classes", reply.confidence.classes, scale)
    if missing := [name for name in classes if name not in reply.shares]:
        _reject(f"shares lack {', '.join(missing)}")
    shares = {name: reply.shares[name] + 0.0 for name in classes}  # -0.0 becomes 0.0
    shares = _summing_to_one(shares, notes)
    citations = _citations(reply.citations, notes)
    hidden = 0
    judgements = []
    for name in ("about", "why", "mapping"):
        words, removed = readable(getattr(reply, name))
        if not words and name != "mapping":
            _reject(f"{name} is empty")
        judgements.append(words)
        hidden += removed
    if hidden:
        notes.append(f"{hidden} hidden characters were taken out of its sentences.")
    stated = {k: v for k in classes if (v := reply.confidence.classes.get(k)) is not None}
    about, why, mapping = judgements
    return Proposal(shares, reply.confidence.overall, stated, citations, about, why, mapping, tuple(notes))


def _reject(reason: str) -> NoReturn:
    raise RejectedReply(reason) from None


def _safe(name: str) -> str:
    """A name from a reply, for a message: letters of other scripts that look alike become visible."""
    return ascii(name if len(name) <= 60 else name[:57] + "...")


def _require_classes(where: str, given: dict[str, Any], scale: str) -> None:
    for name in given:
        if name not in SCALES[scale].classes:
            _reject(f"{where}: {_safe(name)} is no class of {scale}")


def _summing_to_one(shares: dict[str, float], notes: list[str]) -> dict[str, float]:
    total = math.fsum(shares.values())
    gap = abs(total - 1)
    if gap <= SHARE_SUM_TOLERANCE:
        return shares
    if gap > ROUNDING + 1e-9:  # .99 in binary is a little further away than .01
        _reject(f"shares sum to {total:.6g} and not to 1")
    notes.append(f"its shares sum to {total:.6g}, taken for rounding: each was divided by that sum.")
    return {name: share / total for name, share in shares.items()}


def _only_object(text: str) -> tuple[dict[str, Any], list[str]]:
    """The one JSON object in the text."""
    if not text.strip():
        _reject("the reply is empty")
    if len(text) > MAX_CHARACTERS:
        _reject(f"the reply is longer than {MAX_CHARACTERS} characters")
    body, notes = text.strip(), []
    if body.startswith("<think>") and "</think>" in body:  # local models that think aloud
        body = body.partition("</think>")[2].strip()
    if body.startswith("["):
        _reject("the reply is a list and no JSON object")
    spans = _top_level_objects(body)
    if len(spans) != 1:
        quoted = " ".join(readable(body)[0].split())
        shown = f": {ascii(quoted[:80])[1:-1]}" if not spans else ""
        _reject(f"the reply holds {len(spans) or 'no'} complete JSON object{'s' * (len(spans) > 1)}{shown}")
    start, end = spans[0]
    if text.strip() != body[start:end]:
        notes.append("text around its JSON object was left out.")
    try:
        data = json.loads(
            body[start:end],
            object_pairs_hook=_unique,
            parse_constant=lambda name: _reject(f"{name} is no JSON"),
        )
    except ValueError as error:
        _reject(f"not valid JSON: {error}")
    return data, notes


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        _reject(f"the key {_safe(next(n for n in names if names.count(n) > 1))} is given twice")
    return found


def _top_level_objects(text: str) -> list[tuple[int, int]]:
    """Start and end of every outermost ``{...}``, in one pass; deep nesting is refused before parsing."""
    spans: list[tuple[int, int]] = []
    start = depth = 0
    in_string = after_backslash = False
    for place, char in enumerate(text):
        if in_string:
            in_string = after_backslash or char != '"'
            after_backslash = char == "\\" and not after_backslash
        elif depth == 0:
            if char == "{":
                start, depth = place, 1
        elif char == '"':
            in_string = True
        elif char in "{[":
            depth += 1
            if depth > _MAX_DEPTH:
                _reject(f"the reply is nested more than {_MAX_DEPTH} levels deep")
        elif char in "}]":
            depth -= 1
            if depth == 0:
                spans.append((start, place + 1))
    return spans


def _citations(given: list[Any], notes: list[str]) -> tuple[Citation, ...]:
    """Those that are citations, without addresses that no program should follow; the rest is noted."""
    kept: list[Citation] = []
    if len(given) > _MAX_CITATIONS:
        notes.append(f"only the first {_MAX_CITATIONS} of its {len(given)} citations were looked at.")
    for number, item in enumerate(given[:_MAX_CITATIONS], start=1):
        if not isinstance(item, dict):
            notes.append(f"its citation {number} was left out: it is no JSON object.")
            continue
        fields = {k: item[k] for k in ("title", "publisher", "year", "url", "quote", "claim") if k in item}
        hidden = 0
        for key, value in fields.items():
            if isinstance(value, str):
                fields[key], removed = readable(value)
                hidden += removed
        if isinstance(fields.get("url"), str) and (reason := _unsafe(fields["url"])):
            notes.append(f"the address of its citation {number} was left out: {reason}.")
            fields["url"] = None
        if any(isinstance(fields.get(k), str) and len(fields[k]) > _MAX_QUOTE for k in ("quote", "claim")):
            notes.append(f"its citation {number} was left out: it quotes more than {_MAX_QUOTE} characters.")
            continue
        try:
            kept.append(Citation.model_validate(fields))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            notes.append(f"its citation {number} was left out: {where}: {first['msg'][:120]}.")
            continue
        if hidden:
            notes.append(f"{hidden} hidden characters were taken out of its citation {number}.")
    return tuple(kept)


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
    try:
        ipaddress.ip_address(host)
    except ValueError:
        # A name: what it resolves to is looked at when it is fetched.
        return None if is_plain_host(host) else "it hides an IP address"
    return None if is_public(host) else "it leads into a private network"
