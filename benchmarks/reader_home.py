"""The table of docs/reader.md for renders of known albedo, out of the figures of benchmarks/reader.py."""

from __future__ import annotations

from typing import Any

import page_tables

READERS = ("skin_tone", "naive", "stone")
_BARS = {
    ("exact", "neutral"): "≥ .857",
    ("within_one", "neutral"): "≥ .97",
    ("exact", "careless"): "≥ .73",
    ("within_one", "careless"): "≥ .966",
    ("spread", "careless"): "≤ .05",
    ("monk_exact", "careless"): "≥ .77",
    ("monk_within_one", "careless"): "≥ .97",
    ("not_read", "careless"): "≤ .03",
}
"""What the reader before reached, less .03, for each row."""
_NAMES = {
    "exact": "ita6 exact",
    "within_one": "ita6 within one",
    "spread": "ita6 within one, any two classes differ by",
    "monk_exact": "monk10 exact",
    "monk_within_one": "monk10 within one",
    "not_read": "not read",
}


def home_table(result: dict[str, Any]) -> str:
    """Markdown.

    Args:
        result: what benchmarks/reader.py measured, with photographs.
    """
    rows = [
        [_NAMES[key], light, *(_shown(_value(result.get(f"{light} {name}"), key)) for name in READERS), bar]
        for (key, light), bar in _BARS.items()
    ]
    for key, name in (("same", "same class"), ("within_one", "within one")):
        found = [_shown(_value(result["photographs"].get(reader), key)) for reader in READERS]
        rows.append([f"studio photographs, changed: {name}", "", *found, ""])
    for key, name in (("cover_90", "90 % interval covers"), ("ece", "expected calibration error")):
        both, neutral, careless = (
            _shown(result[f"{light} skin_tone"][key]) for light in ("both", "neutral", "careless")
        )
        rows.append([f"{name} (neutral / careless)", "both", f"{both} ({neutral} / {careless})", "", "", ""])
    wrong = result["false_faces"]
    rows.append(
        [
            f"false faces on {wrong['pictures']} pictures without one",
            "",
            str(wrong["with_a_face"]),
            "",
            "",
            "0",
        ]
    )
    if "ratio" in result["speed"]:
        share = f"{1 / result['speed']['ratio']:.2f}"
        rows.append(
            ["time of a 768 px portrait against stone's, on one core, by turns", "", share, "", "1", ""]
        )
    return page_tables.table(("", "light", *READERS, "wanted"), rows)


def _value(row: dict[str, Any] | None, key: str) -> float | None:
    if row is None:
        return None
    if key != "spread":
        return float(row[key])
    found = [float(v) for name, v in row.items() if name.startswith("within_one[") and v is not None]
    return max(found) - min(found)


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
