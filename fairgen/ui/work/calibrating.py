"""The calibration of a model, as the page asks for it: how dark each strength makes its pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from fairgen.common.files import disk_errors
from fairgen.models.options import ModelOptions
from fairgen.ui.work.jobs import Services
from fairgen.ui.work.visits import UserRun

SHEET = "doses.png"
_TILE = 96


@dataclass(frozen=True)
class Measuring:
    """How far a calibration is."""

    done: int
    total: int
    stopped: bool = False
    sheet: str | None = None
    """Address of the pictures, a row for each strength; there once all are made."""


def calibrate_model(
    services: Services, run: UserRun, name: str, options: ModelOptions, *, thorough: bool
) -> Iterator[Measuring]:
    """Measure a model and keep the result; yields how far that is after each batch. Raises `UserError`.

    Args:
        services: the server's.
        run: its folder takes the sheet, and its ``stop`` ends the work, of which then nothing is kept.
        name: the model.
        options: how it is opened.
        thorough: all prompts and seeds of ``fairgen calibrate``; otherwise as before the first set.
    """
    from fairgen.loop.calibrate import SHORT, Plan

    plan = Plan() if thorough else SHORT
    tiles: dict[float, list[Image.Image]] = {}

    def keep(strength: float, picture: Image.Image) -> None:
        tiles.setdefault(strength, []).append(picture.resize((_TILE, _TILE)))

    yield Measuring(0, plan.pictures)
    for done in services.engine.calibrate(name, options, plan, keep):
        if run.stop.is_set():
            yield Measuring(done, plan.pictures, stopped=True)
            return
        yield Measuring(done, plan.pictures)
    _save_sheet(tiles, run)
    yield Measuring(plan.pictures, plan.pictures, sheet=run.url(SHEET))


def _save_sheet(tiles: dict[float, list[Image.Image]], run: UserRun) -> None:
    rows = [tiles[strength] for strength in sorted(tiles)]
    page = Image.new("RGB", (_TILE * max(map(len, rows)), _TILE * len(rows)), "white")
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            page.paste(picture, (x * _TILE, y * _TILE))
    file = run.folder / SHEET
    with disk_errors(file):
        page.save(file, "PNG")
