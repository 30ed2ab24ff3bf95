"""Which pictures of a run may be shown: those that still show what was recorded of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fairgen.runs.reader import SessionRun
from fairgen.runs.resume import damaged

__all__ = ["ShownPictures"]

_NAMED = 3


class ShownPictures:
    """Leaves out pictures that are gone or are not what was recorded, and remembers them.

    Args:
        folder: the run folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._gone: list[str] = []
        self._other: list[str] = []

    def of(self, session: SessionRun) -> SessionRun:
        """The session as it was recorded, without the files of such pictures."""
        lost = {picture.index for picture in damaged(session, self.folder)}
        if not lost:
            return session
        moved = {fill.index: fill.file for fill in session.fills}
        for picture in session.pictures:
            if picture.index in lost:
                file = moved.get(picture.index) or str(picture.file)
                (self._other if (self.folder / file).is_file() else self._gone).append(file)
        pictures = [p.model_copy(update={"file": None}) if p.index in lost else p for p in session.pictures]
        fills = [f.model_copy(update={"file": None}) if f.index in lost else f for f in session.fills]
        return replace(session, pictures=pictures, fills=fills)

    @property
    def problems(self) -> list[str]:
        """What was left out so far, in sentences."""
        found = ((self._gone, "gone"), (self._other, "not what was recorded"))
        return [_sentence(files, what) for files, what in found if files]


def _sentence(files: list[str], what: str) -> str:
    more = len(files) - _NAMED
    named = ", ".join(files[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")
    if len(files) == 1:
        return f"1 picture is {what} ({named}): counted as it was read, and not shown."
    return f"{len(files):,} pictures are {what} ({named}): counted as they were read, and not shown."
