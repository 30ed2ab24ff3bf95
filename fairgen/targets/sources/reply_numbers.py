"""The numbers of a reply: shares in every notation that models use, their ranges, stated confidence."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from fairgen.targets.model import SHARE_SUM_TOLERANCE
from fairgen.targets.sources.reply_text import plain_key, reject, safe
from skin_tone.scales import SCALES

__all__ = ["ROUNDING", "SLIP", "class_names", "names_classes", "read_confidence", "read_shares"]

ROUNDING = 0.01
"""How far shares may sum from 1 through rounding."""

SLIP = 0.1
"""How far shares may sum from 1 (or counts from 100, as a part of 100) and still be divided by their sum."""

_COUNT = ("count", "pictures", "share", "value", "number", "percentage", "percent", "estimate", "mean", "n")
_LOW = ("low", "lower", "min", "minimum", "lower_bound")
_HIGH = ("high", "upper", "max", "maximum", "upper_bound")
_NAME = ("class", "name", "tone", "skin_tone", "label", "category")

_NUMBER = re.compile(r"([+-]?(?:\d{1,9}(?:[.,]\d{1,12})?|\.\d{1,12}))\s*(%|percent|per cent)?")
_FRACTION = re.compile(r"(\d{1,6})\s*/\s*(\d{1,6})")


def names_classes(value: object, scale: str) -> bool:
    """Whether a value of a reply is about classes of the scale, at least half of what it names."""
    names = list(_rows(value, reading=False))
    known = class_names(scale)
    return bool(names) and 2 * sum(plain_key(name) in known for name, _ in names) >= len(names)


def class_names(scale: str) -> dict[str, str]:
    """Every name that a class of the scale goes by, as `plain_key` writes it -> the class."""
    found = SCALES[scale]
    return {plain_key(found.labels[name]): name for name in found.classes} | {
        plain_key(name): name for name in found.classes
    }


def read_shares(
    given: object, scale: str, notes: list[str]
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """Shares from what a reply gives for the classes: counts of 100, percentages or fractions; numbers, text
    or objects with a count, a low and a high; by key or as a list. What was mended is added to ``notes``.

    Returns:
        Class -> share, all classes of the scale, light to dark; sums to 1 within 1e-6. And class -> lowest
        and highest share (0 to 1) that the model thinks likely; classes may be missing.

    Raises:
        RejectedReply: another class is named, one is named twice or lacks a number; a number is negative; or
            they sum further than ``SLIP`` from 100 (or from 1).
    """
    rows = _by_class(given, scale, notes)
    counts = {name: _count(name, row) for name, row in rows.items()}
    values = {name: number for name, (number, _) in counts.items()}
    total = math.fsum(values.values())
    percent = any(marked for _, marked in counts.values())
    unit = 1 if 0 < total <= 2 and not percent else 100
    missing = [name for name in SCALES[scale].classes if name not in values]
    gap = abs(total / unit - 1)
    if missing and (gap > ROUNDING + 1e-9 or 2 * len(missing) > len(SCALES[scale].classes)):
        reject(f"shares lack {', '.join(missing)}")
    if gap > SLIP + 1e-9:  # .9 in binary is a little further away than .1
        what = "pictures" if unit == 100 else "shares"
        reject(f"{what} sum to {total:.6g} and not to {unit}")
    if missing:
        notes.append(f"{', '.join(missing)} left out by it count as 0, since the others sum to {unit}.")
    if any(isinstance(_given(row), str) for row in rows.values()):
        notes.append(f"its shares are {'percentages' if percent else 'numbers'} written as text.")
    if unit == 1 or not any(isinstance(row, dict) for row in rows.values()):
        notes.append(f"its shares are given as parts of {unit}, and not as pictures of 100 with a range.")
    shares = {name: values.get(name, 0.0) / unit + 0.0 for name in SCALES[scale].classes}
    if gap > SHARE_SUM_TOLERANCE:
        why = ", taken for rounding" if gap <= ROUNDING + 1e-9 else f" and not to {unit}"
        notes.append(f"its shares sum to {total:.6g}{why}: each was divided by that sum.")
        shares = {name: share * unit / total for name, share in shares.items()}
    return shares, _ranges(rows, values, total, notes)


def _by_class(given: object, scale: str, notes: list[str]) -> dict[str, Any]:
    """What is given for each class, by the class's own name; null is nothing."""
    known = class_names(scale)
    found: dict[str, Any] = {}
    renamed = False
    for name, row in _rows(given):
        if name in SCALES[scale].classes:
            key = name
        elif plain_key(name) in known:
            key, renamed = known[plain_key(name)], True
        else:
            reject(f"shares: {safe(name)} is no class of {scale}")
        if key in found:
            reject(f"the class {key} is given twice")
        if row is not None:
            found[key] = row
    if renamed:
        notes.append("its classes go by other names (labels, upper case), which were read.")
    return found


