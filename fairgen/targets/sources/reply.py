"""A language model's reply as data: parsed into a `Proposal`, or refused with the reason.

Nothing is guessed. What real models write instead of what they were asked for is mended where it can mean
one thing only (thinking aloud, wrappers, percentages, other names of the classes, shares that miss 1 by a
little), and each time said in the notes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fairgen.targets.parts import Citation
from fairgen.targets.sources.plain_text import MAX_CHARACTERS, readable
from fairgen.targets.sources.reply_numbers import ROUNDING, SLIP, names_classes, read_confidence, read_shares
from fairgen.targets.sources.reply_sources import read_citations
from fairgen.targets.sources.reply_text import RejectedReply, only_object, plain_key, reject, safe

__all__ = ["MAX_CHARACTERS", "ROUNDING", "SLIP", "Proposal", "RejectedReply", "parse_reply"]

_MAX_WORDS = 4_000
_MAX_WRAPPERS = 3
_SHARES = ("pictures", "shares", "share", "counts", "distribution", "target", "percentages", "proportions")
_OTHER = ("about", "why", "mapping", "confidence", "citations", "sources", "low", "high", "ranges")
_PLACEHOLDER = re.compile(r"<[^<>]*>")


@dataclass(frozen=True)
class Proposal:
    """A valid reply.

    Attributes:
        shares: class -> share, all classes of the scale, light to dark; sums to 1 within 1e-6.
        ranges: class -> lowest and highest share (0 to 1) that the model thinks likely; classes may be
            missing.
        confidence: what the model states of the whole of its own accord, 0 to 1; None: nothing.
        class_confidence: class -> what it states of the class; classes may be missing.
        citations: unchecked, without unsafe addresses.
        about: what the target describes.
        why: why these shares.
        mapping: how groups became tones; may be empty.
        notes: what was mended, one sentence each.
    """

    shares: dict[str, float]
    ranges: dict[str, tuple[float, float]]
    confidence: float | None
    class_confidence: dict[str, float]
    citations: tuple[Citation, ...]
    about: str
    why: str
    mapping: str
    notes: tuple[str, ...]


def parse_reply(text: str, scale: str) -> Proposal:
    """Read one reply about ``scale`` (a key of ``SCALES``).

    Raises:
        RejectedReply: it holds no single JSON object, lacks something, names other classes, or its shares are
            no distribution: negative, not finite, or summing further than ``SLIP`` from the whole.
    """
    data, notes = only_object(text)
    data, given = _unwrapped(_plain(data), scale, notes)
    shares, ranges = read_shares(given, scale, notes)
    citations = read_citations(data.get("citations", data.get("sources")), notes)
    about, why, mapping = (_sentences(name, data.get(name), notes) for name in ("about", "why", "mapping"))
    confidence, by_class = read_confidence(data.get("confidence"), scale, notes)
    return Proposal(shares, ranges, confidence, by_class, citations, about, why, mapping, tuple(notes))


def _plain(data: Mapping[str, Any]) -> dict[str, Any]:
    plain = {plain_key(name): value for name, value in data.items()}
    if len(plain) < len(data):
        reject("two of its keys differ in case alone")
    return plain


def _unwrapped(data: dict[str, Any], scale: str, notes: list[str]) -> tuple[dict[str, Any], object]:
    """The object that holds the shares, and the shares, whatever lies around them."""
    is_schema = "properties" in data
    for depth in range(_MAX_WRAPPERS + 1):
        if (given := _shares_in(data, scale, notes)) is not None:
            if depth:
                notes.append("the object around its answer was taken off.")
            return data, given
        inner = [(name, found) for name, value in data.items() if (found := _object_in(value)) is not None]
        if len(inner) != 1:
            break
        [(name, found)] = inner
        rest = {key: value for key, value in data.items() if key != name}
        data = rest | _plain(found)
    given_back = "it gave a JSON Schema back instead of an answer"
    reject(given_back if is_schema else "it gives no number of pictures for the classes")


def _shares_in(data: Mapping[str, object], scale: str, notes: list[str]) -> object | None:
    for name in _SHARES:
        if names_classes(data.get(name), scale):
            return data[name]
    rest = {key: value for key, value in data.items() if key not in _OTHER}
    if names_classes(rest, scale):
        return rest
    others = [key for key, value in rest.items() if key not in _SHARES and names_classes(value, scale)]
    if len(others) != 1:
        return None
    notes.append(f"its numbers stand under the key {safe(others[0])}.")
    return data[others[0]]


def _object_in(value: object) -> dict[str, Any] | None:
    """An object that is the value, its only entry, or written in it as text."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            return only_object(value)[0]
        except RejectedReply:
            return None
    return value if isinstance(value, dict) else None


def _sentences(name: str, given: object, notes: list[str]) -> str:
    """Words of the reply. Lists of sentences are joined, and a table of groups is kept as it is written."""
    if isinstance(given, list) and all(isinstance(part, str) for part in given):
        given = " ".join(given)
    elif isinstance(given, dict | list) and given:
        given = json.dumps(given, ensure_ascii=False)
    if given is not None and not isinstance(given, str):
        reject(f"{name} is no text")
    words, hidden = readable(given or "")
    if hidden:
        notes.append(f"{hidden} hidden characters were taken out of its sentences.")
    if _PLACEHOLDER.fullmatch(words):
        reject(f"{name} is still the {words[:40]} of the form")
    if not words and name != "mapping":
        reject(f"{name} is empty")
    if len(words) > _MAX_WORDS:
        notes.append(f"its {name} was cut after {_MAX_WORDS} characters.")
        words = words[:_MAX_WORDS].rstrip()
    return words
