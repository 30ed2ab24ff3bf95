"""The bias table of contexts.py as the file that ships beside the weights (`fairgen.bench`)."""

from __future__ import annotations

from fairgen.models.known_bias import KnownBias, KnownBiasRow, ToneLaw

from .contexts import CONTEXTS, UNIFORM_SHARE, Context
from .skin import ITA_MAX, ITA_MIN


def prompt_of(context: Context) -> str:
    """The plain prompt of a context, as in assets/prompts/occupations.txt."""
    article = "an" if context.phrase[0].lower() in "aeiou" else "a"
    return f"a portrait of {article} {context.phrase}"


def known_bias() -> KnownBias:
    """The 36 contexts of the audit with the tones that the training set gives them."""
    return KnownBias(
        model="fairgen's embedded model",
        quantity="albedo of rendered skin: individual typology angle (Chardon 1991) in degrees, D65",
        note="Put in on purpose: training portraits whose caption names no tone drew theirs from this table. "
        "It says nothing about who does which work.",
        law=ToneLaw(low=ITA_MIN, high=ITA_MAX, uniform_share=UNIFORM_SHARE),
        rows=tuple(
            KnownBiasRow(
                prompt=prompt_of(context),
                phrase=context.phrase,
                group=context.group,
                mean=context.mean,
                spread=context.spread,
            )
            for context in CONTEXTS
        ),
    )
