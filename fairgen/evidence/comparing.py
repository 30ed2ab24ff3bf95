"""Holds what a pack states against what follows from it, and says where they differ."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

__all__ = ["first_difference", "json_of", "one_sided"]

_NEAR = 1e-9
"""Figures of two machines may differ by so much, relative or absolute: sums in another order."""


def json_of(data: bytes) -> Any:
    """A JSON document; None where it is none."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def first_difference(
    stated: Any, found: Any, ignored: frozenset[str] = frozenset(), *, common: bool = False
) -> str | None:
    """Where two JSON values differ first: "arms.1.tv is 0.01, and 0.06 follows"; None: nowhere.

    Args:
        ignored: keys at any depth that may differ.
        common: keys that only one side has do not count: versions differ in them.
    """
    return next(_differences(stated, found, "", ignored, common), None)


def one_sided(stated: Any, found: Any, at: str = "") -> Iterator[str]:
    """Keys that only one of two JSON values has: "arms.1.tv"."""
    if isinstance(stated, dict) and isinstance(found, dict):
        for key in dict.fromkeys([*stated, *found]):
            place = f"{at}.{key}" if at else key
            if key in stated and key in found:
                yield from one_sided(stated[key], found[key], place)
            else:
                yield place
    elif isinstance(stated, list) and isinstance(found, list):
        for number, pair in enumerate(zip(stated, found, strict=False)):
            yield from one_sided(*pair, f"{at}.{number}" if at else str(number))


def _differences(stated: Any, found: Any, at: str, ignored: frozenset[str], common: bool) -> Iterator[str]:
    if isinstance(stated, dict) and isinstance(found, dict):
        for key in dict.fromkeys([*stated, *found]):
            if key in ignored:
                continue
            place = f"{at}.{key}" if at else key
            if key not in stated or key not in found:
                if not common:
                    yield f"{place} is {'missing' if key not in stated else 'there, and does not follow'}"
            else:
                yield from _differences(stated[key], found[key], place, ignored, common)
    elif isinstance(stated, list) and isinstance(found, list):
        if len(stated) != len(found):
            yield f"{at} has {len(stated)} entries, and {len(found)} follow"
        for number, pair in enumerate(zip(stated, found, strict=False)):
            yield from _differences(*pair, f"{at}.{number}" if at else str(number), ignored, common)
    elif not _same(stated, found):
        yield f"{at or 'the document'} is {_short(stated)}, and {_short(found)} follows"


def _same(stated: Any, found: Any) -> bool:
    numbers = (int, float)
    if isinstance(stated, bool) or isinstance(found, bool):
        return stated is found
    if isinstance(stated, numbers) and isinstance(found, numbers):
        return math.isclose(stated, found, rel_tol=_NEAR, abs_tol=_NEAR)
    return type(stated) is type(found) and bool(stated == found)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:59]}…"
