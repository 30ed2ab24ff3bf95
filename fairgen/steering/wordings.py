"""Other paths of tones, which calibration tries on models that follow the words of the usual one poorly."""

from __future__ import annotations

from collections.abc import Mapping

Anchors = tuple[tuple[float, str], ...]
"""Strength -> tone words of the prompt whose encoding stands there, light to dark."""

WORDINGS: Mapping[str, Anchors] = {
    "emphatic": (
        (-1.0, "extremely pale"),
        (0.0, "light brown"),
        (0.5, "deep brown"),
        (1.0, "extremely dark"),
    ),
    "pictorial": ((-1.0, "porcelain"), (0.0, "olive"), (0.5, "chestnut brown"), (1.0, "ebony black")),
    "further": ((-0.5, "very fair"), (0.0, "tan"), (0.25, "dark brown"), (0.5, "very dark")),
}
"""Name -> the path. "further" has the usual words, and goes on past them from half of the strength on."""
