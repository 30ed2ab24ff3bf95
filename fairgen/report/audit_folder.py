"""A collected run that is too large for one page -> an overview, and pages of prompts beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fairgen.report.audit_page import page_style, page_values, several_specs
from fairgen.report.audit_view import PromptView, arm_styles, prompt_views
from fairgen.report.gallery import Gallery
from fairgen.report.paging import PAGES, page_name
from fairgen.report.render import page_environment, write_pieces
from fairgen.report.thumbnails import STEPS, THIN_PLACES, Choice, Pictures
from fairgen.scoring.collect import Collected
from fairgen.scoring.measure import MeasuredSet

__all__ = ["write_audit_folder"]

PICTURES_A_PAGE = 400
PROMPTS_A_PAGE = 50
_NO_PICTURES = Choice(0, 0, False, None)


@dataclass(frozen=True)
class Part:
    """What one page shows of one prompt: places and pictures left out, as indices from and to."""

    prompt: int
    places: tuple[int, int]
    aside: tuple[int, int]
    number: int
    of: int


@dataclass(frozen=True)
class Entry:
    """A line of the overview: a prompt without its pictures, and where they are."""

    view: PromptView
    href: str


def write_audit_folder(
    done: Collected,
    folder: Path,
    gallery: Gallery,
    *,
    pictures: Pictures,
    told: Callable[[int, int], None],
) -> tuple[Choice, int]:
    """Write ``report.html`` and ``report-pages/0001.html`` ... into ``folder``, which holds neither yet.

    A page holds at most `PICTURES_A_PAGE` pictures (more only where a single place has more arms) and
    `PROMPTS_A_PAGE` prompts; a prompt with more pictures is spread over several pages. Memory holds the text
    of one prompt at a time.

    Args:
        gallery: the pictures in the largest size.
        told: is given the number of pages that are written, and of all.

    Returns:
        Which pictures are shown, and the number of pages beside the overview.
    """
    places = max(len(found.inside) for prompt in done.sets for found in prompt.values())
    shown = places if pictures == "all" else min(places, THIN_PLACES) if pictures == "thin" else 0
    choice = Choice(shown, places, pictures == "all", None if pictures == "none" else STEPS[0])
    pages = _paged(done.sets, choice)
    (folder / PAGES).mkdir()
    views = enumerate(prompt_views(done, choice, gallery))
    number, view = next(views)
    for page, parts in enumerate(pages, 1):
        shown_here = []
        for part in parts:
            if part.prompt != number:
                number, view = next(views)
            shown_here.append((_cut(view, part), part))
        write_pieces(folder / PAGES / page_name(page), _page(done, shown_here, page, len(pages)))
        told(page, len(pages))
    first = {part.prompt: page for page, parts in reversed(list(enumerate(pages, 1))) for part in parts}
    bare = enumerate(prompt_views(done, _NO_PICTURES, gallery))
    entries = (Entry(view, f"{PAGES}/{page_name(first[i])}#{view.anchor}") for i, view in bare)
    template = page_environment().get_template("audit.html.j2")
    pieces = template.generate(**page_values(done, choice), prompts=entries, parts=len(pages))
    write_pieces(folder / "report.html", pieces)
    return choice, len(pages)


def _paged(sets: Sequence[dict[str, MeasuredSet]], choice: Choice) -> list[list[Part]]:
    """The parts of every page, prompts in their order."""
    pages: list[list[Part]] = []
    room = 0
    for prompt, found in enumerate(sets):
        arms = max(1, len(found))
        places = min(choice.places, max((len(s.inside) for s in found.values()), default=0))
        aside = sum(len(s.outside) for s in found.values()) if choice.aside else 0
        size = places * arms + aside
        if pages and size <= room and len(pages[-1]) < PROMPTS_A_PAGE:
            pages[-1].append(Part(prompt, (0, places), (0, aside), 1, 1))
            room -= size
            continue
        a_page = max(1, PICTURES_A_PAGE // arms)
        cuts = [((at, min(at + a_page, places)), (0, 0)) for at in range(0, places, a_page)] or [
            ((0, 0), (0, 0))
        ]
        (low, high), _ = cuts.pop()
        left = max(0, PICTURES_A_PAGE - (high - low) * arms)
        cuts.append(((low, high), (0, min(left, aside))))
        cuts += [
            ((places, places), (at, min(at + PICTURES_A_PAGE, aside)))
            for at in range(min(left, aside), aside, PICTURES_A_PAGE)
        ]
        for number, (of_places, of_aside) in enumerate(cuts, 1):
            pages.append([Part(prompt, of_places, of_aside, number, len(cuts))])
        (low, high), (first, last) = cuts[-1]
        room = PICTURES_A_PAGE - (high - low) * arms - (last - first)
    return pages


def _cut(view: PromptView, part: Part) -> PromptView:
    """The prompt with the pictures of one part alone."""
    low, high = part.aside
    aside, at = [], 0
    for one in view.aside:
        aside.append(replace(one, pictures=one.pictures[max(0, low - at) : max(0, high - at)]))
        at += len(one.pictures)
    return replace(view, cards=view.cards[slice(*part.places)], aside=aside)


def _page(done: Collected, shown: Sequence[tuple[PromptView, Part]], page: int, of: int) -> Iterator[str]:
    scales = {view.figures.scale: view.classes for view, _ in shown}
    template = page_environment().get_template("audit_part.html.j2")
    return template.generate(
        css=page_style(scales),
        script_source="",
        shown=shown,
        styles={style.arm: style for style in arm_styles(done.figures)},
        several_specs=several_specs(done.figures),
        page=page,
        of=of,
    )
