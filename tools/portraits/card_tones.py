"""The parts of the embedded model's card that the reader has a say in."""

from __future__ import annotations

from typing import Any

from fairgen.bench.measured import MeasuredBias
from fairgen.bench.tables import TextTable, bias_sentences, bias_table

from .skin import TONE_WORDS, clear_range

BIAS, WORDS = "bias", "words"
"""The marks between which the card has these parts."""


def card_tones(figures: dict[str, Any]) -> dict[str, str]:
    """Mark -> Markdown, from `evaluate.tone_figures`."""
    return {BIAS: _bias(figures), WORDS: _words(figures)}


def _bias(figures: dict[str, Any]) -> str:
    bias = MeasuredBias.model_validate(figures["bias"])
    first, *rest = bias_sentences(bias)
    return "\n".join([bias_table(bias).markdown(), "", first, "", *(f"- {sentence}" for sentence in rest)])


def _words(figures: dict[str, Any]) -> str:
    rows = []
    for k, word in enumerate(TONE_WORDS):
        low, high = clear_range(k)
        mean, spread = figures["mean_ita_by_word"][word], figures["sd_ita_by_word"][word]
        found = figures["faces_found_by_word"][word]
        rows.append(
            (f"{word} skin", f"{low:+.0f} to {high:+.0f}", f"{mean:+.0f} ± {spread:.0f}", _share(found))
        )
    titles = ("words", "albedo ITA", "ITA read from pictures", "face found")
    reached = ", ".join(
        f"{name.replace('_', ' ')} {_share(share)}" for name, share in figures["class_reached"].items()
    )
    return "\n".join(
        [
            TextTable("", titles, tuple(rows)).markdown(),
            "",
            f"Over {figures['pictures']:,} pictures, with and without such words:",
            "",
            f"- a face is found in {_share(figures['faces_found'])}",
            f"- read as the wanted ita6 class, by the best matching words: {reached}",
            "- Spearman correlation of the order of words and the ITA read, picture by picture: "
            f"{figures['spearman_words']:.3f}",
        ]
    )


def _share(share: float) -> str:
    return f"{100 * share:.1f} %"
