"""The rules of a spec once more, in plain code: what may be accepted, told without pydantic.

Takes the data of a JSON document, so dates are text, and there is nothing that YAML reads in its own way.
"""

from __future__ import annotations

import math
import re
import unicodedata
from datetime import date
from typing import Any
from urllib.parse import urlsplit

CLASSES = {
    "ita6": {"very_light", "light", "intermediate", "tan", "brown", "dark"},
    "lmd3": {"light", "medium", "dark"},
    "monk10": {f"monk_{n}" for n in range(1, 11)},
}
REQUIRED = {"name", "version", "scale", "target", "source", "about", "why", "declared_by", "declared_on"}
OPTIONAL = {"confidence", "citations", "mapping", "allocation", "elicitation", "contexts"}
SIGNATURE = {"approved_by", "approved_on", "approved_hash"}


def share(value: Any) -> float:
    """A share as a number; NaN where it is none."""
    if isinstance(value, str) and (found := re.fullmatch(r"\s*(\d{1,9})\s*/\s*(\d{1,9})\s*", value)):
        return int(found[1]) / int(found[2]) if int(found[2]) else math.nan
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def _shares(value: Any, scale: str) -> bool:
    if not isinstance(value, dict) or set(value) != CLASSES[scale]:
        return False
    shares = [share(v) for v in value.values()]
    return all(0 <= s <= 1 for s in shares) and abs(math.fsum(shares) - 1) <= 1e-6


def uniform(target: dict[str, Any]) -> bool:
    shares = [share(v) for v in target.values()]
    return max(shares) - min(shares) <= 1e-6


def _text(value: Any, most: int, *, empty: bool = False) -> bool:
    if not isinstance(value, str) or len(value) > most or not (empty or value.strip()):
        return False
    return not any(unicodedata.category(c) in ("Cc", "Cs") for c in value if c not in "\n\t")


def _line(value: Any, *, empty: bool = False) -> bool:
    return _text(value, 300, empty=empty) and "\n" not in value.strip()


def _day(value: Any) -> bool:
    if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _whole(value: Any, low: int, high: float) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _keys(value: Any, required: set[str], optional: set[str]) -> bool:
    return isinstance(value, dict) and required <= set(value) <= required | optional


def _unit_or_none(value: Any) -> bool:
    return value is None or 0 <= share(value) <= 1


def _confidence(value: Any, scale: str) -> bool:
    classes = value.get("classes", {}) if isinstance(value, dict) else None
    return (
        _keys(value, set(), {"overall", "classes"})
        and _unit_or_none(value.get("overall"))
        and isinstance(classes, dict)
        and set(classes) <= CLASSES[scale]
        and all(map(_unit_or_none, classes.values()))
    )


def _citation(value: Any) -> bool:
    optional = {"publisher", "year", "url", "quote", "checked", "checked_at"}
    if not _keys(value, {"title", "claim"}, optional):
        return False
    url, year, quote = value.get("url"), value.get("year"), value.get("quote")
    good_url = url is None or (
        _text(url, 2000)
        and not re.search(r"\s", url.strip())
        and urlsplit(url.strip()).scheme in ("http", "https")
        and bool(urlsplit(url.strip()).netloc)
    )
    return (
        _line(value["title"])
        and _text(value["claim"], 4000)
        and (value.get("publisher") is None or _line(value["publisher"], empty=True))
        and (year is None or _whole(year, 1000, 9999))
        and good_url
        and (quote is None or _text(quote, 4000, empty=True))
        and value.get("checked", "unchecked") == "unchecked"  # no moment is ever generated here
        and value.get("checked_at") is None
    )


def _elicitation(value: Any) -> bool:
    if not _keys(value, {"model", "asked_on", "prompt_hash", "replies"}, {"agreement", "fallback"}):
        return False
    replies, fallback = value["replies"], value.get("fallback")
    return (
        _line(value["model"])
        and _day(value["asked_on"])
        and isinstance(value["prompt_hash"], str)
        and bool(re.fullmatch(r"sha256:[0-9a-f]{64}", value["prompt_hash"]))
        and isinstance(replies, list)
        and 1 <= len(replies) <= 20
        and all(isinstance(reply, str) and len(reply) <= 16_000 for reply in replies)
        and _unit_or_none(value.get("agreement"))
        and (fallback is None or _text(fallback, 4000))
    )


def _evidence(value: dict[str, Any], scale: str) -> bool:
    """What the document and a context have in common, the target's shares being sound."""
    citations, elicitation = value.get("citations", []), value.get("elicitation")
    return (
        _confidence(value.get("confidence", {}), scale)
        and isinstance(citations, list)
        and all(map(_citation, citations))
        and (elicitation is None or _elicitation(elicitation))
        and (elicitation is None or elicitation.get("fallback") is None or uniform(value["target"]))
    )


def _context(value: Any, scale: str, source: str) -> bool:
    optional = {"confidence", "citations", "about", "why", "mapping", "elicitation"}
    if not _keys(value, {"prompts", "target"}, optional) or not _shares(value["target"], scale):
        return False
    prompts = value["prompts"]
    return (
        isinstance(prompts, list)
        and 1 <= len(prompts) <= 500
        and all(_text(prompt, 1000) and "\n" not in prompt.strip() for prompt in prompts)
        and all(value.get(key) is None or _text(value[key], 4000) for key in ("about", "why"))
        and (value.get("mapping") is None or _text(value["mapping"], 4000, empty=True))
        and (source != "uniform" or uniform(value["target"]))
        and (source == "llm" or value.get("elicitation") is None)
        and _evidence(value, scale)
    )


def acceptable(data: Any) -> bool:
    """Whether a document may be accepted; signatures are not judged (none may be there)."""
    if not _keys(data, REQUIRED, OPTIONAL) or not isinstance(data["scale"], str):
        return False
    scale, source = data["scale"], data["source"]
    contexts = data.get("contexts", [])
    if scale not in CLASSES or source not in ("uniform", "llm", "table", "user"):
        return False
    if not isinstance(contexts, list) or not all(_context(c, scale, source) for c in contexts):
        return False
    prompts = [" ".join(p.casefold().split()) for c in contexts for p in c["prompts"]]
    asked = any(part.get("elicitation") is not None for part in [data, *contexts])
    return (
        isinstance(data["name"], str)
        and bool(re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", data["name"]))
        and _whole(data["version"], 1, math.inf)
        and _shares(data["target"], scale)
        and (source != "uniform" or uniform(data["target"]))
        and all(_text(data[key], 4000) for key in ("about", "why"))
        and _text(data.get("mapping", ""), 4000, empty=True)
        and data.get("allocation", "exact") in ("exact", "expected")
        and _line(data["declared_by"])
        and _day(data["declared_on"])
        and len(set(prompts)) == len(prompts)
        and asked == (source == "llm")
        and _evidence(data, scale)
    )
