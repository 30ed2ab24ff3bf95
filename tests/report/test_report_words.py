"""Sentences of the report that people read first."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from statsmodels.stats.proportion import proportion_confint

from fairgen import stats
from fairgen.report import words
from fairgen.report.audit_words import meanings
from fairgen.report.load import tone_classes
from fairgen.report.view import Arm
from fairgen.scoring.figures import Figures
from fairgen.scoring.numbers import bars, figures

EVEN = dict.fromkeys(("very_light", "light", "intermediate", "tan", "brown", "dark"), 1 / 6)


def figures_of(counts: dict[str, int], target: dict[str, float]) -> Figures:
    """Of a set whose readings are certain."""
    read = [{key: float(key == name) for key in target} for name, n in counts.items() for _ in range(n)]
    return figures(counts, target, read, independent=False)


def said(counts: dict[str, int], target: dict[str, float], scale: str) -> str:
    """The line beneath the headline, for a steered set."""
    arm = Arm("steered", "Steered", bars(counts), figures_of(counts, target), ())
    return words.subline([arm], tone_classes(scale, target), target, "a prompt")


@pytest.mark.parametrize(
    ("counts", "says"),
    [
        (
            {"light": 1, "medium": 1, "dark": 0},
            "2 whole pictures cannot come closer to these shares than this",
        ),
        ({"light": 0, "medium": 1, "dark": 0}, "one picture cannot come closer"),
        ({"light": 4, "medium": 0, "dark": 0}, "clearly further from the target"),
        ({"light": 2, "medium": 2, "dark": 2}, "lands below that because each picture is read"),
    ],
)
def test_a_small_set_is_held_against_what_whole_pictures_can_do(counts: dict[str, int], says: str) -> None:
    assert says in said(counts, dict.fromkeys(counts, 1 / 3), "lmd3")


def test_numbers_that_round_alike_get_a_decimal() -> None:
    counts = dict.fromkeys(EVEN, 4) | {"very_light": 7, "dark": 0, "light": 5}
    found = figures_of(counts, EVEN)
    text = said(counts, EVEN, "ita6")
    assert round(found.off) == round(found.chance_off) == 4
    assert f"about {found.chance_off:.1f} of 24 off" in text


def test_the_tone_that_stands_out_is_named_as_one() -> None:
    text = said(
        {"light": 4, "medium": 0, "dark": 0}, dict.fromkeys(("light", "medium", "dark"), 1 / 3), "lmd3"
    )
    assert text.startswith("The skin tone is “light” in 100")


def test_why_a_picture_was_set_aside_hangs_on_what_was_declared() -> None:
    assert words.aside_note(0.2) == "its class was already full"
    assert words.aside_note(0.0) == "no picture of its class was declared"


def test_the_interval_that_the_page_names_is_the_one_that_is_computed() -> None:
    of_an_audit: Any = SimpleNamespace(tolerance=0.1)
    assert "Clopper-Pearson, with Bonferroni" in dict(meanings(of_an_audit))["95 % interval of a share"]
    counts = {"light": 9, "medium": 14, "dark": 7}
    found = stats.simultaneous_intervals(counts)
    for tone, count in counts.items():
        assert found[tone] == pytest.approx(proportion_confint(count, 30, 0.05 / 3, "beta"))