def _rows(given: object, *, reading: bool = True) -> Iterable[tuple[str, Any]]:
    if isinstance(given, Mapping):
        yield from ((str(name), row) for name, row in given.items())
    elif isinstance(given, list):
        for row in given:
            row = {plain_key(str(k)): v for k, v in row.items()} if isinstance(row, dict) else {}
            name = next((row[key] for key in _NAME if isinstance(row.get(key), str)), None)
            if name is None:
                if reading:
                    reject("shares are a list whose entries name no class")
                return
            yield name, row
    elif reading:
        reject("shares are neither an object nor a list")


def _given(row: object) -> Any:
    """What a row gives for the number of its class."""
    return _first(row, _COUNT) if isinstance(row, dict) else row


def _count(name: str, row: object) -> tuple[float, bool]:
    """The number, and whether it is marked as a percentage."""
    value = _given(row)
    number, percent = _number(value)
    if number is None:
        reject(f"shares: {name} has no number{f' but {safe(value)}' if isinstance(value, str) else ''}")
    if number < 0:
        reject(f"shares: {name} is below 0")
    return number, percent


def _first(row: Mapping[str, Any], keys: Iterable[str]) -> Any:
    plain = {plain_key(str(name)): value for name, value in row.items()}
    return next((plain[key] for key in keys if key in plain), None)


def _number(value: object) -> tuple[float | None, bool]:
    """A number, also one written as text ("16.7%", "0,25", "1/6"); and whether it is a percentage."""
    if isinstance(value, bool):
        return None, False
    if isinstance(value, int | float):
        try:
            number = float(value)
        except OverflowError:
            return None, False
        return (number, False) if math.isfinite(number) else (None, False)
    if isinstance(value, str):
        if (found := _FRACTION.fullmatch(value.strip())) and int(found[2]):
            return int(found[1]) / int(found[2]), False
        if found := _NUMBER.fullmatch(value.strip()):
            return float(found[1].replace(",", ".")), found[2] is not None
    return None, False


def _ranges(
    rows: Mapping[str, Any], values: Mapping[str, float], total: float, notes: list[str]
) -> dict[str, tuple[float, float]]:
    """Ranges that hold their own count, divided by the sum of the counts as these are."""
    ranges, wrong = {}, []
    for name, row in rows.items():
        if not isinstance(row, dict):
            continue
        both = _first(row, ("range", "interval"))
        low, high = both if isinstance(both, list) and len(both) == 2 else (None, None)
        low = _number(_first(row, _LOW) if low is None else low)[0]
        high = _number(_first(row, _HIGH) if high is None else high)[0]
        if low is None or high is None or not 0 <= low <= values[name] <= high:
            wrong.append(name)
        else:
            ranges[name] = (low / total, min(high / total, 1.0))
    if wrong:
        notes.append(f"its range for {', '.join(wrong)} does not hold its own count and was left out.")
    return ranges


def read_confidence(given: object, scale: str, notes: list[str]) -> tuple[float | None, dict[str, float]]:
    """What a reply states of its own accord: overall, and class -> confidence (0 to 1). What is no number
    from 0 to 1 (or percentage) counts as not stated: nobody asked for it.
    """
    if not isinstance(given, Mapping):
        given = {"overall": given}
    plain = {plain_key(str(name)): value for name, value in given.items()}
    overall, odd = _stated(plain.get("overall"))
    known = class_names(scale)
    classes = {}
    rows = plain.get("classes")
    for name, value in rows.items() if isinstance(rows, Mapping) else ():
        stated, unread = _stated(value)
        odd |= unread
        if stated is not None and plain_key(str(name)) in known:
            classes[known[plain_key(str(name))]] = stated
    if odd:
        notes.append("confidence that it states in words, or as no number from 0 to 1, counts as not stated.")
    return overall, classes


def _stated(value: object) -> tuple[float | None, bool]:
    """The confidence, and whether something was given that is none."""
    number, percent = _number(value)
    if number is None:
        return None, value is not None
    if percent or 10 <= number <= 100:
        number /= 100
    return (number, False) if 0 <= number <= 1 else (None, True)
