"""Two measurements of `judge` side by side, with what the embedded model is held to."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fairgen.errors import UserError

_ENDS = "lightest and darkest word"
Figures = dict[str, Any]
_CHECKS: tuple[tuple[str, str, Callable[[Figures], float], Callable[[float], bool], str], ...] = (
    ("face found", ">= 99 %", lambda f: f["faces_found"], lambda v: v >= 0.99, "{:.1%}"),
    (
        "face found, least tone class",
        ">= 98 %",
        lambda f: min(f["faces_found_by_class"].values()),
        lambda v: v >= 0.98,
        "{:.1%}",
    ),
    ("ita6 class reached by words, least", ">= 80 %", lambda f: f["class_reached_least"], lambda v: v >= 0.8,
     "{:.1%}"),
    ("correlation with the table", ">= .95", lambda f: f["unsteered_correlation_with_table"],
     lambda v: v >= 0.95, "{:.3f}"),
    ("classifier sees the prompt, generated", ">= 80 %", lambda f: f["classifier"]["generated_top1"],
     lambda v: v >= 0.8, "{:.1%}"),
    ("twins: CIEDE2000 of the background, median", "<= 6", lambda f: f["twins"][_ENDS]["background"],
     lambda v: v <= 6, "{:.2f}"),
    ("seconds a picture, batches of 8", "<= 1", lambda f: f["seconds_a_picture"], lambda v: v <= 1, "{:.2f}"),
    ("weights, MB", "<= 45", lambda f: f["megabytes"], lambda v: v <= 45, "{:.1f}"),
    ("seconds to load", "<= 3", lambda f: f["seconds_to_load"], lambda v: v <= 3, "{:.2f}"),
)  # fmt: skip
_BESIDE: tuple[tuple[str, Callable[[Figures], float], str], ...] = (
    ("processor seconds a picture", lambda f: f["processor_seconds_a_picture"], "{:.2f}"),
    ("processor seconds to load", lambda f: f["processor_seconds_to_load"], "{:.2f}"),
    ("pixels of a side", lambda f: f["size"], "{:.0f}"),
    ("classifier, held-out renders", lambda f: f["classifier"]["held_out_top1"], "{:.1%}"),
    ("Frechet floor: two halves of the renders", lambda f: f["frechet"]["floor"], "{:.2f}"),
    ("nearest training render, features: ratio of medians",
     lambda f: f["copies"]["features"]["ratio_of_medians"], "{:.2f}"),
    ("nearest training render, pixels: ratio of medians",
     lambda f: f["copies"]["pixels"]["ratio_of_medians"], "{:.2f}"),
)  # fmt: skip
_DISTANCE = "Frechet distance to held-out renders"


def compare(before: Path, after: Path) -> list[tuple[str, str, str, str, str]]:
    """Rows of check, bar, before, after, and whether the latter meets it ("yes", "NO", or "" without a bar).

    Raises:
        UserError: a file is no measurement of `judge`.
    """
    old, new = _load(before), _load(after)
    rows = []
    for name, bar, value, meets, form in _CHECKS:
        rows.append((name, bar, form.format(value(old)), form.format(value(new)), _said(meets(value(new)))))
    distances = [f["frechet"]["frechet"] for f in (old, new)]
    falls = _said(distances[1] <= distances[0] * 2 / 3)
    rows.append((_DISTANCE, "a third less", f"{distances[0]:.2f}", f"{distances[1]:.2f}", falls))
    for name, value, form in _BESIDE:
        rows.append((name, "", form.format(value(old)), form.format(value(new)), ""))
    return rows


def _said(met: bool) -> str:
    return "yes" if met else "NO"


def _load(path: Path) -> Figures:
    try:
        found: Figures = json.loads(path.read_text(encoding="utf-8"))
        for _, _, value, _, _ in _CHECKS:
            value(found)
        for _, number, _ in _BESIDE:
            number(found)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is no measurement of `python -m tools.portraits judge`.") from error
    return found
