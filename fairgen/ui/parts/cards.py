"""Pictures as cards: each with its reading, and all that is known of it behind one click."""

from __future__ import annotations

from collections.abc import Sequence

from fairgen.report.view import ToneClass
from fairgen.runs import PictureRecord
from fairgen.ui.parts.markup import macro
from fairgen.ui.work.live import Card, LiveSet
from fairgen.ui.work.variations import VARIATIONS


def card_html(card: Card, prefix: str, classes: Sequence[ToneClass], name: str = "", *, run: str = "") -> str:
    """One list item; ``prefix`` and the picture's index make ids that are unique on the page. ``name`` is
    said above the reading. ``run``: id of the run that more pictures like it may be asked of.
    """
    labels, swatches = names(classes)
    like = {"run": run, "count": VARIATIONS} if run and card.view.read_as else None
    return macro("cards", "card", card, f"{prefix}-{card.index}", labels, swatches, name=name, like=like)


def set_cards(live: LiveSet) -> list[str]:
    """The set's pictures as list items, and the places that are still to be filled."""
    cards = _cards(live, live.inside())
    return cards + [macro("cards", "place")] * (live.count - len(cards) if live.running else 0)


def aside_cards(live: LiveSet) -> list[str]:
    """The pictures that are not in the set as list items."""
    return _cards(live, live.aside())


def twin_cards(plain: LiveSet, steered: LiveSet) -> list[str]:
    """A pair for each place whose unsteered picture is there: the same seed, unsteered and steered."""
    labels, swatches = names(steered.classes)
    firsts = {p.seed: p for p in steered.pictures}
    found = []
    for p in plain.pictures:
        if p.seed in firsts:
            pair = plain.card(p), steered.card(firsts[p.seed])
            found.append(macro("cards", "twin", *pair, f"t{_prefix(steered)}-{p.index}", labels, swatches))
    return found


def names(classes: Sequence[ToneClass]) -> tuple[dict[str, str], dict[str, str]]:
    """(class -> label, class -> swatch)."""
    return {c.key: c.label for c in classes}, {c.key: c.swatch for c in classes}


def _cards(live: LiveSet, pictures: Sequence[PictureRecord]) -> list[str]:
    # More like one may be asked for once the set is no longer made: they take its place on the page.
    run = "" if live.running else live.run.id
    return [card_html(live.card(p), _prefix(live), live.classes, run=run) for p in pictures]


def _prefix(live: LiveSet) -> str:
    session = live.record.session if live.record is not None else "set"
    return f"p{live.run.id}-{session}"
