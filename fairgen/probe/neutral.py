"""Sentences about nothing in particular: what an edit of a model costs is measured on them."""

from __future__ import annotations

from importlib import resources

__all__ = ["neutral_texts"]


def neutral_texts() -> list[str]:
    """Forty sentences, written for this."""
    raw = resources.files("fairgen.probe").joinpath("neutral.txt").read_text(encoding="utf-8")
    return raw.splitlines()
