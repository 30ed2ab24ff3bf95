"""The picture of a calibration: a row of pictures for each strength, and what the model reaches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

    from fairgen.steering.calibration import Calibration

TILE = 128
"""Edge of a picture on the sheet, in pixels."""
MARGIN = 160
"""Width of the column that says which strength a row has and how dark it came out."""
SCALE = "ita6"
_LINE = 22
_INK = (34, 34, 34)


def reach_lines(found: Calibration) -> list[str]:
    """What the model reaches, line by line: classes, whether the effect is monotone, which words worked."""
    lines = []
    for one in found.reach(SCALE):
        said = f"{one.chance:.0%} at strength {one.strength:+.2f}" if one.reached else "out of reach"
        lines.append(f"{one.tone}: {said}")
    if not found.monotone:
        lines.append(f"The effect is not monotone (rank correlation {found.spearman:.2f}).")
    return lines + path_lines(found)


def path_lines(found: Calibration) -> list[str]:
    """Which words worked where the usual ones do not, and whether words go into the prompt as well."""
    lines = []
    if found.trials:
        ways = ", ".join(f"{trial.name} {trial.way:z.0f}°" for trial in found.trials)
        words = ", ".join(word for _, word in found.path)
        lines.append(f"It follows the usual words poorly. From light to dark: {ways}.")
        taken = next(trial.name for trial in found.trials if trial.anchors == found.path)
        lines.append(f"Path taken: {taken} ({words}).")
    if found.worded is not None:
        lines.append("Towards the ends of the scale words go into the prompt as well: that reaches further.")
    return lines


def save_sheet(tiles: Mapping[float, Sequence[Image.Image]], found: Calibration, path: Path) -> None:
    """Write the sheet as a PNG.

    Args:
        tiles: strength -> its pictures, each of `TILE` x `TILE` pixels.
        found: what was measured on them.
        path: where to.

    Raises:
        UserError: the disk refuses.
    """
    from PIL import Image, ImageDraw, ImageFont

    from fairgen.common.files import disk_errors, replacing

    rows = [(strength, tiles[strength]) for strength in sorted(tiles)]
    doses = {dose.strength: dose for dose in found.doses}
    font = ImageFont.load_default(size=15)
    lines = reach_lines(found)
    longest = max((int(font.getlength(line)) for line in lines), default=0) + 24
    width = max(MARGIN + TILE * max(len(row) for _, row in rows), longest)
    page = Image.new("RGB", (width, TILE * len(rows) + _LINE * (len(lines) + 1)), "white")
    draw = ImageDraw.Draw(page)
    for y, (strength, row) in enumerate(rows):
        dose = doses[strength]
        ita = "not read" if dose.ita is None else f"ITA {dose.ita:z.0f}°"
        label = f"strength {strength:+.1f}\n{ita}\n{dose.read} of {dose.read + dose.not_read} read"
        draw.multiline_text((12, y * TILE + 34), label, fill=_INK, font=font, spacing=4)
        for x, picture in enumerate(row):
            page.paste(picture, (MARGIN + x * TILE, y * TILE))
    for place, line in enumerate(lines):
        draw.text((12, TILE * len(rows) + _LINE // 2 + place * _LINE), line, fill=_INK, font=font)
    with disk_errors(path), replacing(path) as made:
        page.save(made, "PNG")
